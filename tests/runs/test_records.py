from pathlib import Path

import pytest

from lit_a1.runs import records


def test_rows_are_read_as_they_are_written(tmp_path: Path) -> None:
    assert records.read_rows(tmp_path / "runs.csv") == []
    (tmp_path / "runs.csv").write_text('finished,changes\nnow,"a=1, b=2"\n')
    assert records.read_rows(tmp_path / "runs.csv") == [{"finished": "now", "changes": "a=1, b=2"}]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"test/loss": 1}', '{"test/error": 0.1}', '{"checkpoint": "last.ckpt", "test/error": null}']
)
def test_a_damaged_test_is_none(text: str, tmp_path: Path) -> None:
    assert records.test_metrics(tmp_path) == {}
    (tmp_path / "test.json").write_text(text)
    assert records.test_metrics(tmp_path) == {}
    (tmp_path / "test.json").write_text('{"checkpoint": "last.ckpt", "test/error": 0.1}')
    assert records.test_metrics(tmp_path)["test/error"] == 0.1
