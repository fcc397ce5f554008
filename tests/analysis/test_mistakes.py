import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lit_a1.analysis import mistakes
from lit_a1.analysis.contact_sheet import contact_sheet, in_lines
from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject


def sure(subject: Subject, of_truth: np.ndarray) -> Subject:
    """Sets the probability of the true class; the rest is the next class's, but for a trace."""
    classes, rows = len(subject.classes), np.arange(len(subject.labels))
    probabilities = np.full((len(rows), classes), 1e-6)
    probabilities[rows, (subject.labels + 1) % classes] = 1 - of_truth
    probabilities[rows, subject.labels] = of_truth
    features = np.random.default_rng(0).random((len(rows), 8), np.float32)
    subject.__dict__["_answers"] = (np.log(probabilities).astype(np.float32), features)
    return subject


def analysed(subject: Subject, folder: Path) -> tuple[Part, list[dict[str, str]]]:
    part = Part(folder, "mistakes", mistakes.TITLE, "a run")
    mistakes.analyze(subject, part)
    with (folder / "mistakes.csv").open() as file:
        return part, list(csv.DictReader(file))


@pytest.mark.parametrize("kind", ["photos", "digits"])
def test_all_mistakes_are_listed_the_surest_first(
    subject_of: Callable[..., Subject], tmp_path: Path, kind: str
) -> None:
    of_truth = np.full(30, 0.8)
    of_truth[[3, 7, 12]] = 0.4, 0.1, 0.2
    subject = sure(subject_of(kind, 30), of_truth)
    part, rows = analysed(subject, tmp_path)
    assert [row["index"] for row in rows] == ["1007", "1012", "1003"]
    assert [row["truth"] for row in rows] == [subject.classes[subject.labels[k]] for k in (7, 12, 3)]
    assert rows[0]["answer"] == subject.classes[(subject.labels[7] + 1) % len(subject.classes)]
    assert [float(row["probability"]) for row in rows] == pytest.approx([0.9, 0.8, 0.6], abs=1e-4)
    assert [float(row["margin"]) for row in rows] == pytest.approx(np.log([1 / 9, 1 / 4, 2 / 3]), abs=1e-4)
    assert [drawn.file for drawn in part.figures] == [
        "mistakes_surest.png", "mistakes_close.png", "mistakes_typical.png",
    ]  # fmt: skip
    assert all(drawn.shows_pictures for drawn in part.figures)
    assert "3 of 30 pictures wrong" in part.words[0]
    assert "80.0 % in the median and of 90.0 % at most" in part.words[0]


@pytest.mark.parametrize("kind", ["photos", "digits"])
def test_no_mistakes(subject_of: Callable[..., Subject], tmp_path: Path, kind: str) -> None:
    part, rows = analysed(sure(subject_of(kind, 12), np.full(12, 0.7)), tmp_path)
    assert rows == []
    assert [drawn.file for drawn in part.figures] == ["mistakes_close.png", "mistakes_typical.png"]
    assert any("no mistake to show" in text for text in part.words)


@pytest.mark.parametrize("kind", ["photos", "digits"])
def test_nothing_but_mistakes(subject_of: Callable[..., Subject], tmp_path: Path, kind: str) -> None:
    part, rows = analysed(sure(subject_of(kind, 12), np.full(12, 0.2)), tmp_path)
    assert len(rows) == 12
    assert "mistakes_typical.png" not in [drawn.file for drawn in part.figures]
    assert any("none is shown as typical" in text for text in part.words)


def test_a_class_that_is_never_right_is_named(subject_of: Callable[..., Subject], tmp_path: Path) -> None:
    subject = subject_of("digits", 20)
    part, _ = analysed(sure(subject, np.where(subject.labels == 4, 0.1, 0.9)), tmp_path)
    assert "No picture of 4 is told right, so none is shown as typical." in part.words


def test_lines() -> None:
    assert in_lines(np.arange(5), 2) == [[0, 1], [2, 3], [4]]
    assert in_lines([], 2) == []


def test_pictures_are_drawn_where_they_belong(subject_of: Callable[..., Subject], tmp_path: Path) -> None:
    subject = subject_of("photos", 6)
    for row, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
        subject.pictures[row] = colour
    part = Part(tmp_path, "sheet", "Sheet", "a run")
    contact_sheet(part, "sheet", "Some.", subject, [[0, None, 1], [2]])
    with Image.open(tmp_path / "sheet.png") as file:
        sheet = np.asarray(file.convert("RGB"))
    cell, high = sheet.shape[1] / 6, sheet.shape[0] / 2
    found = [
        tuple(sheet[int(high * y + 0.3 * cell), int(cell * (x + 0.5))]) for y, x in ((0, 0), (0, 1), (0, 2), (1, 0))
    ]
    assert found == [(255, 0, 0), (255, 255, 255), (0, 255, 0), (0, 0, 255)]
    assert part.figures[0].caption.startswith("Some. Under each picture")
