from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lit_a1.callbacks.predictions import PredictionFiles, check_submission
from lit_a1.data.errors import DataError

CLASSES = ("Cat", "Dog")


def rows(*names: int) -> list[tuple[str, str]]:
    return [(str(name), "Dog") for name in names]


def test_numeric_order_passes() -> None:
    check_submission(rows(*range(1, 13)), CLASSES, 12)
    check_submission([("holiday/rex.jpg", "Dog")], CLASSES, None)  # names are free for a folder of photos


@pytest.mark.parametrize(
    ("rows", "count", "words"),
    [
        (rows(*sorted(range(1, 13), key=str)), 12, "row 2 has id '10'"),  # 1, 10, 11, 12, 2, ...
        (rows(1, 2), 3, r"needs 3 rows.*there are 2"),
        (rows(1, 2, 2), 3, "row 3 has id '2'"),
        ([("1", "cat")], 1, "Cat or Dog; image 1 has 'cat'"),
    ],
)
def test_what_kaggle_would_not_take_is_refused(rows: list[tuple[str, str]], count: int, words: str) -> None:
    with pytest.raises(DataError, match=words):
        check_submission(rows, CLASSES, count)


@pytest.mark.parametrize(
    ("outside", "count", "name"),
    [
        (False, 3, "submission.csv"),
        (True, 3, "submission-outside.csv"),
        (True, None, "submission.csv"),  # photos of one's own
    ],
)
def test_what_learnt_from_outside_photos_writes_no_unmarked_submission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: bool, count: int | None, name: str
) -> None:
    monkeypatch.setattr("lit_a1.callbacks.predictions.COURSE_TEST_IMAGES", 3)
    data = SimpleNamespace(predict_names=["1", "2", "3"], classes=CLASSES, predict_count=count, outside=outside)
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    PredictionFiles(tmp_path / "submission.csv").write(data, np.arange(3), probabilities)
    stem = name.removesuffix(".csv")
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{stem}_probabilities.csv"}


def test_names_are_checked_before_the_work(tmp_path: Path) -> None:
    trainer: Any = SimpleNamespace(
        datamodule=SimpleNamespace(predict_names=["1", "3"], classes=CLASSES, predict_count=2)
    )
    with pytest.raises(DataError, match="row 2 has id '3'"):
        PredictionFiles(tmp_path / "submission.csv").on_predict_start(trainer, trainer)
