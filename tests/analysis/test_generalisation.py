import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from lit_a1.analysis.generalisation import TITLE, analyze
from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject

SubjectOf = Callable[..., Subject]


def look(subject: Subject, folder: Path) -> Part:
    part = Part(folder, "generalisation", TITLE, "")
    analyze(subject, part)
    part.write()
    with SummaryWriter(folder) as writer:
        part.log(writer)
    json.loads((folder / "generalisation.json").read_text())
    return part


def test_the_same_pictures_are_found_alike(subject_of: SubjectOf, tmp_path: Path) -> None:
    subject = subject_of("photos", 60)
    part = look(dataclasses.replace(subject, test_pictures=subject.pictures), tmp_path)
    assert part.numbers["ks_statistic"] == 0
    assert part.numbers["test_confidence"] == pytest.approx(part.numbers["val_confidence"])
    assert part.numbers["test_error_by_confidence"] == pytest.approx(subject.error)
    assert "inside the noise" in part.words[0]
    assert "have no labels here" in part.words[1]
    low, high = (part.numbers[f"test_error_{end}"] for end in ("low", "high"))
    assert 0 <= low < subject.error < high <= 1  # type: ignore[operator]
    with (tmp_path / "test_answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    shares = np.bincount(subject.answers, minlength=2) / 60
    np.testing.assert_allclose([float(row["share_of_test_answers"]) for row in rows], shares, rtol=1e-5)


def test_other_pictures_are_found_harder(subject_of: SubjectOf, tmp_path: Path) -> None:
    subject = subject_of("photos", 200)
    flat = np.full_like(subject.pictures, 128)
    part = look(dataclasses.replace(subject, test_pictures=flat), tmp_path)
    assert part.numbers["ks_p"] < 1e-6  # type: ignore[operator]
    assert "differs by more than noise" in part.words[0]


def test_labelled_test_pictures_are_measured(subject_of: SubjectOf, tmp_path: Path) -> None:
    subject = subject_of("digits", 50)
    labels = subject.answers.copy()
    labels[:10] = (labels[:10] + 1) % 10
    part = look(dataclasses.replace(subject, test_pictures=subject.pictures, test_labels=labels), tmp_path)
    assert part.numbers["test_error"] == pytest.approx(0.2)
    assert part.numbers["test_error_low"] < 0.2 < part.numbers["test_error_high"]  # type: ignore[operator]
    assert "20.00 % of the test pictures are wrong" in part.words[1]


def test_without_test_pictures_it_says_so(subject_of: SubjectOf, tmp_path: Path) -> None:
    part = look(subject_of("photos", 12), tmp_path)
    assert "no test pictures" in part.words[0]
    assert part.figures == []
