"""The published layouts of cat and dog images, zipped or not, and where to look for them."""

import logging
import os
import re
import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from lit_a1.data.decode import SUFFIXES, SUFFIXES_OF
from lit_a1.data.errors import DataError
from lit_a1.data.sources.files import FolderFiles, NamedFiles, ZipFiles

TRAIN_NAMES = ("trainset", "train", "PetImages", "kagglecatsanddogs_5340")
TEST_NAMES = ("testset", "test1", "test")
BELOW_ROOT = ("", "catsdogs", "dogs-vs-cats")
_NOT_CLASSES = {name.lower() for name in ("cache", "mnist", *TEST_NAMES, *TRAIN_NAMES, *BELOW_ROOT)}
FORMATS = ", ".join(SUFFIXES_OF)
NAMED = 5  # most left-out files a message names
_KAGGLE = re.compile(r"(cat|dog)\.\d+\.\w+", re.IGNORECASE)

log = logging.getLogger(__name__)


class SourceImage(NamedTuple):
    """One image of a source."""

    name: str  # path without the folders that only wrap the set, with forward slashes: the same zipped or unpacked
    label: int | None  # index into the source's `classes`; None if unlabelled
    entry: str  # its whole path below the source


class Source:
    """The images of a folder or a zip file, listed at first use.

    Args:
        path: a folder or a zip file; if unlabelled, also an image's file, or several files and folders.
        labelled: True for a training set: one sub-folder a class, or Kaggle's `cat.0.jpg`, `dog.0.jpg` ... in one
            folder. Classes are in alphabetical order, ignoring case, so Cat is 0 and Dog is 1.
            False for test images and any photos: every image, at any depth.

    Raises:
        DataError: `path` does not exist. Listing also raises it: for a damaged or unsafe zip file, for fewer than two
            classes, for a class without images, and if there is no image at all.
    """

    def __init__(self, path: Path | str | Sequence[str], *, labelled: bool) -> None:
        self.paths = [Path(path)] if isinstance(path, Path | str) else list(map(Path, path))
        self.path = self.paths[0] if len(self.paths) == 1 else Path("the photos named")
        self.labelled = labelled
        if missing := [str(path) for path in self.paths if not path.exists()]:
            kinds = "folder or zip file" if labelled else "photo, folder or zip file"
            raise DataError(f"There is no {kinds} {', '.join(missing)}.")

    @property
    def images(self) -> list[SourceImage]:
        """All images, 2.jpg before 10.jpg; if labelled, sorted by class first."""
        return self._listing[0]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their labels; empty if unlabelled."""
        return self._listing[1]

    def read(self, image: SourceImage) -> bytes:
        """The bytes of an image's file, or a DataError of a few words that follow its name; thread-safe."""
        return self._files.read(image.entry)

    def fingerprint(self) -> dict[str, str | int]:
        """Changes when the files do: a zip's path, size and time, or a hash of a folder's listing."""
        return {"path": str(self.path.resolve()), **self._files.fingerprint()}

    @cached_property
    def _files(self) -> FolderFiles | ZipFiles:
        path, several = self.path, len(self.paths) > 1
        if not several and path.is_dir():
            return FolderFiles(path)
        is_zip = path.suffix.lower() == ".zip" or (path.is_file() and zipfile.is_zipfile(path))
        if several or (not self.labelled and (_is_image(path.name) or not is_zip)):
            return NamedFiles(self.paths)
        return ZipFiles(path)

    def _may_be_image(self, file: str) -> bool:
        """Whether a file has an image's suffix, or was named itself: then reading shows whether it is an image."""
        return _is_image(file) or (isinstance(self._files, NamedFiles) and Path(file) in self.paths)

    @cached_property
    def _listing(self) -> tuple[list[SourceImage], tuple[str, ...]]:
        files = sorted(filter(self._may_be_image, self._files.files), key=natural_key)
        if not (files and self.labelled):
            self._log_left_out(None)
        if not files:
            raise DataError(f"There is no image in {self.path} (looked for {', '.join(sorted(SUFFIXES))}).")
        if self.labelled:
            images, classes = _by_class(self.path, files, self._files.folders)
            self._log_left_out({os.path.dirname(image.entry) for image in images})  # noqa: PTH120 (as below)
            return images, classes
        if isinstance(self._files, NamedFiles):
            return [SourceImage(file, None, file) for file in files], ()
        wrapper = re.compile(f"(({'|'.join(TEST_NAMES)})/)*", re.IGNORECASE)
        top = min((match[0] for file in files if (match := wrapper.match(file))), key=len)
        return [SourceImage(file.removeprefix(top), None, file) for file in files], ()

    def _log_left_out(self, folders: set[str] | None) -> None:
        """Logs which files of other formats are left out, in `folders` alone or in all."""
        left_out = [file for file in self._files.files if not self._may_be_image(file)]
        left_out = [file for file in left_out if folders is None or os.path.dirname(file) in folders]  # noqa: PTH120
        if left_out:
            named = ", ".join(sorted(left_out, key=natural_key)[:NAMED])
            more = f" and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
            log.info("Left out of %s, because only %s can be read: %s%s.", self.path, FORMATS, named, more)


def data_root() -> Path:
    """The folder to look for datasets in: the environment variable LIT_A1_DATA, else `data`."""
    root = Path(os.environ.get("LIT_A1_DATA") or "data")
    if os.environ.get("LIT_A1_DATA") and not root.is_dir():
        raise DataError(f"LIT_A1_DATA names {root}, which is not a folder.")
    return root


def find_train(root: Path) -> Source | None:
    """The training set below `root`: `catsdogs/trainset.zip` and the like, or folders of classes in `root`."""
    if (path := _first_of(root, TRAIN_NAMES)) is None:
        path = next((root / below for below in BELOW_ROOT if _holds_classes(root / below)), None)
    return None if path is None else Source(path, labelled=True)


def find_test(root: Path) -> Source | None:
    """The test set below `root`: `catsdogs/testset.zip` and the like."""
    path = _first_of(root, TEST_NAMES)
    return None if path is None else Source(path, labelled=False)


def natural_key(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Sorts numbers by their value: 1, 2, 10 and not 1, 10, 2."""
    parts = re.split(r"0*([0-9]+)", name.lower())  # every second part is a number, which may be too long for `int`
    return [(len(part), part) if place % 2 else part for place, part in enumerate(parts)], name


def _first_of(root: Path, names: tuple[str, ...]) -> Path | None:
    paths = (root / below / (name + suffix) for below in BELOW_ROOT for name in names for suffix in (".zip", ""))
    return next(filter(Path.exists, paths), None)


def _is_image(file: str) -> bool:
    return os.path.splitext(file)[1].lower() in SUFFIXES  # noqa: PTH122 (20,000 Path objects take 0.1 s)


def _by_class(path: Path, files: list[str], folders: list[str]) -> tuple[list[SourceImage], tuple[str, ...]]:
    """The images of a training set, sorted by class, and the names of the classes."""
    top = _top_folder(files, folders)
    name_of = {file: file.removeprefix(top) for file in files if file.startswith(top)}
    class_of = {file: name[:3].lower() for file, name in name_of.items() if _KAGGLE.fullmatch(name)}
    if class_of:
        class_names = set(class_of.values())
    else:
        class_of = {file: name.partition("/")[0] for file, name in name_of.items() if "/" in name}
        class_names = {folder.removeprefix(top).partition("/")[0] for folder in folders if folder.startswith(top)}
        class_names = {name for name in class_names if name and name.lower() not in _NOT_CLASSES}
    names = sorted(class_names, key=lambda name: (name.lower(), name))
    if len(pair := _cat_and_dog(names)) == 2 < len(names):
        log.info("Left out of %s, beside %s and %s: %s.", path, *pair, ", ".join(sorted(class_names - set(pair))))
        names = pair
    if len(names) < 2:
        raise DataError(
            "A training set needs two or more classes, one sub-folder each, such as Cat and Dog; "
            f"{path} has {'only ' + names[0] if names else 'none'}."
        )
    images = []
    for label, name in enumerate(names):
        class_images = [SourceImage(name_of[file], label, file) for file in name_of if class_of.get(file) == name]
        if not class_images:
            raise DataError(f"The class {name} of {path} has no image.")
        images += class_images
    return images, ("Cat", "Dog") if len(_cat_and_dog(names)) == 2 else tuple(names)


def _cat_and_dog(names: list[str]) -> list[str]:
    """The names of one class of cats and one of dogs, in this order; empty if there are others, or not both."""
    found = sorted((name.lower().removesuffix("s"), name) for name in names)
    found = [each for each in found if each[0] in ("cat", "dog")]
    return [name for _, name in found] if [kind for kind, _ in found] == ["cat", "dog"] else []


def _top_folder(files: list[str], folders: list[str]) -> str:
    """The folder of the classes' folders (or of Kaggle's images), below any that only wrap it."""
    top = ""
    while True:
        inside = {folder for folder in folders if folder.startswith(top) and folder.count("/") == top.count("/") + 1}
        if len(inside) != 1:
            return top
        below = inside.pop()
        names = [file.removeprefix(below) for file in files if file.startswith(below)]
        if any("/" not in name and not _KAGGLE.fullmatch(name) for name in names):
            return top  # it holds images: it is itself a class
        top = below


def _holds_classes(folder: Path) -> bool:
    """True if two or more sub-folders each directly hold images, or if they are named for cats and dogs."""
    if not folder.is_dir():
        return False
    inside = [entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    classes = [entry for entry in inside if entry.name.lower() not in {"cache", "mnist"}]
    if _cat_and_dog([entry.name for entry in classes]):
        return True
    return (
        len(classes) >= 2
        and all(entry.name.lower() not in _NOT_CLASSES for entry in classes)
        and all(any(_is_image(file.name) for file in entry.iterdir()) for entry in classes)
    )
