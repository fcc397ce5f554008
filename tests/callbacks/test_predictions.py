import pytest

from lit_a1.callbacks.predictions import check_submission
from lit_a1.data.errors import DataError

CLASSES = ("Cat", "Dog")


def rows(*names: int) -> list[tuple[str, str]]:
    return [(str(name), "Dog") for name in names]


def test_numeric_order_passes() -> None:
    check_submission(rows(*range(1, 13)), CLASSES, 12)


def test_string_order_is_refused() -> None:
    by_string = sorted(range(1, 13), key=str)  # 1, 10, 11, 12, 2, ...
    with pytest.raises(DataError, match="row 2 has id '10'"):
        check_submission(rows(*by_string), CLASSES, 12)


def test_missing_and_double_rows_are_refused() -> None:
    with pytest.raises(DataError, match=r"needs 3 rows.*there are 2"):
        check_submission(rows(1, 2), CLASSES, 3)
    with pytest.raises(DataError, match="row 3 has id '2'"):
        check_submission(rows(1, 2, 2), CLASSES, 3)


def test_other_labels_are_refused() -> None:
    with pytest.raises(DataError, match="Cat or Dog; picture 1 has 'cat'"):
        check_submission([("1", "cat")], CLASSES, 1)


def test_names_are_free_for_a_folder_of_photos() -> None:
    check_submission([("holiday/rex.jpg", "Dog")], CLASSES, None)
