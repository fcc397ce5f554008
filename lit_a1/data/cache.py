"""Decoded sets of images: memory-mapped uint8 arrays on disk, each with a JSON file that describes it."""

import hashlib
import json
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from tqdm import tqdm

from lit_a1.data.decode import decode
from lit_a1.data.errors import DataError
from lit_a1.data.files import move
from lit_a1.data.pieces import Pieces
from lit_a1.data.sources.layouts import Source, SourceImage

FORMAT = 1  # raise this when the stored data or the decoding changes: older caches are then rebuilt
BLANK = 128  # grey level of the image that replaces an unreadable one
CHUNK = 1024  # images decoded at a time
NAMED = 10  # most unreadable files a warning names

log = logging.getLogger(__name__)
Broken = Literal["skip", "blank"]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """A decoded set of N images."""

    images: NDArray[np.uint8]  # (N,H,W,3), RGB; from the cache, a read-only memory map
    labels: NDArray[np.int64] | None  # (N,), indices into `classes`; None if unlabelled
    names: tuple[str, ...]  # N names, as `SourceImage.name`
    classes: tuple[str, ...]  # empty if unlabelled
    skipped: dict[str, str]  # by name, why a file could not be read; it is left out, or kept as a grey image

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def hashes(self) -> NDArray[np.str_]:
        """(N,) `pixel_hash` of each image."""
        return np.array([pixel_hash(image) for image in self.images])

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """(N,) numbers of the groups of exact copies, as `groups_of_copies`."""
        return groups_of_copies(self.hashes)


def pixel_hash(image: NDArray[np.uint8]) -> str:
    """SHA-256 of the pixels, hexadecimal: equal for images of one size with equal pixels."""
    return hashlib.sha256(image.tobytes()).hexdigest()


def groups_of_copies(hashes: NDArray[np.str_]) -> NDArray[np.int64]:
    """(N,) numbers of the groups of equal hashes, 1, 2, ... in order of appearance; 0 for a hash that occurs once."""
    _, first, inverse, count = np.unique(hashes, return_index=True, return_inverse=True, return_counts=True)
    numbers = np.zeros(len(first), dtype=np.int64)
    shared = np.flatnonzero(count > 1)
    numbers[shared[np.argsort(first[shared])]] = np.arange(1, len(shared) + 1)
    return numbers[inverse]


def cache_root() -> Path:
    """The folder of all caches: the environment variable LIT_A1_CACHE, else `data/cache`."""
    return Path(os.environ.get("LIT_A1_CACHE") or Path("data", "cache"))


def load(source: Source, size: int = 64, *, broken: Broken = "skip") -> DecodedImages:
    """The images of a source, decoded at the first call and read from the cache after that.

    A cache is built again if it is missing or damaged (its SHA-256 differs), or its source has changed. It is written
    in its own folder, which is renamed when complete. If a run is killed half-way, the next one resumes after the last
    complete piece. If several runs start at once, one builds it under a lock, and the others wait and read.

    `broken` says what to do with a file that can't be decoded: `skip` leaves it out, `blank` puts a grey image in
    its place. Both log a warning that names it.

    Raises:
        DataError: as `Source` says, no image of a class is readable, or the cache can't be written.
    """
    description = {"format": FORMAT, "size": size, "labelled": source.labelled, "source": source.fingerprint()}
    identity = _json_hash([str(source.path.resolve()), source.labelled])
    folder = cache_root() / f"{source.path.stem}-{size}-{identity[:8]}"
    found = _open(folder, description, broken)
    if isinstance(found, str):
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.parent / f".{folder.name}.lock"):
                found = _open(folder, description, broken)  # another run may have built it just now
                if isinstance(found, str):
                    if folder.exists():
                        log.warning("The cache %s is built again: %s.", folder, found)
                    _build(folder, source, description, broken)
                    found = _open(folder, description, broken)
        except OSError as error:
            raise DataError(
                f"The cache {folder} cannot be written: {error.strerror}; LIT_A1_CACHE can name another place."
            ) from error
    if isinstance(found, str):  # someone removed or changed it meanwhile
        raise DataError(f"The cache {folder} was written, but can't be read back: {found}.")
    _warn_of(found.skipped, source, broken)
    return found


def decode_all(source: Source, size: int = 64, *, broken: Broken = "skip") -> DecodedImages:
    """As `load`, but in memory without a cache: for a folder of photos that is labelled once."""
    kept: list[SourceImage] = []
    skipped: dict[str, str] = {}
    rows = list(_decode_images(source, size, broken, kept, skipped))
    _warn_of(skipped, source, broken, named=len(skipped))
    labels = np.array([image.label for image in kept], dtype=np.int64) if source.labelled else None
    return DecodedImages(np.stack(rows), labels, tuple(image.name for image in kept), source.classes, skipped)


def map_in_threads(
    function: Callable[[SourceImage], T], images: list[SourceImage], title: str, done: int = 0
) -> Iterator[T]:
    """`function` of each image after the first `done`, in order, computed by a pool of threads under a progress bar.

    Pillow's warnings about single files are hidden meanwhile. Hiding them inside the threads would not be safe.
    """
    bar = tqdm(total=len(images), initial=done, desc=title, unit="images", disable=None)
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool, bar:
        warnings.filterwarnings("ignore", module=r"PIL\.")
        for start in range(done, len(images), CHUNK):  # limits how many results wait in memory
            for result in pool.map(function, images[start : start + CHUNK]):
                bar.update()
                yield result


def _decode_images(
    source: Source, size: int, broken: Broken, kept: list[SourceImage], skipped: dict[str, str], done: int = 0
) -> Iterator[NDArray[np.uint8]]:
    """Yields the decoded images after the first `done`; lists them in `kept`, and in `skipped` why others failed."""

    def attempt(image: SourceImage) -> NDArray[np.uint8] | DataError:
        try:
            return decode(source.read(image), size)
        except DataError as error:
            return error

    results = map_in_threads(attempt, source.images, f"Decoding {source.path.name}", done)
    for image, result in zip(source.images[done:], results, strict=True):
        if isinstance(result, DataError):
            skipped[image.name] = str(result)
            if broken != "blank":
                continue
            result = np.full((size, size, 3), BLANK, dtype=np.uint8)
        kept.append(image)
        yield result
    readable = [image for image in kept if image.name not in skipped]
    missing = set(range(len(source.classes))) - {image.label for image in readable}
    if missing or not readable:
        which = f"of class {source.classes[min(missing)]} " if missing else ""
        raise DataError(f"No image {which}in {source.path} can be read: {_listed(skipped, '; ')}.")


def _build(folder: Path, source: Source, description: dict[str, Any], broken: Broken) -> None:
    """Writes a cache, from where a killed run left it; the caller holds the lock."""
    unfinished = folder.with_name(f".{folder.name}-unfinished")
    new, kept, skipped = unfinished / "new", list[SourceImage](), dict[str, str]()
    try:
        new.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(unfinished / "old", ignore_errors=True)
        (new / "images.npy").touch()
        with (
            (new / "images.npy").open("r+b") as file,
            (unfinished / "pieces.jsonl").open("a+", encoding="utf-8") as lines,
        ):
            start = _write_header(file, len(source.images), description["size"])
            pieces = Pieces(file, lines, {**description, "broken": broken}, description["size"] ** 2 * 3, kept, skipped)
            for row in _decode_images(source, description["size"], broken, kept, skipped, pieces.resume(source.images)):
                pieces.add(row)
            file.seek(0)
            if _write_header(file, len(kept), description["size"]) != start:
                raise RuntimeError("the .npy header changed its length")
        body = {
            **description,
            "classes": source.classes,
            "names": [image.name for image in kept],
            "labels": [image.label for image in kept] if source.labelled else None,
            "broken": broken if skipped else None,
            "skipped": skipped,
            "images_sha256": _file_hash(new / "images.npy"),
        }
        text = json.dumps({"metadata_sha256": _json_hash(body), **body}, indent=1)
        (new / "metadata.json").write_text(text, encoding="utf-8")
        (unfinished / "pieces.jsonl").unlink()
        if folder.exists():  # stale or damaged
            move(folder, unfinished / "old")
        move(new, folder)
    except Exception:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(unfinished, ignore_errors=True)


def _open(folder: Path, description: dict[str, Any], broken: Broken) -> DecodedImages | str:
    """The set in a cache; or why it must be built again, in a few words."""
    try:
        metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        sha256 = _file_hash(folder / "images.npy")
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, EOFError) as error:
        return f"it is damaged ({error})"
    if not isinstance(metadata, dict) or metadata.pop("metadata_sha256", None) != _json_hash(metadata):
        return "metadata.json was altered"
    if {key: metadata.get(key) for key in description} != description or metadata["broken"] not in (None, broken):
        return "its source or the way of decoding has changed"
    names, classes, labels = tuple(metadata["names"]), tuple(metadata["classes"]), metadata["labels"]
    if sha256 != metadata["images_sha256"]:
        return "images.npy was altered (its SHA-256 differs)"
    labels = None if labels is None else np.array(labels, dtype=np.int64)
    return DecodedImages(images, labels, names, classes, metadata["skipped"])


def _write_header(file: BinaryIO, count: int, size: int) -> int:
    """Writes a .npy header and returns its length, which does not depend on `count`: NumPy leaves it room to grow."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json_hash(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _listed(skipped: dict[str, str], separator: str, named: int = NAMED) -> str:
    lines = [f"{name}: {reason}" for name, reason in list(skipped.items())[:named]]
    return separator.join([*lines, f"and {len(skipped) - named} more"] if len(skipped) > named else lines)


def _warn_of(skipped: dict[str, str], source: Source, broken: Broken, named: int = NAMED) -> None:
    if skipped:
        fate = "left out" if broken == "skip" else "replaced by grey ones"
        log.warning("Unreadable images of %s, %s:\n  %s", source.path, fate, _listed(skipped, "\n  ", named))
