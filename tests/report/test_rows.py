from pathlib import Path

import pytest

from lit_a1.mlp.setup import UsageError
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


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"test/loss": 1}', '{"test/error": 0.1}', '{"checkpoint": "last.ckpt", "test/error": null}']
)
def test_a_damaged_test_is_none(text: str, tmp_path: Path) -> None:
    assert rows.test_figures(tmp_path) == {}
    (tmp_path / "test.json").write_text(text)
    assert rows.test_figures(tmp_path) == {}
    (tmp_path / "test.json").write_text('{"checkpoint": "last.ckpt", "test/error": 0.1}')
    assert rows.test_figures(tmp_path)["test/error"] == 0.1


def test_classes_that_are_gone_are_told_in_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"does not know lit_a1\.models\.old\.Net"):
        rows.changes({"model.class_path": "lit_a1.models.old.Net", "data.class_path": "x"}, {})
