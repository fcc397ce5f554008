from pathlib import Path

import pytest

from lit_a1.runs import records


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"test/loss": 1}', '{"test/error": 0.1}', '{"checkpoint": "last.ckpt", "test/error": null}']
)
def test_a_damaged_test_is_none(text: str, tmp_path: Path) -> None:
    assert records.test_metrics(tmp_path) == {}
    (tmp_path / "test.json").write_text(text)
    assert records.test_metrics(tmp_path) == {}
    (tmp_path / "test.json").write_text('{"checkpoint": "last.ckpt", "test/error": 0.1}')
    assert records.test_metrics(tmp_path)["test/error"] == 0.1
