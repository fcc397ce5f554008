import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lit_a1.analysis import calibration
from lit_a1.analysis.calibration_measures import fit_temperature, halves
from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject


def stating(subject: Subject, probability: np.ndarray, right: np.ndarray) -> Subject:
    """Gives the answers these probabilities; right ones are the truth."""
    classes, rows = len(subject.classes), np.arange(len(subject.labels))
    answers = np.where(right, subject.labels, (subject.labels + 1) % classes)
    probabilities = np.repeat((1 - probability)[:, None] / (classes - 1), classes, 1)
    probabilities[rows, answers] = probability
    subject.__dict__["_answers"] = (np.log(probabilities).astype(np.float32), np.zeros((len(rows), 4), np.float32))
    return subject


def analysed(subject: Subject, folder: Path) -> Part:
    part = Part(folder, "calibration", calibration.TITLE, "a run")
    calibration.analyze(subject, part)
    return part


def made(subject_of: Callable[..., Subject], true: float, stated: float, count: int = 1500) -> Subject:
    right = np.random.default_rng(0).permutation(count) < true * count
    some, number = subject_of("photos", 2), np.arange(count)
    subject = replace(some, pictures=some.pictures[number % 2], labels=number % 2, indices=number)
    return stating(subject, np.full(count, stated), right)


@pytest.mark.parametrize(
    ("true", "stated", "said", "temperature"),
    # that odds of `stated` become odds of `true`, to within the split's luck
    [(0.95, 0.8, "underconfident on average, beyond noise", np.log(4) / np.log(19)),
     (0.7, 0.9, "overconfident on average, beyond noise", np.log(9) / np.log(7 / 3)),
     (0.85, 0.86, "no more than noise", None)],
)  # fmt: skip
def test_words_say_what_was_measured(
    subject_of: Callable[..., Subject], tmp_path: Path, true: float, stated: float, said: str, temperature: float | None
) -> None:
    part = analysed(made(subject_of, true, stated), tmp_path)
    assert said in part.words[0]
    assert part.numbers["accuracy"] == pytest.approx(true)
    assert part.numbers["mean_probability"] == pytest.approx(stated)
    assert part.numbers["ece"] == pytest.approx(abs(true - stated), abs=1e-6)
    more = "more than noise" if temperature else "no more than noise"
    assert part.words[1].endswith(f": {more}.")
    if temperature:
        assert part.numbers["temperature"] == pytest.approx(temperature, rel=0.2)
        assert part.numbers["nll_change"] < 0
        assert part.numbers["nll_change"] == pytest.approx(part.numbers["nll_after"] - part.numbers["nll_before"])
        assert part.numbers["ece_after"] < part.numbers["ece_before"]
        assert part.words[-1].endswith("better beyond noise.")
    held = part.numbers["nll_change_low"] <= 0 <= part.numbers["nll_change_high"]
    assert ("no change beyond noise" in part.words[-1]) == held


def test_temperature_is_fitted_on_one_half_and_shown_on_the_other(
    subject_of: Callable[..., Subject], tmp_path: Path
) -> None:
    subject = made(subject_of, 0.8, 0.9, 60)
    part = analysed(subject, tmp_path)
    stated = subject.log_probabilities.astype(np.float64)
    fitted, shown = halves(subject.labels)
    temperatures = [fit_temperature(stated[rows], subject.labels[rows]) for rows in (fitted, shown)]
    assert abs(temperatures[0] - temperatures[1]) > 0.1
    assert part.numbers["temperature"] == pytest.approx(temperatures[0])
    before = -stated[shown, subject.labels[shown]].mean()
    assert part.numbers["nll_before"] == pytest.approx(before)


def test_table_holds_the_diagram(subject_of: Callable[..., Subject], tmp_path: Path) -> None:
    part = analysed(made(subject_of, 0.75, 0.9, 80), tmp_path)
    with (tmp_path / "calibration.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["pictures of"] for row in rows] == [
        "all pictures, as it is", "other half, as it is", "other half, with the temperature",
    ]  # fmt: skip
    assert [int(row["pictures"]) for row in rows] == [80, 40, 40]
    assert float(rows[0]["probability"]) == pytest.approx(0.9)
    assert float(rows[0]["right"]) == pytest.approx(0.75)
    assert (tmp_path / part.figures[0].file).is_file()
    assert not part.figures[0].shows_pictures


@pytest.mark.parametrize("kind", ["photos", "digits"])
@pytest.mark.parametrize(("right", "side"), [(True, "below 1"), (False, "above 1")])
def test_all_alike(subject_of: Callable[..., Subject], tmp_path: Path, kind: str, right: bool, side: str) -> None:
    probability = np.linspace(0.6, 0.9, 12)
    part = analysed(stating(subject_of(kind, 12), probability, np.full(12, right)), tmp_path)
    [fitted] = [text for text in part.words if text.startswith("The temperature that")]
    assert side in fitted
    assert "at the edge of what was searched" in fitted
    assert part.numbers["accuracy"] == right


def test_own_answers_of_a_network(subject_of: Callable[..., Subject], tmp_path: Path) -> None:
    subject = subject_of("digits", 30)
    part = analysed(subject, tmp_path)
    expected = -subject.log_probabilities[np.arange(30), subject.labels].mean()
    assert part.numbers["nll"] == pytest.approx(float(expected), rel=1e-5)


def test_too_few_to_fit_a_temperature(subject_of: Callable[..., Subject], tmp_path: Path) -> None:
    part = analysed(stating(subject_of("photos", 3), np.full(3, 0.8), np.array([True, True, False])), tmp_path)
    assert "temperature" not in part.numbers
    assert "too few pictures" in part.words[-1]


@pytest.mark.parametrize(
    ("smoothing", "said"),
    [(0.0, "without label smoothing"), (0.1, "label smoothing 0.1, which leaves 95.00 % to")],
)
def test_label_smoothing_is_told(
    subject_of: Callable[..., Subject], tmp_path: Path, smoothing: float, said: str
) -> None:
    subject = subject_of("photos", 12)
    subject.model.loss.label_smoothing = smoothing
    part = analysed(replace(subject), tmp_path)
    assert said in part.words[2]
