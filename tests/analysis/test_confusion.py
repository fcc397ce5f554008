import csv
from collections.abc import Callable, Sequence
from math import comb
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import hypergeom

from lit_a1.analysis import confusion
from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject
from lit_a1.runs.confidence import wilson


def answering(subject: Subject, answers: Sequence[int]) -> Subject:
    """Gives each answer 90 % of the probability."""
    classes = len(subject.classes)
    probabilities = np.full((len(answers), classes), 0.1 / (classes - 1), np.float32)
    probabilities[np.arange(len(answers)), answers] = 0.9
    features = np.random.default_rng(0).random((len(answers), 8), np.float32)
    subject.__dict__["_answers"] = (np.log(probabilities), features)
    return subject


def analysed(subject: Subject, folder: Path) -> Part:
    part = Part(folder, "confusion", confusion.TITLE, "a run")
    confusion.analyze(subject, part)
    return part


def test_counts_truth_by_answer(subject_of: Callable[..., Subject], tmp_path: Path) -> None:
    subject = answering(subject_of("photos", 12), [0, 1, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1])  # labels alternate
    part = analysed(subject, tmp_path)
    with (tmp_path / "confusion.csv").open() as file:
        assert list(csv.reader(file)) == [["truth", "answer Cat", "answer Dog"], ["Cat", "4", "2"], ["Dog", "0", "6"]]
    with (tmp_path / "confusion_by_class.csv").open() as file:
        cat, dog = csv.DictReader(file)
    assert (cat["pictures"], cat["mistakes"], float(cat["error"])) == ("6", "2", pytest.approx(1 / 3, abs=1e-5))
    assert (float(dog["low"]), float(dog["high"])) == pytest.approx(wilson(0, 6), abs=1e-5)
    assert part.numbers["val_error"] == pytest.approx(2 / 12)
    assert part.numbers["mistakes"] == 2
    assert [drawn.shows_pictures for drawn in part.figures] == [False, False]
    assert all((tmp_path / drawn.file).is_file() for drawn in part.figures)


def test_fishers_test_of_two_classes() -> None:
    # 10 mistakes fall on 100 + 100 pictures; those splits that are no likelier than 9 : 1
    chances = hypergeom(200, 10, 100).pmf(np.arange(11))
    expected = chances[chances <= chances[9] * (1 + 1e-9)].sum()
    assert confusion.equal_errors(np.array([9, 1]), np.array([100, 100])) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("wrong", "pictures", "expected"),
    [([0, 0, 0], [5, 5, 5], 1.0), ([5, 5, 5], [5, 5, 5], 1.0), ([2, 0], [5, 0], None)],
)
def test_nothing_to_compare(wrong: list[int], pictures: list[int], expected: float | None) -> None:
    assert confusion.equal_errors(np.array(wrong), np.array(pictures)) == expected


def test_drawn_tables_agree_with_all_tables() -> None:
    # 3 mistakes among 4, 3 and 5 pictures: all ways in which they may fall, by hand
    ways = {(a, b, 3 - a - b): comb(4, a) * comb(3, b) * comb(5, 3 - a - b) for a in range(4) for b in range(4 - a)}
    expected = sum(way for way in ways.values() if way <= ways[0, 3, 0]) / comb(12, 3)
    assert confusion.equal_errors(np.array([0, 3, 0]), np.array([4, 3, 5])) == pytest.approx(expected, abs=0.003)
    expected = sum(way for way in ways.values() if way <= ways[3, 0, 0]) / comb(12, 3)
    assert confusion.equal_errors(np.array([3, 0, 0]), np.array([4, 3, 5])) == pytest.approx(expected, abs=0.01)


def test_more_classes_are_tested_together() -> None:
    pictures = np.full(10, 100)
    assert confusion.equal_errors(np.array([30] + 9 * [2]), pictures) < 0.001
    assert confusion.equal_errors(np.array([3, 2, 2, 2, 1, 2, 2, 3, 2, 2]), pictures) > 0.5


@pytest.mark.parametrize(("wrong", "harder"), [((40, 10), True), ((11, 10), False)])
def test_words_tell_a_difference_from_noise(wrong: tuple[int, int], harder: bool) -> None:
    matrix = np.array([[100 - wrong[0], wrong[0]], [wrong[1], 100 - wrong[1]]])
    p = confusion.equal_errors(np.array(wrong), np.array([100, 100]))
    text = " ".join(confusion.describe(("Cat", "Dog"), matrix, p))
    assert ("Cat is harder beyond noise" in text) == harder
    assert ("the difference is within noise" in text) != harder
    assert f"{sum(wrong)} of 200 wrong" in text


def test_most_frequent_confusion_is_named() -> None:
    matrix = np.diag([10, 10, 10])
    matrix[2, 0] = 3
    text = " ".join(confusion.describe(("a", "b", "c"), matrix, 0.2))
    assert "The most frequent confusion is c taken for a: 3 pictures." in text


@pytest.mark.parametrize("kind", ["photos", "digits"])
@pytest.mark.parametrize("shift", [0, 1])  # all right, all wrong
def test_extremes(subject_of: Callable[..., Subject], tmp_path: Path, kind: str, shift: int) -> None:
    subject = subject_of(kind, 12)
    part = analysed(answering(subject, (subject.labels + shift) % len(subject.classes)), tmp_path)
    assert part.numbers["val_error"] == shift
    assert f"{12 * shift} of 12 wrong" in part.words[0]
    assert not any("beyond" in text for text in part.words)


def test_classes_without_pictures_or_answers_are_named(subject_of: Callable[..., Subject], tmp_path: Path) -> None:
    subject = subject_of("digits", 8)  # 0 to 7
    text = " ".join(analysed(answering(subject, np.minimum(subject.labels, 6)), tmp_path).words)
    assert "There is no picture of 8 and 9 among them." in text
    assert "It never answers 7." in text
    with (tmp_path / "confusion_by_class.csv").open() as file:
        assert list(csv.reader(file))[-1] == ["9", "0", "0", "", "", ""]


def test_text_on_dark_cells_is_white() -> None:
    assert (confusion._legible(0.0), confusion._legible(1.0)) == ("black", "white")
