import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from lit_a1.data.errors import DataError
from lit_a1.data.mnist import load_mnist
from lit_a1.data.sources.mnist import PUBLISHED, find_mnist, read_idx
from tests.conftest import write_idx

DATA, LANDED = Path("data"), Path("data", "mnist")


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize("dotted", [True, False])
@pytest.mark.parametrize("below", ["", "mnist", "MNIST/raw"])
def test_every_spelling_and_place(mnist_files, tmp_path, monkeypatch, below, dotted, gz):
    folder = mnist_files(tmp_path / below, gz=gz)
    if dotted:
        for file in folder.glob("*-ubyte*"):
            file.rename(folder / file.name.replace("-idx", ".idx"))
    monkeypatch.setenv("LIT_A1_DATA", str(tmp_path))
    found = load_mnist("real")
    assert not found.drawn
    assert found.origin == str(folder)
    assert [part.images.shape for part in found[:3]] == [(50, 28, 28), (10, 28, 28), (20, 28, 28)]
    for part in found[:3]:
        assert (part.images.dtype, part.labels.dtype) == (np.uint8, np.int64)
        assert part.labels.tolist() == [index % 10 for index in range(len(part.images))]
        assert (part.images.mean(axis=2)[:, 4:24].argmax(axis=1) // 2 == part.labels).all()


@pytest.mark.parametrize(("count", "valid"), [(2, 1), (7, 1), (13, 2), (60_000, 10_000), (60_012, 10_000)])
def test_the_last_sixth_validates_but_never_more_than_ten_thousand(count, valid):
    images = np.zeros((count, 28, 28), dtype=np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(count), 256)
    for part in ("train", "t10k"):
        write_idx(DATA / f"{part}-images-idx3-ubyte", images)
        write_idx(DATA / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)
    found = load_mnist()
    order = [part.images[:, 0, 0] * 256.0 + part.images[:, 0, 1] for part in (found.train, found.valid)]
    assert len(order[1]) == valid
    assert np.concatenate(order).tolist() == list(range(count))


def test_downloads_are_found_whatever_the_environment_names(mnist_files, tmp_path, monkeypatch):
    mnist_files(LANDED)
    monkeypatch.setenv("LIT_A1_DATA", str(tmp_path))
    assert load_mnist().origin == str(LANDED)
    mnist_files(tmp_path / "mnist", train=12)
    assert load_mnist().origin == str(tmp_path / "mnist")
    monkeypatch.setenv("LIT_A1_DATA", "nowhere")
    with pytest.raises(DataError, match="LIT_A1_DATA names nowhere"):
        load_mnist()


@pytest.mark.parametrize("source", ["auto", "real"])
def test_an_incomplete_set_is_refused(mnist_files, source):
    mnist_files(LANDED)
    (LANDED / "train-labels-idx1-ubyte.gz").unlink()
    (LANDED / "t10k-images-idx3-ubyte.gz").unlink()
    words = r"incomplete in data/mnist: there is no train-labels-idx1-ubyte, t10k-images-idx3-ubyte, \.gz or not"
    with pytest.raises(DataError, match=words):
        load_mnist(source)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("train-labels-idx1", np.zeros((60, 28, 28)), r"must hold labels of the shape \(N,\); its shape is \(60, 28,"),
        ("train-images-idx3", np.zeros(60), r"must hold images of the shape \(N, 28, 28\); its shape is \(60,\)"),
        ("train-images-idx3", np.zeros((60, 32, 32)), r"of the shape \(N, 28, 28\); its shape is \(60, 32, 32\)"),
        ("train-labels-idx1", np.zeros(59), "has 60 images, but data/train-labels-idx1-ubyte.gz has 59 labels"),
        ("t10k-labels-idx1", np.arange(20), "has the label 19; labels are 0 to 9"),
    ],
)
def test_files_that_do_not_fit_are_refused(mnist_files, name, array, words):
    mnist_files(DATA)
    write_idx(DATA / f"{name}-ubyte.gz", array)
    with pytest.raises(DataError, match=words):
        load_mnist()


def test_one_image_is_refused(mnist_files):
    mnist_files(DATA, train=1)
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz has 1 labels: n_valid=1 leaves none to train on"):
        load_mnist()


@pytest.mark.usefixtures("few_drawn")
def test_drawn_never_looks_and_says_so(monkeypatch, caplog):
    monkeypatch.setenv("LIT_A1_DATA", "nowhere")
    assert load_mnist("drawn").drawn
    assert "THIS RUN USES DRAWN DIGITS" in caplog.text


@pytest.mark.usefixtures("real_mnist")
def test_mnist_itself():
    found = load_mnist("real")
    assert [len(part.labels) for part in found[:3]] == [50_000, 10_000, 10_000]
    assert found.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert found.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(np.concatenate([found.train.labels, found.valid.labels])).tolist() == [
        *(5923, 6742, 5958, 6131, 5842),
        *(5421, 5918, 6265, 5851, 5949),
    ]
    for name, path in find_mnist().items():
        data = path.read_bytes()
        if path.suffix == ".gz":
            assert (len(data), hashlib.sha256(data).hexdigest()) == PUBLISHED[name][:2]
            data = gzip.decompress(data)
        assert hashlib.sha256(data).hexdigest() == PUBLISHED[name].unpacked_sha256


# the format

IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


NOT_IDX = r"set is not an IDX file: it .*\.$"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        *((start, NOT_IDX) for start in (b"", b"\0\0\x08", b"\x89PNG\r\n\x1a\n", b"\0\0\x01\x03", b"\0\x01\x08\x01")),
        (b"\0\0\x08\0", NOT_IDX),
        (struct.pack(">HBBI4x", 0, 9, 1, 1), "set holds int8 values; only uint8 can be read"),
        (struct.pack(">HBBI4x", 0, 0x0D, 1, 1), "set holds float32 values; only uint8 can be read"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12, "is cut short"),  # sizes beyond all memory
    ],
)
def test_other_files_are_refused(tmp_path, data, words):
    (tmp_path / "set").write_bytes(data)
    with pytest.raises(DataError, match=words):
        read_idx(tmp_path / "set")


@pytest.mark.parametrize(
    ("name", "array", "damage", "words"),
    [
        ("set", IMAGES, lambda data: data[:-1], r"cut short: its sizes \(3, 4, 5\) make 60 values, and it holds 59"),
        ("set", IMAGES, lambda data: data[:10], "is cut short: it ends within the sizes of its 3 dimensions"),
        ("set", IMAGES, lambda data: data + b"more", r"is longer than it says: its sizes \(3, 4, 5\).* 64"),
        ("set.gz", IMAGES, lambda data: data[:-9], r"set\.gz cannot be unpacked: it is damaged or cut short"),
        ("set.gz", IMAGES, lambda data: data[:40] + b"?" + data[41:], r"set\.gz cannot be unpacked: it is damaged"),
        ("set.gz", IMAGES, lambda data: data + b"x", r"set\.gz cannot be unpacked: it is damaged or cut short"),
        ("set", np.empty((0, 28, 28)), lambda data: data, r"holds nothing: its sizes are \(0, 28, 28\)"),
    ],
)
def test_a_damaged_file(tmp_path, name, array, damage, words):
    path = write_idx(tmp_path / name, array)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=words):
        read_idx(path)


def test_a_file_that_cannot_be_read(tmp_path):
    for name, reason in (("nowhere", "No such file"), (".", "")):
        with pytest.raises(DataError, match=f"cannot be read: {reason}"):
            read_idx(tmp_path / name)
