import inspect
from pathlib import Path

import numpy as np
import pytest
import torch

from lit_a1.data.augment import Augment
from lit_a1.data.errors import DataError
from lit_a1.data.mnist import load_mnist
from lit_a1.data.mnist_module import MNISTDataModule
from tests.data.helpers import trainer


@pytest.fixture
def digits(mnist_files) -> Path:
    return mnist_files(Path("data"))


def test_options_that_recorded_runs_were_started_without_are_off():
    """A run is resumed only with the settings that it was started with, of which those that it lacks count as off."""
    recorded = {
        "source", "batch_size", "eval_batch_size", "size", "size_schedule", "augment", "workers", "measure_train",
    }  # fmt: skip
    parameters = inspect.signature(MNISTDataModule).parameters
    assert recorded <= parameters.keys()
    assert not any(parameters[name].default for name in parameters.keys() - recorded)


@pytest.mark.usefixtures("digits")
def test_the_arrays_and_split_of_load_mnist_are_served():
    data = MNISTDataModule(batch_size=50, eval_batch_size=7)
    data.prepare_data()
    for stage in ("fit", "test", "predict"):
        data.setup(stage)
    expected = load_mnist()
    assert not data.drawn
    assert data.classes == tuple("0123456789")
    for loader, split in (
        (data.train_dataloader(), expected.train),
        (data.val_dataloader()[0], expected.valid),
        (data.val_dataloader()[1], expected.train),
        (data.test_dataloader(), expected.test),
        (data.predict_dataloader(), expected.test),
    ):
        images, labels, indices = (torch.cat(each) for each in zip(*loader, strict=True))
        assert images.shape[1:] == (1, 28, 28)
        np.testing.assert_array_equal(images[:, 0], split.images[indices])
        is_answered = loader.dataset is data.sets["predict"]
        np.testing.assert_array_equal(labels, np.full(20, -1) if is_answered else split.labels[indices])
        assert sorted(indices.tolist()) == list(range(len(split.labels)))
    assert data.predict_names == [str(number) for number in range(1, 21)]
    assert data.predict_count == 20


@pytest.mark.usefixtures("digits")
def test_validation_has_no_other_images_than_during_training():
    fitted, validated = MNISTDataModule(), MNISTDataModule()
    fitted.setup("fit")
    validated.setup("validate")
    np.testing.assert_array_equal(fitted.sets["val"].images, validated.sets["val"].images)
    fitted.trainer = trainer()
    state = fitted.state_dict()
    validated.load_state_dict(state)
    with pytest.raises(DataError, match="another split"):
        validated.load_state_dict(state | {"validation": "other"})


@pytest.mark.usefixtures("digits")
def test_fewer_validation_images_leave_more_for_training_and_are_another_split():
    usual, fewer = MNISTDataModule(), MNISTDataModule(n_valid=4)
    for data in (usual, fewer):
        data.setup("fit")
    assert [len(data.sets["val"]) for data in (usual, fewer)] == [10, 4]
    kept = fewer.sets["train"], fewer.sets["val"]
    np.testing.assert_array_equal(np.concatenate([part.labels for part in kept]), np.arange(60) % 10)
    np.testing.assert_array_equal(kept[1].images, usual.sets["val"].images[-4:])
    fewer.trainer = trainer()
    with pytest.raises(DataError, match="another split"):
        usual.load_state_dict(fewer.state_dict())
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte.* has 60 labels: n_valid=60 leaves none to train on"):
        MNISTDataModule(n_valid=60).setup("fit")


@pytest.mark.usefixtures("digits")
@pytest.mark.parametrize(
    ("augment", "size"),
    [
        (Augment(), 28),
        (Augment(shift=3, flip="alternating"), 28),
        (Augment(crop_scale=(0.7, 1.0), rotation=12, cutout=0.3, cutout_fill="noise"), 24),
        (Augment(mixup=0.2, cutmix=1.0), 28),
    ],
)
def test_grey_images_are_augmented_on_the_device(augment, size):
    data = MNISTDataModule(augment=augment, size=size, batch_size=50)
    data.trainer = trainer()
    data.setup("fit")
    (batch,) = data.train_dataloader()
    result = data.on_after_batch_transfer(batch, 0)
    assert result.images.shape == (50, 1, size, size)
    assert result.images.dtype == torch.float32
    assert 0 <= result.images.min() < result.images.max() <= 1
    data.trainer.training = False  # elsewhere they are only resized
    measured = data.on_after_batch_transfer(batch, 0).images
    assert measured.shape == (50, 1, size, size)
    for untouched in (measured, result.images) if augment == Augment() else (measured,):
        assert size != 28 or torch.allclose(untouched, batch.images / 255)
    if augment.is_mixing:
        assert result.targets.shape == (50, 10)


@pytest.mark.usefixtures("no_network")
def test_drawn_digits(few_drawn: int) -> None:
    data = MNISTDataModule()
    assert not data.drawn
    data.locate("fit")
    assert data.drawn
    with pytest.raises(DataError, match="cannot be fetched: The server cannot be reached"):
        MNISTDataModule(source="real").locate("test")
    data = MNISTDataModule(source="drawn")
    assert data.drawn
    data.setup("fit")
    data.setup("test")
    assert [len(data.sets[part]) for part in ("train", "val", "test")] == [few_drawn] * 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_valid": 0}, "n_valid must be at least 1; got 0"),
        ({"source": "fake"}, "source must be auto, real or drawn; got 'fake'"),
        ({"augment": Augment(shift=29)}, "augment.shift must be at most 28; got 29"),
        ({"augment": Augment(saturation=0.1)}, "augment.saturation must be 0, since MNIST's .* grey; got 0.1"),
        ({"augment": Augment(trivial=0.1)}, "augment.trivial must be 0, since MNIST's .* grey; got 0.1"),
    ],
)
def test_bad_values_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        MNISTDataModule(**options)
