import json
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

from lit_a1.data import cache
from lit_a1.data.cache import BLANK, cache_root, decode_all, load
from lit_a1.data.decode import decode
from lit_a1.data.errors import DataError
from lit_a1.data.files import move
from lit_a1.data.sources import Source


@pytest.fixture
def photos(encode, make_folder) -> Path:
    files = {
        f"{kind}/{n}.jpg": encode(n + 10 * (kind == "Dog"), size=(70, 64)) for kind in ("Cat", "Dog") for n in range(4)
    }
    return make_folder("photos", files)


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """One entry for each picture that is decoded."""
    calls: list[int] = []

    def counting(data: bytes, size: int) -> np.ndarray:
        calls.append(len(data))
        return decode(data, size)

    monkeypatch.setattr(cache, "decode", counting)
    return calls


def caches(root: Path) -> list[Path]:
    """Everything in the folder of caches but the locks."""
    return [path for path in root.iterdir() if path.suffix != ".lock"]


def metadata_of(root: Path) -> Path:
    (path,) = root.glob("*/metadata.json")
    return path


def array_of(root: Path) -> Path:
    (path,) = root.glob("*/pictures.npy")
    return path


def test_what_is_cached_is_what_is_decoded(photos, root, decoded):
    source = Source(photos, labelled=True)
    first, again = load(source, 32, root=root), load(Source(photos, labelled=True), 32, root=root)
    assert len(decoded) == len(first) == 8
    for found in (first, again):
        assert isinstance(found.pictures, np.memmap)
        assert found.pictures.shape == (8, 32, 32, 3)
        assert found.labels is not None
        assert found.labels.dtype == np.int64
        assert found.labels.tolist() == [0] * 4 + [1] * 4
        assert found.names == tuple(picture.name for picture in source.pictures)
        assert found.classes == ("Cat", "Dog")
        assert found.skipped == {}
        for row, picture in zip(found.pictures, source.pictures, strict=True):
            np.testing.assert_array_equal(row, decode(source.read(picture), 32))


def test_the_map_is_read_only(photos, root):
    found = load(Source(photos, labelled=True), root=root)
    with pytest.raises(ValueError, match="read-only"):
        found.pictures[0, 0, 0, 0] = 1


def test_in_memory_is_the_same(photos, root):
    source = Source(photos, labelled=True)
    cached, direct = load(source, root=root), decode_all(source)
    np.testing.assert_array_equal(cached.pictures, direct.pictures)
    np.testing.assert_array_equal(cached.labels, direct.labels)
    assert (cached.names, cached.classes) == (direct.names, direct.classes)


def test_sets_and_sizes_have_their_own_caches(photos, root, decoded):
    for source, size in (
        (Source(photos, labelled=True), 64),
        (Source(photos, labelled=True), 32),
        (Source(photos, labelled=False), 64),
    ):
        load(source, size, root=root)
        load(source, size, root=root)
    assert len(decoded) == 24
    unlabelled = load(Source(photos, labelled=False), root=root)
    assert unlabelled.labels is None
    assert unlabelled.classes == ()


def test_nothing_half_written_is_left_behind(photos, root):
    load(Source(photos, labelled=True), root=root)
    (folder,) = caches(root)
    assert sorted(path.name for path in folder.iterdir()) == ["metadata.json", "pictures.npy"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def relabel(path: Path) -> None:
    path.write_text(path.read_text().replace('"labels": [\n  0,', '"labels": [\n  1,'))


def declare_more(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"(8, 64, 64, 3)", b"(6, 64, 64, 3)"))


def other_format(path: Path) -> None:
    body = json.loads(path.read_text())
    del body["metadata_sha256"]
    body["format"] = 0
    path.write_text(json.dumps({"metadata_sha256": cache._json_hash(body), **body}))


@pytest.mark.parametrize(
    ("which", "damage", "told"),
    [
        (array_of, truncate, "damaged"),
        (array_of, flip_last_byte, "pictures.npy was altered"),
        (array_of, declare_more, "another shape"),
        (array_of, Path.unlink, "pictures.npy is missing"),
        (metadata_of, truncate, "damaged"),
        (metadata_of, relabel, "metadata.json was altered"),
        (metadata_of, other_format, "has changed"),
        (metadata_of, Path.unlink, "metadata.json is missing"),
    ],
)
def test_a_damaged_cache_is_built_again(photos, root, decoded, caplog, which, damage, told):
    before = np.array(load(Source(photos, labelled=True), root=root).pictures)
    damage(which(root))
    caplog.clear()
    found = load(Source(photos, labelled=True), root=root)
    assert len(decoded) == 16
    assert "is built again" in caplog.text
    assert told in caplog.text
    np.testing.assert_array_equal(found.pictures, before)
    assert found.labels is not None
    assert found.labels.tolist() == [0] * 4 + [1] * 4
    caplog.clear()
    load(Source(photos, labelled=True), root=root)
    assert len(decoded) == 16
    assert caplog.text == ""


def test_a_changed_source_is_decoded_again(photos, root, encode, decoded, caplog):
    load(Source(photos, labelled=True), root=root)
    (photos / "Cat" / "0.jpg").write_bytes(encode(99))
    found = load(Source(photos, labelled=True), root=root)
    np.testing.assert_array_equal(found.pictures[0], decode(encode(99)))
    (photos / "Dog" / "7.jpg").write_bytes(encode(7))
    assert len(load(Source(photos, labelled=True), root=root)) == 9
    assert len(decoded) == 8 + 8 + 9
    assert "its source or the way of decoding has changed" in caplog.text


def test_a_cache_is_not_open_when_it_is_replaced(photos, root, encode, monkeypatch):
    """Windows renames no folder whose file is open."""
    load(Source(photos, labelled=True), root=root)
    (photos / "Cat" / "0.jpg").write_bytes(encode(99))
    opened: list[weakref.ref] = []
    moved: list[Path] = []

    def opening(*arguments, **options):
        array = np_load(*arguments, **options)
        opened.append(weakref.ref(array))
        return array

    def moving(source: Path, target: Path) -> None:
        assert not any(array() is not None for array in opened)
        moved.append(source)
        move(source, target)

    np_load = np.load
    monkeypatch.setattr(cache.np, "load", opening)
    monkeypatch.setattr(cache, "move", moving)
    load(Source(photos, labelled=True), root=root)
    assert len(opened) == 3  # it is looked at again when the lock is held
    assert len(moved) == 2


def test_a_run_killed_half_way_leaves_no_cache(photos, root, monkeypatch):
    def killed(data: bytes, size: int) -> np.ndarray:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "decode", killed)
        with pytest.raises(KeyboardInterrupt):
            load(Source(photos, labelled=True), root=root)
    assert caches(root) == []
    assert len(load(Source(photos, labelled=True), root=root)) == 8


def test_what_killed_runs_left_is_cleared(photos, root):
    load(Source(photos, labelled=True), root=root)
    left = root / f".{array_of(root).parent.name}-left"
    (left / "new").mkdir(parents=True)
    array_of(root).unlink()
    load(Source(photos, labelled=True), root=root)
    assert not left.exists()


def test_several_runs_at_once(photos, root, decoded):
    results: list[object] = []
    start = threading.Barrier(6)

    def run() -> None:
        start.wait()
        try:
            results.append(np.array(load(Source(photos, labelled=True), root=root).pictures))
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = decode_all(Source(photos, labelled=True)).pictures
    assert len(results) == 6
    for found in results:
        np.testing.assert_array_equal(found, wanted)
    assert len(caches(root)) == 1
    assert len(decoded) == 8 + 8  # by one run only, and for the comparison


@pytest.fixture
def with_broken(photos, encode) -> Path:
    (photos / "Cat" / "1.jpg").write_bytes(encode(1)[:300])
    (photos / "Dog" / "3.jpg").write_bytes(b"a text")
    return photos


def test_broken_pictures_of_a_training_set_are_skipped_and_named(with_broken, root, caplog):
    for _ in range(2):  # when decoded, and when read from the cache
        caplog.clear()
        found = load(Source(with_broken, labelled=True), root=root)
        assert len(found) == len(found.pictures) == 6
        assert found.names == ("Cat/0.jpg", "Cat/2.jpg", "Cat/3.jpg", "Dog/0.jpg", "Dog/1.jpg", "Dog/2.jpg")
        assert found.labels is not None
        assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
        assert found.skipped["Cat/1.jpg"] == "it is truncated"
        assert found.skipped["Dog/3.jpg"].startswith("it is not a picture")
        assert "left out" in caplog.text
        assert "Cat/1.jpg: it is truncated" in caplog.text
    np.testing.assert_array_equal(found.pictures[1], decode((with_broken / "Cat" / "2.jpg").read_bytes()))


def test_broken_test_pictures_are_refused_unless_asked_otherwise(with_broken, root, caplog):
    source = Source(with_broken, labelled=False)
    for read in (lambda **options: load(source, root=root, **options), lambda **options: decode_all(source, **options)):
        with pytest.raises(DataError, match=r"cannot be read: Cat/1.jpg: it is truncated; Dog/3.jpg: it is not"):
            read()
        caplog.clear()
        found = read(broken="blank")
        assert "replaced by grey ones" in caplog.text
        assert len(found) == 8
        assert (found.pictures[1] == BLANK).all()
        assert set(found.skipped) == {"Cat/1.jpg", "Dog/3.jpg"}
        assert len(read(broken="skip")) == 6
        with pytest.raises(DataError, match="cannot be read"):
            read(broken="raise")


def test_a_cache_without_broken_pictures_serves_every_policy(photos, root, decoded):
    for broken in ("skip", "blank", "raise"):
        load(Source(photos, labelled=True), root=root, broken=broken)
    assert len(decoded) == 8


def test_a_warning_names_no_more_than_ten(make_folder, encode, root, caplog):
    files = {f"Cat/{n}.jpg": b"broken" for n in range(25)} | {"Cat/99.jpg": encode(1), "Dog/1.jpg": encode(2)}
    found = load(Source(make_folder("many", files), labelled=True), root=root)
    assert len(found.skipped) == 25
    assert caplog.text.count("it is not a picture") == 10
    assert "and 15 more" in caplog.text


def test_a_class_without_a_readable_picture_is_refused(make_folder, encode, root):
    source = Source(make_folder("set", {"Cat/1.jpg": b"x", "Dog/1.jpg": encode(1)}), labelled=True)
    for broken in ("skip", "blank"):
        with pytest.raises(DataError, match=r"No picture of class Cat in .* can be read"):
            load(source, root=root, broken=broken)
    assert caches(root) == []
    with pytest.raises(DataError, match=r"No picture in .* can be read"):
        decode_all(Source(make_folder("test", {"1.jpg": b"x"}), labelled=False), broken="blank")


def test_a_place_that_cannot_be_written(photos, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written: .*LIT_A1_CACHE"):
        load(Source(photos, labelled=True), root=tmp_path / "file")


def test_arguments(photos, root):
    with pytest.raises(ValueError, match="size must be at least 1 pixel, got 0"):
        load(Source(photos, labelled=True), 0, root=root)
    with pytest.raises(ValueError, match=r"broken must be .* got 'ignore'"):
        decode_all(Source(photos, labelled=True), broken="ignore")


def test_the_root_is_named_by_the_environment(tmp_path, monkeypatch, photos):
    monkeypatch.setenv("LIT_A1_CACHE", str(tmp_path / "there"))
    assert cache_root() == tmp_path / "there"
    load(Source(photos, labelled=True))
    assert array_of(tmp_path / "there").is_file()
    monkeypatch.delenv("LIT_A1_CACHE")
    assert cache_root() == Path("data/cache")
