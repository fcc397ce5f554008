import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from lit_a1.data import mnist
from lit_a1.data.errors import DataError
from lit_a1.data.mnist import load_mnist
from lit_a1.data.sources import mnist as files
from lit_a1.data.sources.mnist import PUBLISHED

DATA = Path("data")
LANDED = DATA / "mnist"
NAMES = list(PUBLISHED)
UNREACHABLE = "http://127.0.0.1:9/"


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
    assert [part.pictures.shape for part in found[:3]] == [(50, 28, 28), (10, 28, 28), (20, 28, 28)]
    for part in found[:3]:
        assert (part.pictures.dtype, part.labels.dtype) == (np.uint8, np.int64)
        assert part.labels.tolist() == [index % 10 for index in range(len(part.pictures))]
        assert (part.pictures.mean(axis=2)[:, 4:24].argmax(axis=1) // 2 == part.labels).all()


@pytest.mark.parametrize(("count", "valid"), [(2, 1), (7, 1), (13, 2), (60_000, 10_000), (60_012, 10_000)])
def test_the_last_sixth_validates_but_never_more_than_ten_thousand(write_idx, count, valid):
    pictures = np.zeros((count, 28, 28), dtype=np.uint8)
    pictures[:, 0, 0], pictures[:, 0, 1] = np.divmod(np.arange(count), 256)
    for part in ("train", "t10k"):
        write_idx(DATA / f"{part}-images-idx3-ubyte", pictures)
        write_idx(DATA / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)
    found = load_mnist()
    order = [part.pictures[:, 0, 0] * 256.0 + part.pictures[:, 0, 1] for part in (found.train, found.valid)]
    assert len(order[1]) == valid
    assert np.concatenate(order).tolist() == list(range(count))


def test_one_picture_is_too_few(mnist_files):
    mnist_files(DATA, train=1)
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz must have a picture to train on and one to"):
        load_mnist()


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


def test_swapped_files_are_refused(mnist_files):
    mnist_files(DATA)
    pictures, labels = (DATA / f"t10k-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1"))
    bytes_of_labels = labels.read_bytes()
    pictures.replace(labels)
    words = r"t10k-labels-idx1-ubyte.gz must hold labels of the shape \(N,\); its shape is \(20, 28, 28\)"
    pictures.write_bytes(gzip.compress(b"\0\0\x08\3" + bytes([0, 0, 0, 20, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(15680)))
    with pytest.raises(DataError, match=words):
        load_mnist()
    pictures.write_bytes(bytes_of_labels)
    words = r"t10k-images-idx3-ubyte.gz must hold pictures of the shape \(N, 28, 28\); its shape is \(20,\)"
    with pytest.raises(DataError, match=words):
        load_mnist()


def test_pictures_of_another_size_are_refused(mnist_files, write_idx):
    mnist_files(DATA)
    write_idx(DATA / "train-images-idx3-ubyte.gz", np.zeros((60, 32, 32)))
    with pytest.raises(DataError, match=r"pictures of the shape \(N, 28, 28\); its shape is \(60, 32, 32\)"):
        load_mnist()


def test_pictures_and_labels_of_different_number_are_refused(mnist_files, write_idx):
    mnist_files(DATA)
    write_idx(DATA / "train-labels-idx1-ubyte.gz", np.zeros(59))
    words = r"train-images-idx3-ubyte.gz has 60 pictures, but data/train-labels-idx1-ubyte.gz has 59 labels"
    with pytest.raises(DataError, match=words):
        load_mnist()


def test_labels_that_are_no_digits_are_refused(mnist_files, write_idx):
    mnist_files(DATA)
    write_idx(DATA / "t10k-labels-idx1-ubyte.gz", np.arange(20))
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz has the label 19; labels are 0 to 9"):
        load_mnist()


def test_drawn_never_looks_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(mnist, "DRAWN_TRAIN", 40)
    monkeypatch.setenv("LIT_A1_DATA", "nowhere")
    assert load_mnist("drawn").drawn
    assert "THIS RUN USES DRAWN DIGITS" in caplog.text


def test_other_sources_are_refused():
    with pytest.raises(ValueError, match="source must be auto, real or drawn; got 'fake'"):
        load_mnist("fake")  # type: ignore[arg-type]


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
    for name, path in files.find_mnist().items():
        data = path.read_bytes()
        if path.suffix == ".gz":
            assert (len(data), hashlib.sha256(data).hexdigest()) == PUBLISHED[name][:2]
            data = gzip.decompress(data)
        assert hashlib.sha256(data).hexdigest() == PUBLISHED[name].unpacked_sha256
