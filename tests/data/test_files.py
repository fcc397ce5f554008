import csv
import os
from pathlib import Path

import pytest

from lit_a1.data.files import replacing, write_csv, write_text


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.txt"
    write_text(path, "first\n")
    with pytest.raises(RuntimeError), replacing(path) as unfinished:  # noqa: PT012
        unfinished.write_text("half of the sec")
        raise RuntimeError
    assert path.read_bytes() == b"first\n"
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    old, new = tmp_path / ".x.txt-old", tmp_path / ".x.txt-new"
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (0, 0))
    write_text(tmp_path / "x.txt", "whole")
    assert not old.exists()
    assert new.exists()  # another process may be writing it


def test_a_csv_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "submission.csv"
    write_csv(path, ("id", "label"), [("1", "Dog")])
    assert path.read_bytes() == b"id,label\n1,Dog\n"
    with pytest.raises(csv.Error):
        write_csv(path, ("id", "label"), [None])  # type: ignore[list-item]
    assert path.read_bytes() == b"id,label\n1,Dog\n"
