"""The files of a folder or zip file: their paths, all with forward slashes, and their bytes."""

import hashlib
import logging
import os
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lit_a1.data.errors import DataError

MAX_BYTES = 1 << 28  # 256 MiB, more than any image's file
STEP = 64  # bytes unpacked at a time by bzip2 and the like, which accept no limit; a zip file may lie about sizes
_HIDDEN = re.compile(r"(^|/)(\.|__MACOSX(/|$)|Thumbs\.db$|desktop\.ini$)", re.IGNORECASE)

log = logging.getLogger(__name__)


class FolderFiles:
    """The files below a folder. Links are followed; hidden files are skipped.

    `files` are paths below the folder. `folders` are the paths of sub-folders at every depth, each ending in a slash.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: list[str] = []
        self.folders: list[str] = []
        visited: set[str] = set()  # a link to a parent folder would loop for ever
        for folder, subfolders, names in os.walk(path, followlinks=True, onerror=_refuse):
            if (real := os.path.realpath(folder)) in visited:
                subfolders.clear()
                continue
            visited.add(real)
            relative_path = Path(folder).relative_to(path).as_posix()
            prefix = "" if relative_path == "." else f"{relative_path}/"
            subfolders[:] = [name for name in subfolders if not _HIDDEN.search(name)]
            self.folders += [f"{prefix}{name}/" for name in subfolders]
            self.files += [prefix + name for name in names if not _HIDDEN.search(name)]

    def read(self, file: str) -> bytes:
        """The bytes of one of `files`; a DataError says in a few words why it can't be read."""
        path = self.path / file
        try:
            if not path.is_file() and path.exists():
                raise DataError("it is not a regular file")  # reading a pipe would block
            _check_size(path.stat().st_size)
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"it cannot be read ({error.strerror})") from error

    def fingerprint(self) -> dict[str, str | int]:
        """A hash of every file's path, size and modification time."""
        listing = hashlib.sha256()
        for file in sorted(self.files):
            path = self.path / file
            stat = path.stat() if path.exists() else path.lstat()  # a dangling link
            listing.update(os.fsencode(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\n"))
        return {"listing": listing.hexdigest()}


class NamedFiles(FolderFiles):
    """As `FolderFiles`, for files and folders named one by one; `files` are paths as given."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.path, self.folders = Path(), []
        found = [[path / file for file in FolderFiles(path).files] if path.is_dir() else [path] for path in paths]
        self.files = list(dict.fromkeys(file.as_posix() for files in found for file in files))


class ZipFiles:
    """As `FolderFiles`, for a zip file, opened once and read in place. Threads can share it, forked processes can't."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except OSError as error:
            raise DataError(f"{path} cannot be opened: {error.strerror}.") from error
        except Exception as error:  # a damaged list of entries can make zipfile raise nearly anything
            raise DataError(f"{path} is not a zip file, or is damaged or cut short ({error}).") from error
        self._entries: dict[str, zipfile.ZipInfo] = {}
        folders: set[str] = set()
        names: Counter[str] = Counter()
        for entry in self._archive.infolist():
            name = entry.filename.replace("\\", "/")
            if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in name.split("/"):
                raise DataError(f"{path} is refused: its entry {entry.filename!r} points outside the archive.")
            folders |= {name[: slash.end()] for slash in re.finditer("/", name)}
            if not name.endswith("/") and not _HIDDEN.search(name):
                self._entries[name] = entry
                names[name] += 1
        if repeats := sorted(name for name, count in names.items() if count > 1):
            log.info("%s has several entries of the same name, and the last is read: %s.", path, ", ".join(repeats[:5]))
        self.files = list(self._entries)
        self.folders = [folder for folder in folders if not _HIDDEN.search(folder)]

    def read(self, file: str) -> bytes:
        """As `FolderFiles.read`."""
        entry = self._entries[file]
        _check_size(entry.file_size)
        try:
            with self._archive.open(entry) as packed:
                if entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    return packed.read(entry.file_size)
                assert isinstance(packed, zipfile.ZipExtFile)
                packed.MIN_READ_SIZE = STEP
                return b"".join(iter(partial(packed.read1, STEP), b""))
        except Exception as error:  # as above
            raise DataError(f"it cannot be read from the zip file ({error})") from error

    def fingerprint(self) -> dict[str, str | int]:
        """The archive's size in bytes and its modification time."""
        stat = self.path.stat()
        return {"bytes": stat.st_size, "changed_ns": stat.st_mtime_ns}


def _refuse(error: OSError) -> None:
    raise DataError(f"The folder {error.filename} cannot be read: {error.strerror}.") from error


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise DataError(f"it is larger than {MAX_BYTES >> 20} MiB")
