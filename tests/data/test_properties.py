"""What holds for any file of digits, any names and any set of photos."""

import contextlib
import csv
import gzip
import os
import random
import string
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lit_a1.data import cache
from lit_a1.data.cache import DecodedImages, decode_all
from lit_a1.data.errors import DataError
from lit_a1.data.files import write_csv
from lit_a1.data.sources import mnist
from lit_a1.data.sources.layouts import Source, natural_key
from lit_a1.data.sources.mnist import read_idx
from lit_a1.data.split import split
from tests.conftest import write_idx
from tests.properties import tried

# IDX files

shapes = st.lists(st.integers(1, 6), min_size=1, max_size=5).map(tuple)


@tried(60)
@given(shapes, st.booleans(), st.integers(0, 2**31))
def test_any_array_of_bytes_is_read_as_it_was_written(
    tmp_path: Path, shape: tuple[int, ...], packed: bool, seed: int
) -> None:
    """Whatever its name says of packing."""
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path = write_idx(tmp_path / ("set.gz" if packed else "set"), array)
    found = read_idx(path.replace(tmp_path / ("set" if packed else "set.gz")))
    assert found.dtype == np.uint8
    assert found.flags.writeable
    np.testing.assert_array_equal(found, array)


changes = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3), st.binary(min_size=0, max_size=9)), max_size=4)


@pytest.mark.long
@tried(300)
@given(st.booleans(), changes, st.one_of(st.none(), st.integers(0, 200)))
def test_mutated_bytes_are_an_array_or_refused(
    tmp_path: Path, packed: bool, changes: list[tuple[int, int, bytes]], end: int | None
) -> None:
    """Bytes are removed, put in, or both, and the file is cut; where it is packed before or after it is."""
    array = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    data = write_idx(tmp_path / "set", array).read_bytes()
    data = gzip.compress(data, mtime=0) if packed else data
    for place, removed, added in changes:
        data = data[:place] + added + data[place + removed :]
    (path := tmp_path / "mutated").write_bytes(data[:end])
    with contextlib.suppress(DataError):
        found = read_idx(path)
        assert found.dtype == np.uint8
        assert 0 < found.size <= len(data) or packed


def test_more_dimensions_than_numpy_has_and_more_bytes_than_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path := tmp_path / "set").write_bytes(bytes([0, 0, 8, 255]) + b"\0\0\0\1" * 255 + b"x")
    with pytest.raises(DataError, match="set is not an IDX file: it starts with the bytes 00 00 08 ff"):
        read_idx(path)
    monkeypatch.setattr(mnist, "MAX_PARTS", 3)
    for data in (bytes(4 * mnist.PART), gzip.compress(bytes(40 * mnist.PART), 1)):
        path.write_bytes(data)
        with pytest.raises(DataError, match="is not a set of digits: it holds more than 3,145,728 bytes"):
            read_idx(path)


# names

POSIX = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are not any bytes there")
letters = st.one_of(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]),
    st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF),  # of a byte that is no UTF-8
    st.sampled_from(string.digits + " .,\"'\\\r\n;=%{}[]#\u0661\u00b2\u2460\u202e\u0301😺"),
)
names = st.text(letters, max_size=20).filter(lambda name: not name.startswith(".") and len(os.fsencode(name)) < 200)


@POSIX
@pytest.mark.long
@tried(40)
@given(st.sets(names, min_size=1, max_size=6))
def test_photos_of_any_name_are_read_cached_and_listed(encode: Callable[..., bytes], found: set[str]) -> None:
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIT_A1_CACHE", f"{root}/cache")
        file_names = {f"{name}x.jpg" for name in found}
        for kind in ("Cat", "Dog"):
            for number, name in enumerate(sorted(file_names), 10 * (kind == "Dog")):
                (path := Path(root, "photos", kind, name)).parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode(number))
        source = Source(Path(root, "photos"), labelled=True)
        for images in (cache.load(source), cache.load(source), decode_all(source)):
            assert {*images.names} == {f"{kind}/{name}" for kind in ("Cat", "Dog") for name in file_names}
            assert images.skipped == {}
        assert list(images.names) == sorted(images.names, key=natural_key)


@tried(40)
@given(st.lists(st.tuples(names, names), max_size=5))
@example([("a\rb.jpg", "Dog"), ('c",\n.jpg', "Cat")])
def test_a_csv_holds_any_names(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    write_csv(tmp_path / "x.csv", ("id", "label"), rows)
    with (tmp_path / "x.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert [tuple(row) for row in csv.reader(file)] == [("id", "label"), *rows]


@tried(200)
@given(st.lists(st.text(st.sampled_from("019aA.\u0661\u00b2é"), max_size=6), min_size=2, max_size=4))
@example(["9" * 5000, "1" + "0" * 5000])
def test_numbers_in_names_are_sorted_by_their_value(found: list[str]) -> None:
    backwards = found[::-1]
    assert sorted(backwards, key=natural_key) == sorted(found, key=natural_key)
    ascii_numbers = [name for name in found if name.isascii() and name.isdecimal() and len(name) < 99]
    assert sorted(ascii_numbers, key=natural_key) == sorted(ascii_numbers, key=lambda name: (int(name), name))


# the split

photos = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 2), names), min_size=6, max_size=60, unique_by=lambda p: p[2]
)


@tried(80)
@given(photos, st.integers(0, 20), st.integers(-3, 2**40), st.randoms(use_true_random=False))
def test_the_split_of_any_photos(
    images_of: Callable[..., DecodedImages],
    found: list[tuple[int, int, str]],
    n_valid: int,
    seed: int,
    rng: random.Random,
) -> None:
    def parts_of(found: list[tuple[int, int, str]]) -> tuple[dict[str, str], DecodedImages] | str:
        images = images_of(*map(list, zip(*found, strict=True)))
        try:
            parts = split(images, n_valid, seed)
        except DataError as error:
            return str(error)
        places = [*parts.train, *parts.valid, *parts.left_out]
        assert sorted(places) == list(range(len(images)))  # disjoint, and whole
        assert list(parts.train) == sorted(parts.train)
        part = dict.fromkeys(parts.train, "train") | dict.fromkeys(parts.valid, "valid") | parts.left_out
        return {images.names[place]: name for place, name in part.items()}, images

    one = parts_of(found)
    rng.shuffle(found)
    other = parts_of(found)
    if isinstance(one, str):
        assert one == other
        return
    assert one[0] == other[0]  # whatever the order of the photos
    images, part = other[1], other[0]
    of_hash: dict[str, set[str]] = {}
    for name, group in zip(images.names, images.hashes, strict=True):
        of_hash.setdefault(group, set()).add(part[name])
    assert all(len(parts) == 1 for parts in of_hash.values())  # copies are together
    kept = [
        (name, label) for name, label in zip(images.names, images.labels.tolist(), strict=True) if len(part[name]) == 5
    ]
    sizes = np.bincount([label for _, label in kept], minlength=len(images.classes))
    valid = np.bincount([label for name, label in kept if part[name] == "valid"], minlength=len(sizes))
    largest = [max(np.bincount(images.groups[images.labels == label])[1:], default=1) for label in range(len(sizes))]
    assert (valid < sizes).all()
    assert (valid <= n_valid * sizes / sizes.sum() + 1).all()
    assert (valid > n_valid * sizes / sizes.sum() - 1 - np.array(largest)).all()
