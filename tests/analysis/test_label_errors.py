import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lit_a1.analysis import label_errors
from lit_a1.analysis.label_errors import doubt
from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject


def by_the_paper(labels: np.ndarray, probabilities: np.ndarray) -> tuple[set[int], float]:
    """Confident joint, calibrated, and pruning by noise rate: Northcutt et al. 2021, written out."""
    classes = probabilities.shape[1]
    thresholds = [probabilities[labels == j, j].mean() for j in range(classes)]
    counts = np.zeros((classes, classes))
    for label, each in zip(labels, probabilities, strict=True):
        sure = [j for j in range(classes) if each[j] >= thresholds[j]]
        if sure:
            counts[label, max(sure, key=lambda j: each[j])] += 1
    joint = counts / counts.sum(1, keepdims=True) * np.bincount(labels, minlength=classes)[:, None] / len(labels)
    found: set[int] = set()
    for i in range(classes):
        for j in range(classes):
            if i != j:
                rows = np.flatnonzero(labels == i)
                rows = rows[np.argsort(-(probabilities[rows, j] - probabilities[rows, i]))]
                found |= set(rows[: round(joint[i, j] * len(labels))].tolist())
    answers = probabilities.argmax(1)
    return {row for row in found if answers[row] != labels[row]}, joint.sum() - np.trace(joint)


def made(classes: int, count: int, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, set[int]]:
    """Labels of which a share is wrong, and the probabilities of a network that mostly knows the truth."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % classes
    logits = 1.5 * rng.normal(size=(count, classes))
    logits[np.arange(count), truth] += 6
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    flipped = rng.permutation(count)[: round(share * count)]
    labels = truth.copy()
    labels[flipped] = (truth[flipped] + 1 + rng.integers(classes - 1, size=len(flipped))) % classes
    return labels, probabilities, set(flipped.tolist())


@pytest.mark.parametrize("classes", [2, 5])
def test_agrees_with_the_papers_equations(classes: int) -> None:
    labels, probabilities, flipped = made(classes, 2000, 0.06)
    found = doubt(labels, np.log(probabilities).astype(np.float32))
    assert found is not None
    suspects, share = by_the_paper(labels, probabilities)
    # with more than one other class, cleanlab rounds a row's counts so that they keep their sum
    assert len(set(found.rows.tolist()) ^ suspects) <= classes - 2
    assert found.share == pytest.approx(share, abs=0.005)  # counts are whole numbers
    assert len(suspects & flipped) > 0.8 * len(flipped)  # what was made wrong is found
    label_probability = probabilities[found.rows, labels[found.rows]]
    assert np.all(np.diff(label_probability) >= 0)


def answering(subject: Subject, probabilities: np.ndarray) -> Subject:
    subject.__dict__["_answers"] = (
        np.log(probabilities).astype(np.float32), np.zeros((len(probabilities), 4), np.float32)
    )  # fmt: skip
    return subject


def analysed(subject: Subject, folder: Path) -> tuple[Part, list[dict[str, str]]]:
    part = Part(folder, "label_errors", label_errors.TITLE, "a run")
    label_errors.analyze(subject, part)
    with (folder / "label_errors.csv").open() as file:
        return part, list(csv.DictReader(file))


@pytest.mark.parametrize("kind", ["photos", "digits"])
def test_suspects_are_listed(subject_of: Callable[..., Subject], tmp_path: Path, kind: str) -> None:
    subject = subject_of(kind, 100)
    labels, probabilities, flipped = made(len(subject.classes), 100, 0.05)
    subject.labels[:] = labels
    part, rows = analysed(answering(subject, probabilities), tmp_path)
    suspects = {int(row["index"]) - 1000 for row in rows}
    assert len(suspects & flipped) >= 3
    assert suspects <= set(np.flatnonzero(~subject.right).tolist())
    assert part.numbers["suspects"] == len(rows)
    first = int(rows[0]["index"]) - 1000
    assert rows[0]["label"] == subject.classes[labels[first]]
    assert float(rows[0]["probability_of_label"]) == pytest.approx(probabilities[first, labels[first]], rel=1e-4)
    assert [drawn.shows_pictures for drawn in part.figures] == [True]
    assert any("look the same" in text for text in part.words)
    assert "nothing is said of the training set's labels" in part.words[0]


@pytest.mark.parametrize("kind", ["photos", "digits"])
@pytest.mark.parametrize("shift", [0, 1])
def test_all_right_and_all_wrong(subject_of: Callable[..., Subject], tmp_path: Path, kind: str, shift: int) -> None:
    subject = subject_of(kind, 12)
    classes = len(subject.classes)
    probabilities = np.full((12, classes), 0.1 / (classes - 1))
    probabilities[np.arange(12), (subject.labels + shift) % classes] = 0.9
    part, rows = analysed(answering(subject, probabilities), tmp_path)
    assert len(rows) == part.numbers["suspects"] <= 12 * shift
    if not shift:
        assert part.figures == []
        assert any("suspects no label; the estimated share of wrong ones is 0.00 %" in text for text in part.words)
    if kind == "digits":  # two of 0 and 1, one of each other
        assert "Labels of 2, 3, 4, 5, 6, 7, 8 and 9 were left out, with fewer than 2 pictures." in part.words


def test_one_class_has_nothing_to_compare(subject_of: Callable[..., Subject], tmp_path: Path) -> None:
    subject = subject_of("photos", 12)
    subject.labels[:] = 1
    part, rows = analysed(answering(subject, np.full((12, 2), 0.5)), tmp_path)
    assert rows == []
    assert part.figures == []
    assert "two classes at least" in part.words[0]
