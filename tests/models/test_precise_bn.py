"""Batch norm's statistics, taken again from plain training images before each validation of `fit`."""

from typing import Any

import lightning as L
import numpy as np
import pytest
import torch

from lit_a1.data.augment import Augment
from lit_a1.data.module import ImageDataModule, ImageSet
from lit_a1.data.resample import resize, to_float
from lit_a1.layers import BatchNorm2d
from lit_a1.models.catsdogs import CatsDogsCNN
from tests.models.conftest import SMALL, fit, trainer

COUNT = 20


@pytest.fixture(autouse=True)
def several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of eight images at most, of which statistics are means."""
    monkeypatch.setattr("lit_a1.data.module.SAMPLE_BATCH", 8)


def images() -> ImageDataModule:
    """40 training and 16 validation images, which training sees darkened, and smaller."""
    L.seed_everything(0)  # the module draws from the seed that it is built under
    rng = np.random.default_rng(0)
    darkened: dict[str, Any] = {"eval_scale": 4 / 3, "augment": Augment(brightness=0.9, crop_scale=(0.3, 0.6))}
    data = ImageDataModule(batch_size=8, eval_batch_size=8, size=12, **darkened)
    data.classes = ("Cat", "Dog")
    for part, count in (("train", 40), ("val", 16)):
        array = rng.integers(0, 256, (50, 16, 16, 3), dtype=np.uint8)
        data.sets[part] = ImageSet(array, np.arange(50) % 2, np.arange(5, 5 + count))
    return data


def fitted(data: ImageDataModule, **options: Any) -> CatsDogsCNN:
    L.seed_everything(0)
    model = CatsDogsCNN(**SMALL | {"widths": (4, 8), "precise_bn": COUNT} | options)
    fit(model, data)
    return model


def stem_statistics(model: CatsDogsCNN, data: ImageDataModule) -> tuple[torch.Tensor, torch.Tensor]:
    """By hand: mean and unbiased variance of what the first convolution puts out, averaged over batches."""
    train = data.sets["train"]
    index = np.random.default_rng(0).permutation(train.index)[:COUNT]
    standardize, net = model.evaluated_net()
    found = []
    for rows in np.array_split(index, 3):
        x = torch.from_numpy(train.images[rows]).permute(0, 3, 1, 2)
        with torch.no_grad():
            y = net.stem[0][0](standardize(resize(to_float(x), 16)))
        found.append((y.mean((0, 2, 3)), y.var((0, 2, 3))))
    means, variances = (torch.stack(each).mean(0) for each in zip(*found, strict=True))
    return means, variances


@pytest.mark.parametrize("average_decay", [0.9, 0.0])
def test_statistics_are_those_of_plain_training_images(average_decay: float) -> None:
    data = images()
    model = fitted(data, average_decay=average_decay)
    norm = model.evaluated_net()[1].stem[0][1]
    assert isinstance(norm, BatchNorm2d)
    for actual, expected in zip((norm.running_mean, norm.running_var), stem_statistics(model, data), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    assert norm.momentum == 0.1


def test_without_it_they_are_those_of_training_which_does_not_depend_on_it() -> None:
    data = images()
    with_it, without = fitted(images()), fitted(data, precise_bn=0)
    mean = without.evaluated_net()[1].stem[0][1].running_mean
    assert not torch.allclose(mean, stem_statistics(without, data)[0], rtol=0.05)
    assert all(map(torch.equal, with_it.net.parameters(), without.net.parameters()))


def test_validate_leaves_a_checkpoints_statistics_alone() -> None:
    data, model = images(), CatsDogsCNN(widths=(4, 8), blocks=(1,), precise_bn=COUNT)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    trainer().validate(model, datamodule=data, verbose=False)
    changed = [name for name, buffer in model.named_buffers() if not torch.equal(buffer, before[name])]
    assert not [name for name in changed if "running" in name]


def test_a_sample_holds_each_image_once_and_the_same_each_time() -> None:
    data = images()
    data.sets["train"].images[:, :, :, 0] = np.arange(50, dtype=np.uint8)[:, None, None]
    data.trainer = L.Trainer(logger=False, accelerator="cpu")

    def sample(count: int) -> list[int]:
        batches = list(data.training_sample(count, torch.device("cpu")))
        assert all(batch.shape[1:] == (3, 16, 16) for batch in batches)
        return (torch.cat(batches)[:, 0, 0, 0] * 255).round().int().tolist()

    assert sample(COUNT) == sample(COUNT)
    assert len(set(sample(COUNT))) == COUNT
    assert sorted(sample(1000)) == list(range(5, 45))
