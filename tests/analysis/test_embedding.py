import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin

from lit_a1.analysis import embedding
from lit_a1.analysis.embedding import nearest_answers, principal_plane
from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject


def analysed(subject: Subject, folder: Path) -> Part:
    part = Part(folder, "embedding", embedding.TITLE, "a run")
    embedding.analyze(subject, part)
    return part


@pytest.mark.parametrize("kind", ["photos", "digits"])
def test_projector_opens_what_was_written(subject_of: Callable[..., Subject], tmp_path: Path, kind: str) -> None:
    folder = tmp_path / kind / "version_0" / "analysis"
    subject = subject_of(kind, 30)
    subject.pictures[8] = 201
    analysed(subject, folder)
    analysed(subject, folder)  # once more, in the same place
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1

    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(tmp_path))
    plugin = ProjectorPlugin(TBContext(logdir=str(tmp_path), data_provider=provider))
    plugin._update_configs()
    [(run, config)] = plugin._configs.items()
    assert run == str(Path(kind) / "version_0" / "analysis")
    [info] = config.embeddings
    assert list(info.tensor_shape) == [30, subject.features.shape[1]]

    config = ProjectorConfig()
    text_format.Parse((folder / "projector_config.pbtxt").read_text(), config)
    [info] = config.embeddings
    assert np.loadtxt(folder / info.tensor_path, delimiter="\t") == pytest.approx(subject.features, abs=1e-4)
    with (folder / info.metadata_path).open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert list(rows[0]) == ["label", "answer", "right", "probability", "index"]
    assert [row["label"] for row in rows] == [subject.classes[k] for k in subject.labels]
    assert [row["answer"] for row in rows] == [subject.classes[k] for k in subject.answers]
    assert [row["right"] == "right" for row in rows] == subject.right.tolist()
    assert [int(row["index"]) for row in rows] == subject.indices.tolist()
    assert [float(row["probability"]) for row in rows] == pytest.approx(subject.probabilities.max(1), abs=1e-4)
    assert list(info.sprite.single_image_dim) == [32, 32]
    with Image.open(folder / info.sprite.image_path) as sprite:
        assert sprite.size == (6 * 32, 6 * 32)  # 30 pictures: 6 in a row
        cell = np.asarray(sprite)[32:64, 64:96]  # the ninth
        other = np.asarray(sprite)[32:64, 96:128]
    assert cell == pytest.approx(np.full((32, 32, 3), 201), abs=1)
    assert other.std() > 10


def test_no_more_pictures_than_a_sheet_holds(
    subject_of: Callable[..., Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "SPRITE", 5 * embedding.THUMBNAIL)
    part = analysed(subject_of("photos", 40), tmp_path)
    with Image.open(tmp_path / "00000" / "features" / "sprite.png") as sprite:
        assert sprite.size == (160, 160)
    assert len((tmp_path / "00000" / "features" / "tensors.tsv").read_text().splitlines()) == 25
    assert "of the pictures these are the first 25." in part.words[-1]


def test_plane_agrees_with_the_covariance() -> None:
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(200, 6)) * [5, 3, 1, 1, 1, 0.5]) @ rng.normal(size=(6, 6)) + 10
    found = principal_plane(features.astype(np.float32))
    values, vectors = np.linalg.eigh(np.cov(features.T))
    assert found.shares == pytest.approx(tuple(values[[-1, -2]] / values.sum()), rel=1e-3)
    for k in (0, 1):
        vector = vectors[:, -1 - k]
        expected = (features - features.mean(0)) @ vector * np.sign(vector[np.abs(vector).argmax()])
        assert found.points[:, k] == pytest.approx(expected, abs=1e-3)


def test_plane_of_what_hardly_varies() -> None:
    still = principal_plane(np.ones((5, 3), np.float32))
    assert still.shares == (0, 0)
    line = principal_plane(np.arange(4, dtype=np.float32)[:, None])
    assert line.shares == (1, 0)
    assert line.points.tolist() == [[-1.5, 0], [-0.5, 0], [0.5, 0], [1.5, 0]]


def test_neighbours_by_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_AT_ONCE", 16)
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
    assert nearest_answers(features, labels, 7).tolist() == expected


def test_a_picture_is_no_neighbour_of_its_own() -> None:
    features = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32)
    assert nearest_answers(features, np.array([0, 1, 2, 3]), 1).tolist() == [1, 0, 3, 2]


def test_neighbours_are_compared_with_the_network(subject_of: Callable[..., Subject], tmp_path: Path) -> None:
    subject = subject_of("photos", 60)
    features = np.eye(2, dtype=np.float32)[subject.labels] + 0.1
    chances = np.tile(np.log([[0.6, 0.4]]), (60, 1)).astype(np.float32)  # always Cat
    subject.__dict__["_answers"] = (chances, features)
    part = analysed(subject, tmp_path)
    assert (part.numbers["neighbours_accuracy"], part.numbers["network_accuracy"]) == (1.0, 0.5)
    assert part.numbers["mcnemar_p"] == pytest.approx(2 / 2**30)
    assert "the neighbours are right more often, beyond noise" in part.words[1]
    assert not part.figures[0].shows_pictures


@pytest.mark.parametrize("kind", ["photos", "digits"])
@pytest.mark.parametrize("shift", [0, 1])  # all right, all wrong
def test_extremes(subject_of: Callable[..., Subject], tmp_path: Path, kind: str, shift: int) -> None:
    subject = subject_of(kind, 12)
    classes = len(subject.classes)
    chances = np.full((12, classes), 0.1 / (classes - 1), np.float32)
    chances[np.arange(12), (subject.labels + shift) % classes] = 0.9
    subject.__dict__["_answers"] = (np.log(chances), np.zeros((12, 8), np.float32))  # features that say nothing
    part = analysed(subject, tmp_path)
    assert part.numbers["network_accuracy"] == 1 - shift
    assert part.numbers["variance_1"] == 0
    assert (tmp_path / "embedding.png").is_file()
