import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lit_a1.analysis.network import capture_outputs, load_network, without_images
from lit_a1.cli import main
from lit_a1.data.catsdogs import CatsDogsDataModule
from lit_a1.data.errors import DataError
from lit_a1.models import inputs
from lit_a1.models.members import load_member
from lit_a1.runs.folders import PRETRAINED
from tests.analysis.networks import Kind, answering, logits_of, network_of
from tests.conftest import CNN, CONFIGS


def test_predicts_what_its_model_predicts(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(kind, 12)
    monkeypatch.setattr(inputs, "CACHED", 5 * network.size**2)  # the model takes five images at a time
    images = network.prepared(slice(None))
    assert images.shape == (12, 3 if kind == "photos" else 1, network.size, network.size)
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    with torch.inference_mode():
        expected = network.model(images).numpy()
    np.testing.assert_allclose(network.log_probabilities, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(network.probabilities.sum(1), 1, rtol=1e-5)
    again = torch.from_numpy(network.features) @ network.net.linear.weight.T + network.net.linear.bias
    # the features are of the image as it is
    torch.testing.assert_close(again, logits_of(network, slice(None)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(network.predict(network.images[3:5]), expected[3:5], rtol=1e-4, atol=1e-5)


def test_errors_and_margins_are_those_of_its_predictions() -> None:
    network = answering(network_of("digits", 4), [0, 2, 2, 3], 0.55)
    assert network.labels.tolist() == [0, 1, 2, 3]
    assert network.correct.tolist() == [True, False, True, True]
    assert network.error == 0.25
    gap = np.log(0.55 / 0.05)
    np.testing.assert_allclose(network.margins(), [gap, -gap, gap, gap], rtol=1e-6)


def test_what_passes_a_layer_is_captured_until_the_end() -> None:
    network = network_of("photos", 4)
    with torch.inference_mode(), capture_outputs(network.net.stem) as seen:
        network.net(network.standardize(network.prepared([0, 1])))
        assert [tuple(maps.shape) for maps in seen] == [(2, 4, 16, 16)]
        network.net(network.standardize(network.prepared([0])))
    network.model(network.prepared([0]))
    assert len(seen) == 2


def test_a_checkpoint_is_read_with_the_images_that_it_did_not_learn(
    course_photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    course_photos()
    small = [*CNN, *["--trainer.max_epochs", "1", "--data.n_valid", "16", "--data.batch_size", "8"]]
    main(["fit", "--config", str(CONFIGS / "catsdogs.yaml"), *small, "--data.size_schedule", "{0: 48}"])
    path = Path("lightning_logs/catsdogs/version_0/checkpoints/best.ckpt")
    data = CatsDogsDataModule(n_valid=16)
    network = load_network("catsdogs", path, data)
    assert network.indices.tolist() == data.sets["val"].index.tolist()
    assert not set(network.indices) & set(data.sets["train"].index)
    np.testing.assert_array_equal(network.images[0], data.sets["val"].images[network.indices[0]])
    assert (network.size, network.classes, network.drawn) == (64, ("Cat", "Dog"), False)
    assert (len(network.test_images), network.test_labels) == (12, None)
    assert network.source.startswith("lightning_logs/catsdogs/version_0, best.ckpt (epoch 1); seed 0; commit ")
    alone = without_images("catsdogs", load_member(path))
    assert (alone.size, alone.classes, alone.source) == (network.size, network.classes, network.source)
    np.testing.assert_array_equal(alone.with_images(network.images).log_probabilities, network.log_probabilities)
    assert set(alone.with_images(network.images).labels) == {-1}  # nobody knows them

    for name in ("Fox", "Hen"):
        (folder := Path("own", name)).mkdir(parents=True)
        Image.fromarray(network.images[0]).save(folder / "1.png")
    with pytest.raises(DataError, match="knows Cat and Dog; the data are Fox and Hen"):
        load_network("catsdogs", path, CatsDogsDataModule(n_valid=16, test_dir="own"))
    Path("own/Fox").rename("own/Cat")
    Path("own/Hen").rename("own/Dog")
    assert load_network("catsdogs", path, CatsDogsDataModule(n_valid=16, test_dir="own")).test_labels.tolist() == [0, 1]
    own = CatsDogsDataModule._set_up_training
    monkeypatch.setattr(
        CatsDogsDataModule, "_set_up_training", lambda data: (own(data), setattr(data, "classes", "AB"))
    )
    with pytest.raises(DataError, match="knows Cat and Dog; the data are A and B"):  # the validation photos
        load_network("catsdogs", path, CatsDogsDataModule(n_valid=16, test_dir="own"))


def test_published_weights_are_known_by_their_note() -> None:
    note = json.loads((PRETRAINED / "catsdogs.json").read_text())
    source = without_images("catsdogs", load_member(PRETRAINED / "catsdogs.ckpt")).source
    assert source.endswith(f"; seed {note['seed']}; commit {note['commit']}; {note['machine']}")
