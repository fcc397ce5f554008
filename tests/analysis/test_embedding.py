import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin

from lit_a1.analysis import embedding
from lit_a1.analysis.embedding import nearest_predictions, principal_plane
from tests.analysis.networks import FOLDER, Kind, analyzed, network_of, predicting


def test_projector_opens_what_was_written(kind: Kind) -> None:
    network = network_of(kind, 30)
    network.images[8] = 201
    analyzed(embedding, network)
    analyzed(embedding, network)  # once more, in the same place
    assert len(list(FOLDER.glob("events.out.tfevents.*"))) == 1

    root = str(Path.cwd())
    multiplexer = EventMultiplexer().AddRunsFromDirectory(root)
    multiplexer.Reload()
    plugin = ProjectorPlugin(TBContext(logdir=root, data_provider=MultiplexerDataProvider(multiplexer, root)))
    plugin._update_configs()
    [(run, config)] = plugin._configs.items()
    assert run == str(FOLDER)
    [info] = config.embeddings
    assert list(info.tensor_shape) == [30, network.features.shape[1]]
    assert np.loadtxt(FOLDER / info.tensor_path, delimiter="\t") == pytest.approx(network.features, abs=1e-4)
    with (FOLDER / info.metadata_path).open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert list(rows[0]) == ["label", "prediction", "right", "probability", "index"]
    assert [row["label"] for row in rows] == network.names(network.labels)
    assert [row["prediction"] for row in rows] == network.names(network.predictions)
    assert [row["right"] == "right" for row in rows] == network.correct.tolist()
    assert [int(row["index"]) for row in rows] == network.indices.tolist()
    assert [float(row["probability"]) for row in rows] == pytest.approx(network.probabilities.max(1), abs=1e-4)
    assert list(info.sprite.single_image_dim) == [32, 32]
    with Image.open(FOLDER / info.sprite.image_path) as sprite:
        assert sprite.size == (6 * 32, 6 * 32)  # 30 images: 6 in a row
        cell = np.asarray(sprite)[32:64, 64:96]  # the ninth
        other = np.asarray(sprite)[32:64, 96:128]
    assert cell == pytest.approx(np.full((32, 32, 3), 201), abs=1)
    assert other.std() > 10


def test_no_more_images_than_a_sheet_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "SPRITE", 5 * embedding.THUMBNAIL)
    result = analyzed(embedding, network_of("photos", 40))
    with Image.open(FOLDER / "00000" / "features" / "sprite.png") as sprite:
        assert sprite.size == (160, 160)
    assert len((FOLDER / "00000" / "features" / "tensors.tsv").read_text().splitlines()) == 25
    assert "for the first 25 images." in result.words[-1]


def test_plane_agrees_with_the_covariance() -> None:
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(200, 6)) * [5, 3, 1, 1, 1, 0.5]) @ rng.normal(size=(6, 6)) + 10
    points, shares = principal_plane(features.astype(np.float32))
    values, vectors = np.linalg.eigh(np.cov(features.T))
    assert shares == pytest.approx(values[[-1, -2]] / values.sum(), rel=1e-3)
    for k in (0, 1):
        vector = vectors[:, -1 - k]
        expected = (features - features.mean(0)) @ vector * np.sign(vector[np.abs(vector).argmax()])
        assert points[:, k] == pytest.approx(expected, abs=1e-3)
    assert principal_plane(np.ones((5, 3), np.float32))[1].tolist() == [0, 0]  # nothing varies
    points, shares = principal_plane(np.arange(4, dtype=np.float32)[:, None])
    assert shares.tolist() == [1, 0]
    assert points.tolist() == [[-1.5, 0], [-0.5, 0], [0.5, 0], [1.5, 0]]


def test_neighbours_by_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "AT_ONCE", 16)
    rng = np.random.default_rng(0)
    features, labels = rng.random((50, 5), np.float32), rng.integers(0, 3, 50)
    expected = []
    for n in range(50):
        cosines = [
            -np.inf if m == n else a @ features[n] / np.linalg.norm(a) / np.linalg.norm(features[n])
            for m, a in enumerate(features)
        ]
        near = np.argsort(cosines)[::-1][:7]
        votes = [((labels[near] == k).sum(), sum(cosines[m] for m in near if labels[m] == k)) for k in range(3)]
        expected.append(max(range(3), key=votes.__getitem__))
    assert nearest_predictions(features, labels, 7).tolist() == expected
    pairs = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32)  # no image is its own neighbour
    assert nearest_predictions(pairs, np.array([0, 1, 2, 3]), 1).tolist() == [1, 0, 3, 2]


def test_neighbours_are_compared_with_the_network() -> None:
    network = network_of("photos", 60)
    features = np.eye(2)[network.labels] + 0.1
    result = analyzed(embedding, predicting(network, np.tile([0.6, 0.4], (60, 1)), features))  # always Cat
    assert (result.numbers["neighbours_accuracy"], result.numbers["network_accuracy"]) == (1.0, 0.5)
    assert result.numbers["mcnemar_p"] == pytest.approx(2 / 2**30)
    assert "the neighbours are better, beyond noise" in result.words[1]
