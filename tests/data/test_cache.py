import json
import threading
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from lit_a1.data import cache, pieces
from lit_a1.data.cache import BLANK, DecodedImages, cache_root, decode_all
from lit_a1.data.decode import decode
from lit_a1.data.errors import DataError
from lit_a1.data.files import move
from lit_a1.data.sources.layouts import Source

Load = Callable[..., DecodedImages]


@pytest.fixture
def photos(encode, make_files) -> Path:
    names = [f"{kind}/{n}.jpg" for kind in ("Cat", "Dog") for n in range(4)]
    return make_files("photos", {name: encode(number, size=(70, 64)) for number, name in enumerate(names)})


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LIT_A1_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def load(photos) -> Load:
    """Loads the photos, as a training set unless said otherwise."""
    return lambda size=64, labelled=True, **options: cache.load(Source(photos, labelled=labelled), size, **options)


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """One entry for each image that is decoded."""
    calls: list[int] = []
    monkeypatch.setattr(cache, "decode", lambda data, size: (calls.append(len(data)), decode(data, size))[1])
    return calls


def caches(root: Path) -> list[Path]:
    """Everything in the folder of caches but the locks."""
    return [path for path in root.iterdir() if path.suffix != ".lock"]


def test_what_is_cached_is_what_is_decoded(photos, load, decoded, root):
    source = Source(photos, labelled=True)
    first, again = load(32), load(32)
    assert len(decoded) == len(first) == 8
    direct = decode_all(source, 32)
    for found in (first, again, direct):
        assert isinstance(found.images, np.memmap) == (found is not direct)
        assert found.images.shape == (8, 32, 32, 3)
        assert found.labels.dtype == np.int64
        assert found.labels.tolist() == [0] * 4 + [1] * 4
        assert found.names == tuple(image.name for image in source.images)
        assert found.classes == ("Cat", "Dog")
        assert found.skipped == {}
        for row, image in zip(found.images, source.images, strict=True):
            np.testing.assert_array_equal(row, decode(source.read(image), 32))
    with pytest.raises(ValueError, match="read-only"):
        first.images[0, 0, 0, 0] = 1
    (folder,) = caches(root)
    assert sorted(path.name for path in folder.iterdir()) == ["images.npy", "metadata.json"]


def test_sets_and_sizes_have_their_own_caches_which_serve_every_policy(load, decoded):
    for labelled, size in ((True, 64), (True, 32), (False, 64)):
        for broken in ("skip", "blank"):
            found = load(size, labelled, broken=broken)
    assert len(decoded) == 24
    assert found.labels is None
    assert found.classes == ()


def replace(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old, new)


def other_format(data: bytes) -> bytes:
    body = json.loads(data)
    del body["metadata_sha256"]
    body["format"] = 0
    return json.dumps({"metadata_sha256": cache._json_hash(body), **body}).encode()


@pytest.mark.parametrize(
    ("name", "damage", "told"),
    [
        ("images.npy", lambda data: data[:-100], "damaged"),
        ("images.npy", lambda data: data[:-1] + bytes([data[-1] ^ 1]), "images.npy was altered"),
        ("images.npy", replace(b"(8, 64, 64, 3)", b"(6, 64, 64, 3)"), "images.npy was altered"),
        ("images.npy", None, "images.npy is missing"),
        ("metadata.json", lambda data: data[:-100], "damaged"),
        ("metadata.json", replace(b'"labels": [\n  0,', b'"labels": [\n  1,'), "metadata.json was altered"),
        ("metadata.json", other_format, "has changed"),
        ("metadata.json", None, "metadata.json is missing"),
    ],
)
def test_a_damaged_cache_is_built_again(load, root, decoded, caplog, name, damage, told):
    before = np.array(load().images)
    (path,) = root.glob(f"*/{name}")
    if damage is None:
        path.unlink()
    else:
        assert damage(path.read_bytes()) != path.read_bytes()
        path.write_bytes(damage(path.read_bytes()))
    found = load()
    assert len(decoded) == 16
    assert "is built again" in caplog.text
    assert told in caplog.text
    np.testing.assert_array_equal(found.images, before)
    assert found.labels.tolist() == [0] * 4 + [1] * 4
    caplog.clear()
    load()
    assert len(decoded) == 16
    assert caplog.text == ""


def test_a_changed_source_is_decoded_again(photos, load, encode, decoded, caplog):
    load()
    (photos / "Cat" / "0.jpg").write_bytes(encode(99))
    np.testing.assert_array_equal(load().images[0], decode(encode(99)))
    (photos / "Dog" / "7.jpg").write_bytes(encode(7))
    assert len(load()) == 9
    assert len(decoded) == 8 + 8 + 9
    assert "its source or the way of decoding has changed" in caplog.text


def test_a_cache_is_not_open_when_it_is_replaced(photos, load, encode, monkeypatch):
    """Windows renames no folder whose file is open."""
    load()
    (photos / "Cat" / "0.jpg").write_bytes(encode(99))
    opened: list[weakref.ref] = []
    moved: list[Path] = []
    np_load = np.load

    def opening(*arguments, **options):
        array = np_load(*arguments, **options)
        opened.append(weakref.ref(array))
        return array

    def moving(source: Path, target: Path) -> None:
        assert not any(array() is not None for array in opened)
        moved.append(source)
        move(source, target)

    monkeypatch.setattr(cache.np, "load", opening)
    monkeypatch.setattr(cache, "move", moving)
    load()
    assert len(opened) == 3  # it is looked at again when the lock is held
    assert len(moved) == 2


@pytest.fixture
def killed(load, root, encode, monkeypatch) -> Path:
    """What a run leaves that is killed at the sixth of eight images, in pieces of two."""
    monkeypatch.setattr(pieces, "PIECE", 2)

    def dying(data: bytes, size: int) -> np.ndarray:
        if data == encode(5, size=(70, 64)):
            raise KeyboardInterrupt
        return decode(data, size)

    filters = list(warnings.filters)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "decode", dying)
        with pytest.raises(KeyboardInterrupt):
            load()
    assert warnings.filters == filters
    (unfinished,) = caches(root)
    return unfinished


def test_a_run_killed_half_way_leaves_no_cache_and_is_resumed(killed, load, root, photos, decoded):
    found = load()
    assert len(decoded) == 4  # after two whole pieces
    expected = decode_all(Source(photos, labelled=True))
    np.testing.assert_array_equal(found.images, expected.images)
    assert (found.names, found.labels.tolist()) == (expected.names, expected.labels.tolist())
    (folder,) = caches(root)
    assert {path.name for path in folder.iterdir()} == {"images.npy", "metadata.json"}


def half_a_line(unfinished: Path) -> None:
    with (unfinished / "pieces.jsonl").open("a") as file:
        file.write('{"images": 6, "ro')


def other_rows(unfinished: Path) -> None:
    """As a power cut leaves them, of the second piece."""
    with (unfinished / "new" / "images.npy").open("r+b") as file:
        file.truncate(128 + 3 * 64 * 64 * 3)


def another_source(unfinished: Path) -> None:
    lines = (unfinished / "pieces.jsonl").read_text()
    (unfinished / "pieces.jsonl").write_text(lines.replace('"size": 64', '"size": 65', 1))


@pytest.mark.parametrize(("damage", "again"), [(half_a_line, 4), (other_rows, 6), (another_source, 8)])
def test_what_is_not_whole_is_decoded_again(killed, load, photos, decoded, damage, again):
    damage(killed)
    np.testing.assert_array_equal(load().images, decode_all(Source(photos, labelled=True)).images)
    assert len(decoded) == again + 8  # and for the comparison


@pytest.mark.parametrize(("broken", "again"), [("skip", 1), ("blank", 0)])  # the last one belongs to no piece
def test_a_resumed_run_remembers_unreadable_images(with_broken, load, monkeypatch, decoded, broken, again):
    monkeypatch.setattr(pieces, "PIECE", 2)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_file_hash", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            load(broken=broken)
    assert len(decoded) == 8
    found, expected = load(broken=broken), decode_all(Source(with_broken, labelled=True), broken=broken)
    assert len(decoded) == 8 + again + 8  # and for the comparison
    np.testing.assert_array_equal(found.images, expected.images)
    assert (found.names, found.skipped) == (expected.names, expected.skipped)


def test_several_runs_at_once(photos, load, root, decoded):
    start = threading.Barrier(6)

    def run(_: int) -> DecodedImages:
        start.wait()
        return load()

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(run, range(6)))
    expected = decode_all(Source(photos, labelled=True)).images
    for found in results:
        np.testing.assert_array_equal(found.images, expected)
    assert len(caches(root)) == 1
    assert len(decoded) == 8 + 8  # by one run only, and for the comparison


@pytest.fixture
def with_broken(photos, encode) -> Path:
    (photos / "Cat" / "1.jpg").write_bytes(encode(1)[:300])
    (photos / "Dog" / "3.jpg").write_bytes(b"a text")
    return photos


def test_broken_images_of_a_training_set_are_skipped_and_named(with_broken, load, caplog):
    for _ in range(2):  # when decoded, and when read from the cache
        caplog.clear()
        found = load()
        assert len(found) == len(found.images) == 6
        assert found.names == ("Cat/0.jpg", "Cat/2.jpg", "Cat/3.jpg", "Dog/0.jpg", "Dog/1.jpg", "Dog/2.jpg")
        assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
        assert found.skipped["Cat/1.jpg"] == "it is truncated"
        assert found.skipped["Dog/3.jpg"].startswith("it is not an image")
        assert "left out" in caplog.text
        assert "Cat/1.jpg: it is truncated" in caplog.text
    np.testing.assert_array_equal(found.images[1], decode((with_broken / "Cat" / "2.jpg").read_bytes()))


@pytest.mark.parametrize("cached", [True, False])
def test_broken_test_images_are_grey_or_left_out(with_broken, caplog, cached):
    def read(**options) -> DecodedImages:
        source = Source(with_broken, labelled=False)
        return (cache.load if cached else decode_all)(source, **options)

    found = read(broken="blank")
    assert "replaced by grey ones" in caplog.text
    assert len(found) == 8
    assert (found.images[1] == BLANK).all()
    assert set(found.skipped) == {"Cat/1.jpg", "Dog/3.jpg"}
    assert len(read()) == 6


def test_a_warning_names_no_more_than_ten(make_files, encode, caplog):
    files = {f"Cat/{n}.jpg": b"broken" for n in range(25)} | {"Cat/99.jpg": encode(1), "Dog/1.jpg": encode(2)}
    found = cache.load(Source(make_files("many", files), labelled=True))
    assert len(found.skipped) == 25
    assert caplog.text.count("it is not an image") == 10
    assert "and 15 more" in caplog.text


def test_a_class_without_a_readable_image_is_refused(make_files, encode, root):
    source = Source(make_files("set", {"Cat/1.jpg": b"x", "Dog/1.jpg": encode(1)}), labelled=True)
    for broken in ("skip", "blank"):
        with pytest.raises(DataError, match=r"No image of class Cat in .* can be read"):
            cache.load(source, broken=broken)
    assert caches(root) == []
    with pytest.raises(DataError, match=r"No image in .* can be read"):
        decode_all(Source(make_files("test", {"1.jpg": b"x"}), labelled=False), broken="blank")


def test_a_root_that_cannot_be_written_and_the_usual_one(tmp_path, monkeypatch, load):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIT_A1_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written: .*LIT_A1_CACHE"):
        load()
    monkeypatch.delenv("LIT_A1_CACHE")
    assert cache_root() == Path("data/cache")
