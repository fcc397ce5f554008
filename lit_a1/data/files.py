"""Files that are written completely or not at all."""

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

ABANDONED = 3600  # seconds after which an unfinished file counts as abandoned, if the system can't tell
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM)
WAITS = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds between tries to move a file that is open


@contextmanager
def errors_naming(path: Path, unfinished: Path | None = None) -> Iterator[None]:
    """Makes a disk's OSError name `path` if it names no file or an `unfinished` one."""
    try:
        yield
    except OSError as error:
        if error.filename in (None, str(unfinished)) and error.errno in DISK_ERRORS:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives the path of a new file beside `path` to write in the block; when the block ends, it replaces `path`.

    If the process is killed or the block fails, `path` stays as it was. The next call removes what a killed process
    left beside it. An OSError names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}-*"):
        if _is_abandoned(leftover):
            leftover.unlink(missing_ok=True)
    unfinished = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with errors_naming(path, unfinished):
            descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                _lock(descriptor)
                yield unfinished
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            move(unfinished, path)
    except BaseException:
        with suppress(OSError):  # the first error is the one to report
            unfinished.unlink(missing_ok=True)
        raise


def _lock(descriptor: int) -> bool:
    """Locks a file while this process writes it; the system releases it when the process ends. False if already locked.

    Some disks, and Windows, have no such locks.
    """
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def _is_abandoned(unfinished: Path) -> bool:
    """Whether no process writes it any longer."""
    try:
        with unfinished.open("rb") as file:
            return _lock(file.fileno()) or time.time() - os.fstat(file.fileno()).st_mtime > ABANDONED
    except OSError:  # it is gone
        return False


def move(source: Path, target: Path) -> None:
    """Renames a file (replacing another) or a folder.

    Windows refuses with PermissionError while any program has either open, as virus scanners do with new files. It is
    tried again for a few seconds.
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
    """Writes a text file completely or not at all; file names that are not UTF-8 keep their bytes."""
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes a CSV completely or not at all."""
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n", quoting=quoting)
        writer.writerow(header)
        writer.writerows(rows)
        if "\r" not in text.getvalue():  # a bare one would be read as the end of a row
            break
    write_text(path, text.getvalue())
