"""Files that are written whole or not at all."""

import csv
import glob
import io
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ABANDONED = 3600  # seconds after which an unfinished file is nobody's
WAITS = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds between two tries to move what is open


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives the path of a new file beside `path`, to be written in the block; it takes `path`'s place at its end.

    A process that is killed, or a block that fails, leaves `path` as it was. What a killed one left beside it is
    removed the next time. An OSError names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in path.parent.glob(f".{glob.escape(path.name)}-*"):
        if time.time() - abandoned.stat().st_mtime > ABANDONED:
            shutil.rmtree(abandoned, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        unfinished = Path(folder, path.name)
        try:
            yield unfinished
            with unfinished.open("rb+") as file:
                os.fsync(file.fileno())
        except OSError as error:
            if error.filename is None and error.errno is not None:  # such as of a full disk
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise
        move(unfinished, path)


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
