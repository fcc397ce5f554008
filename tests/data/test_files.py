import csv
import os
from pathlib import Path

import pytest

from lit_a1.data import files
from lit_a1.data.files import replacing, write_csv, write_text


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.csv"
    write_csv(path, ("id", "label"), [("1", "Dog")])
    with pytest.raises(RuntimeError), replacing(path) as unfinished:  # noqa: PT012
        unfinished.write_text("half of the sec")
        raise RuntimeError
    with pytest.raises(csv.Error):
        write_csv(path, ("id", "label"), [None])  # type: ignore[list-item]
    assert path.read_bytes() == b"id,label\n1,Dog\n"
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    path, left, usual = tmp_path / "x.txt", tmp_path / ".x.txt-left", tmp_path / "y.txt"
    for other in (left, usual):
        other.write_text("ha")
    os.utime(left, (0, 0))
    with replacing(path) as unfinished:
        unfinished.write_text("first")
        assert not left.exists()
        write_text(path, "second")
        assert unfinished.exists()  # another process may be writing it
    assert path.read_text() == "first"
    assert path.stat().st_mode == usual.stat().st_mode
    assert set(tmp_path.iterdir()) == {path, usual}


@pytest.mark.parametrize("refusals", [2, 100])
def test_a_file_that_another_program_has_open_is_waited_for(refusals, tmp_path: Path, monkeypatch) -> None:
    """As Windows refuses it."""
    waited: list[float] = []
    replace = Path.replace

    def refuse(source: Path, target: Path) -> None:
        if len(waited) < refusals:
            raise PermissionError(13, "Access is denied", str(source))
        replace(source, target)

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(files.time, "sleep", waited.append)
    path = tmp_path / "x.txt"
    path.write_text("first")
    if refusals == 2:
        write_text(path, "second")
        assert path.read_text() == "second"
        return
    with pytest.raises(PermissionError, match=r"another program has it open.*x\.txt"):
        write_text(path, "second")
    assert 1 < sum(waited) < 10
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]
