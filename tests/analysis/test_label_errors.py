import numpy as np
import pytest

from lit_a1.analysis import label_errors
from lit_a1.analysis.label_errors import suspected_labels
from tests.analysis.networks import Kind, analyzed, answering, network_of, predicting, rows_of


def by_the_paper(labels: np.ndarray, probabilities: np.ndarray) -> tuple[set[int], float]:
    """Confident joint, calibrated, and pruning by noise rate: Northcutt et al. 2021, written out."""
    classes = probabilities.shape[1]
    thresholds = [probabilities[labels == j, j].mean() for j in range(classes)]
    counts = np.zeros((classes, classes))
    for label, each in zip(labels, probabilities, strict=True):
        confident = [j for j in range(classes) if each[j] >= thresholds[j]]
        if confident:
            counts[label, max(confident, key=lambda j: each[j])] += 1
    joint = counts / counts.sum(1, keepdims=True) * np.bincount(labels, minlength=classes)[:, None] / len(labels)
    found: set[int] = set()
    for i in range(classes):
        for j in range(classes):
            if i != j:
                rows = np.flatnonzero(labels == i)
                rows = rows[np.argsort(-(probabilities[rows, j] - probabilities[rows, i]))]
                found |= set(rows[: round(joint[i, j] * len(labels))].tolist())
    predictions = probabilities.argmax(1)
    return {row for row in found if predictions[row] != labels[row]}, joint.sum() - np.trace(joint)


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
    rows, share = suspected_labels(labels, np.log(probabilities).astype(np.float32))
    suspects, expected = by_the_paper(labels, probabilities)
    # with more than one other class, cleanlab rounds a row's counts so that they keep their sum
    assert len(set(rows.tolist()) ^ suspects) <= classes - 2
    assert share == pytest.approx(expected, abs=0.005)  # counts are whole numbers
    assert len(suspects & flipped) > 0.8 * len(flipped)  # what was made wrong is found
    assert np.all(np.diff(probabilities[rows, labels[rows]]) >= 0)


def test_suspects_are_listed(kind: Kind) -> None:
    network = network_of(kind, 100)
    labels, probabilities, flipped = made(len(network.classes), 100, 0.05)
    network.labels[:] = labels
    result, rows = analyzed(label_errors, predicting(network, probabilities)), rows_of("label_errors")
    suspects = {int(row["index"]) - 1000 for row in rows}
    assert len(suspects & flipped) >= 3
    assert suspects <= set(np.flatnonzero(~network.correct).tolist())
    assert result.numbers["suspects"] == len(rows)
    first = int(rows[0]["index"]) - 1000
    assert rows[0]["label"] == network.classes[labels[first]]
    assert float(rows[0]["probability_of_label"]) == pytest.approx(probabilities[first, labels[first]], rel=1e-4)
    assert [drawn.file for drawn in result.figures] == ["label_errors.png"]
    largest = max(float(row["probability_of_label"]) for row in rows)
    assert result.numbers["likeliest_label"] == pytest.approx(largest, rel=1e-4)


def test_all_right_and_all_wrong(kind: Kind, shift: int) -> None:
    network = network_of(kind, 12)
    result = analyzed(label_errors, answering(network, (network.labels + shift) % len(network.classes)))
    assert len(rows_of("label_errors")) == result.numbers["suspects"] <= 12 * shift
    if not shift:
        assert result.figures == []
        assert any("suspects no label. The estimated share of wrong labels is 0.00 %" in text for text in result.words)
    if kind == "digits":  # two of 0 and 1, one of each other
        assert "Labels of 2, 3, 4, 5, 6, 7, 8 and 9 were left out: they have fewer than 2 images." in result.words


def test_one_class_has_nothing_to_compare() -> None:
    network = network_of("photos", 12)
    network.labels[:] = 1
    result = analyzed(label_errors, predicting(network, np.full((12, 2), 0.5)))
    assert result.tables == result.figures == []
    assert "at least two classes" in result.words[0]
