import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lit_a1.analysis.familiarity import note_of
from lit_a1.data import decode
from lit_a1.demo import compare, photos
from lit_a1.demo.photos import answer, fill_bank, read_photos
from lit_a1.runs.settings import UsageError
from tests.demo.networks import Small


@pytest.fixture
def files() -> list[str]:
    """Two photos, one with a name that must be escaped, and a file that is no photo."""
    for k, name in enumerate(("<b>é.jpg", "2.png")):
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (90, 120, 3), np.uint8)).save(name)
    Path("3.jpg").write_bytes(b"no photo")
    return ["<b>é.jpg", "2.png", "3.jpg"]


def test_photos_are_read_and_other_files_are_named(files: list[str]) -> None:
    found = read_photos(files)
    assert (found.names, found.small.shape, found.large.shape) == (files[:2], (2, 64, 64, 3), (2, 288, 288, 3))
    np.testing.assert_array_equal(found.small[1], decode.decode(Path("2.png").read_bytes(), 64))
    ((name, why),) = found.unreadable
    assert name == "3.jpg"
    assert why.startswith("it is not an image")


@pytest.mark.parametrize("count", [0, photos.MAX_PHOTOS + 1])
def test_too_few_and_too_many_are_refused(count: int) -> None:
    with pytest.raises(UsageError, match=f"got {count}"):
        read_photos(["x.jpg"] * count)


def test_every_photo_gets_a_card(files: list[str]) -> None:
    networks = Small()
    said = answer(networks, files, "")
    assert said.count("data-photo=") == 2
    assert "&lt;b&gt;é.jpg" in said
    assert "<b>é" not in said
    assert "3.jpg</b> can't be read: it is not an image" in said
    assert "Orange speaks for Dog, blue for Cat" in said
    assert "are not calibrated" in said
    assert "unlike the training photos" not in said
    assert answer(networks, files[2:], "").count("data-photo=") == 0


def test_published_weights_have_a_temperature_and_know_what_is_unlike(files: list[str]) -> None:
    networks, network = Small(), Small().nets["photos"]
    note = note_of(network, network.images, network.labels)
    for threshold, flagged in ((np.inf, 0), (0.0, 2)):
        networks.notes = note | {"familiarity": note["familiarity"] | {"threshold": threshold}}
        said = answer(networks, files, "")
        assert said.count("This is unlike the training photos") == flagged
        assert "a temperature that was fitted" in said


def test_the_nearest_photos_are_those_with_the_same_features(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    networks, network = Small(), Small().nets["photos"]
    monkeypatch.setattr(photos, "_training_photos", lambda: (network.images, network.labels, network.classes))
    heard: list[float] = []
    for _ in range(2):  # the second time it is there
        fill_bank(networks, "", heard.append)
    assert heard == [0]
    for row, near in enumerate(networks.banks[""].nearest(network.features)):
        assert len(near) == photos.NEIGHBOURS
        np.testing.assert_array_equal(near[0][0], network.images[row])
        assert near[0][1] == network.classes[network.labels[row]]
    assert answer(networks, files, "").count("a training photo") == 2 * photos.NEIGHBOURS


def test_two_networks_are_compared_where_they_differ_first(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    networks = Small()
    said = {"one": [[0.9, 0.1], [0.8, 0.2]], "other": [[0.7, 0.3], [0.4, 0.6]]}
    monkeypatch.setattr(networks, "cnn", lambda kind, label: networks.nets[kind])
    asked = iter(said.values())
    monkeypatch.setattr(compare, "predict", lambda *_: (np.array(next(asked)), None))
    table = compare.answer(networks, files, "one", "other")
    assert "They differ on 1 of 2 photos" in table
    assert table.index("2.png") < table.index("é.jpg")
    assert "3.jpg</b> can't be read" in table
    assert "<table" not in compare.answer(networks, files[2:], "one", "other")
    with pytest.raises(UsageError, match="two different networks"):
        compare.answer(networks, files, "one", "one")


def test_a_telephones_heic_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    heif = pytest.importorskip("pillow_heif", reason="needs pillow-heif, of the extra demo")
    monkeypatch.setattr(decode, "SUFFIXES_OF", dict(decode.SUFFIXES_OF))
    image = np.full((48, 64, 3), (200, 40, 90), np.uint8)
    heif.from_pillow(Image.fromarray(image)).save(content := io.BytesIO(), quality=90)
    decode.read_heif()
    np.testing.assert_allclose(decode.decode(content.getvalue(), 16), np.full((16, 16, 3), image[0, 0]), atol=12)
    with pytest.raises(decode.DecodeError):
        decode.decode(content.getvalue()[:300], 16)
