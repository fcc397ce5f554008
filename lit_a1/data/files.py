"""Files that are written whole or not at all."""

import csv
import errno
import glob
import io
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ModuleNotFoundError:  # on Windows
    fcntl = None  # type: ignore[assignment]

ABANDONED = 3600  # seconds after which an unfinished file is nobody's, where the system can't tell
OF_A_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM)
WAITS = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds between two tries to move what is open


@contextmanager
def naming(path: Path, unfinished: Path | None = None) -> Iterator[None]:
    """Has an OSError of the disk that names no file, or an `unfinished` one, name this one."""
    try:
        yield
    except OSError as error:
        if error.filename in (None, str(unfinished)) and error.errno in OF_A_DISK:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives the path of a new file beside `path`, to be written in the block; it takes `path`'s place at its end.

    A process that is killed, or a block that fails, leaves `path` as it was. What a killed one left beside it is
    removed the next time. An OSError names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for other in path.parent.glob(f".{glob.escape(path.name)}-*"):
        if _is_abandoned(other):
            other.unlink(missing_ok=True)
    unfinished = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with naming(path, unfinished):
            descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                _lock(descriptor)
                yield unfinished
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            move(unfinished, path)
    except BaseException:
        with suppress(OSError):  # the first error is the one to tell
            unfinished.unlink(missing_ok=True)
        raise


def _lock(descriptor: int) -> bool:
    """Marks a file as one that a process writes, which the system takes back when that ends; False where another has.

    Some disks, and Windows, have no such marks.
    """
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def _is_abandoned(unfinished: Path) -> bool:
    """Whether no process writes it any more."""
    try:
        with unfinished.open("rb") as file:
            return _lock(file.fileno()) or time.time() - os.fstat(file.fileno()).st_mtime > ABANDONED
    except OSError:  # it is gone
        return False


def move(source: Path, target: Path) -> None:
    """Renames a file, which takes the place of another, or a folder.

    Windows refuses that (PermissionError) while any program has one of them open, as virus scanners do with what is
    new: it is tried again for a few seconds.
    """
    for wait in (*WAITS, None):
        try:
            source.replace(target)
            return
        except PermissionError as error:
            if wait is None:
                reason = "it can't be replaced: another program has it open, or its folder is write-protected"
                raise PermissionError(error.errno, reason, str(target)) from error
            time.sleep(wait)


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole; file names that are not UTF-8 keep their bytes."""
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes a CSV, whole."""
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n", quoting=quoting)
        writer.writerow(header)
        writer.writerows(rows)
        if "\r" not in text.getvalue():  # which is else left bare, and read as the end of a row
            break
    write_text(path, text.getvalue())
