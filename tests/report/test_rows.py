from pathlib import Path

import pytest

from lit_a1.report import rows


def test_an_option_that_the_code_learns_makes_no_other_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = rows.shipped("catsdogs")
    before, usual = rows.fingerprint(shipped), rows.defaults
    monkeypatch.setattr(rows, "defaults", lambda *classes: usual(*classes) | {"model.new": 0})
    assert rows.fingerprint(shipped | {"model.new": 0}) == before
    assert rows.fingerprint(shipped | {"model.new": 1}) != before
    assert rows.changes(shipped, shipped | {"model.new": 0}) == ""  # a run from before it
    assert rows.changes(shipped | {"model.new": 2}, shipped) == "new=2"


def test_rows_are_read_as_they_are_written(tmp_path: Path) -> None:
    assert rows.read_rows(tmp_path / "runs.csv") == []
    (tmp_path / "runs.csv").write_text('finished,changes\nnow,"a=1, b=2"\n')
    assert rows.read_rows(tmp_path / "runs.csv") == [{"finished": "now", "changes": "a=1, b=2"}]
