"""Folders and zip files behind one face: a list of files, and the bytes of each."""

import hashlib
import os
import re
import zipfile
import zlib
from functools import cached_property
from pathlib import Path

from lit_a1.data.errors import DataError

MAX_BYTES = 1 << 28  # no picture's file is larger than 256 MiB
_HIDDEN = re.compile(r"(^|/)(\.|__MACOSX(/|$)|Thumbs\.db$|desktop\.ini$)", re.IGNORECASE)


class FolderStore:
    """The files below a folder; links are followed, hidden files are left aside.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def files(self) -> list[str]:
        """Paths below the folder, with forward slashes."""
        return self._listing[0]

    @property
    def folders(self) -> list[str]:
        """Paths of the sub-folders at every depth, each ending in a slash."""
        return self._listing[1]

    def read(self, file: str) -> bytes:
        """The bytes of one of `files`.

        Raises:
            DataError: It can't be read: why, in a few words.
        """
        path = self.path / file
        try:
            if path.stat().st_size > MAX_BYTES:
                raise DataError(f"it is larger than {MAX_BYTES >> 20} MiB")
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"it cannot be read ({error.strerror})") from error

    def fingerprint(self) -> dict[str, str | int]:
        """A hash of every file's path, size and time of change."""
        listing = hashlib.sha256()
        for file in sorted(self.files):
            stat = (self.path / file).stat()
            listing.update(os.fsencode(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\n"))
        return {"listing": listing.hexdigest()}

    @cached_property
    def _listing(self) -> tuple[list[str], list[str]]:
        def refuse(error: OSError) -> None:
            raise DataError(f"The folder {error.filename} cannot be read: {error.strerror}.") from error

        files: list[str] = []
        folders: list[str] = []
        seen: set[str] = set()  # a link to a folder above would go round for ever
        for folder, subfolders, names in os.walk(self.path, followlinks=True, onerror=refuse):
            if (real := os.path.realpath(folder)) in seen:
                subfolders.clear()
                continue
            seen.add(real)
            prefix = Path(folder).relative_to(self.path).as_posix() + "/"
            prefix = "" if prefix == "./" else prefix
            subfolders[:] = [name for name in subfolders if not _HIDDEN.search(name)]
            folders += [f"{prefix}{name}/" for name in subfolders]
            files += [prefix + name for name in names if not _HIDDEN.search(name)]
        return files, folders


class ZipStore:
    """The files of a zip file, opened once and read in place; threads may share it, forked processes may not.

    Args:
        path: The zip file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def files(self) -> list[str]:
        """Paths in the archive, with forward slashes."""
        return list(self._entries)

    @cached_property
    def folders(self) -> list[str]:
        """Paths of the folders at every depth, each ending in a slash."""
        names = [name.replace("\\", "/") for name in self._archive.namelist()]
        ends = {name[: slash.end()] for name in names for slash in re.finditer("/", name)}
        return [folder for folder in ends if not _HIDDEN.search(folder)]

    def read(self, file: str) -> bytes:
        """The bytes of one of `files`.

        Raises:
            DataError: It can't be read: why, in a few words.
        """
        entry = self._entries[file]
        if entry.file_size > MAX_BYTES:
            raise DataError(f"it is larger than {MAX_BYTES >> 20} MiB")
        try:
            return self._archive.read(entry)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise DataError(f"it cannot be read from the zip file ({error})") from error

    def fingerprint(self) -> dict[str, str | int]:
        """The archive's size in bytes and its time of change."""
        stat = self.path.stat()
        return {"bytes": stat.st_size, "changed_ns": stat.st_mtime_ns}

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except zipfile.BadZipFile as error:
            raise DataError(f"{self.path} is not a zip file, or is damaged or cut short ({error}).") from error
        except OSError as error:
            raise DataError(f"{self.path} cannot be opened: {error.strerror}.") from error

    @cached_property
    def _entries(self) -> dict[str, zipfile.ZipInfo]:
        entries = {}
        for entry in self._archive.infolist():
            name = entry.filename.replace("\\", "/")
            if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in name.split("/"):
                raise DataError(f"{self.path} is refused: its entry {entry.filename!r} points outside the archive.")
            if not name.endswith("/") and not _HIDDEN.search(name):
                entries[name] = entry
        return entries
