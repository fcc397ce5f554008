import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lit_a1.analysis import conditions
from lit_a1.analysis.conditions import equal_bins, trend
from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject
from lit_a1.runs.confidence import wilson


def telling(subject: Subject, right: np.ndarray) -> Subject:
    classes, rows = len(subject.classes), np.arange(len(subject.labels))
    probabilities = np.full((len(rows), classes), 0.1 / (classes - 1), np.float32)
    probabilities[rows, np.where(right, subject.labels, (subject.labels + 1) % classes)] = 0.9
    subject.__dict__["_answers"] = (np.log(probabilities), np.zeros((len(rows), 4), np.float32))
    return subject


def analysed(subject: Subject, folder: Path) -> Part:
    part = Part(folder, "conditions", conditions.TITLE, "a run")
    conditions.analyze(subject, part)
    return part


def test_trend_is_the_share_of_pairs() -> None:
    rng = np.random.default_rng(0)
    values, wrong = rng.integers(0, 6, 30).astype(float), rng.random(30) < 0.4  # with ties
    pairs = [(a > b) + (a == b) / 2 for a in values[wrong] for b in values[~wrong]]
    found = trend(values, wrong)
    assert found is not None
    assert found.chance == pytest.approx(np.mean(pairs))
    # the variance of DeLong et al., written out: of each picture's mean over the other kind's
    grid = np.reshape(pairs, (wrong.sum(), -1))
    variance = grid.mean(1).var(ddof=1) / len(grid) + grid.mean(0).var(ddof=1) / grid.shape[1]
    assert found.low == pytest.approx(found.chance - 1.96 * np.sqrt(variance))


def test_trend_interval_holds_the_truth() -> None:
    rng = np.random.default_rng(1)
    held = []
    for _ in range(300):  # of normal distributions one apart, P(a > b) = Phi(1 / sqrt 2) = 0.7602
        wrong = np.arange(120) < 40
        found = trend(rng.normal(size=120) + wrong, wrong)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= 0.7602 <= found.high)
    assert 0.9 < np.mean(held) < 0.99


def test_trend_of_what_does_not_vary() -> None:
    wrong = np.array([True, False, True])
    assert trend(np.ones(3), wrong) == (0.5, None, None, 1.0)
    assert trend(np.arange(3.0), np.ones(3, bool)) is None
    assert trend(np.arange(3.0), np.zeros(3, bool)) is None
    lone = trend(np.arange(3.0), np.array([False, False, True]))
    assert lone is not None
    assert lone[:3] == (1.0, None, None)


def test_bins_are_of_equal_counts_and_keep_equal_values_together() -> None:
    values = np.random.default_rng(0).permutation(60).astype(float)
    bins = equal_bins(values, values >= 55)
    assert [each.pictures for each in bins] == [10] * 6
    assert [each.mistakes for each in bins] == [0, 0, 0, 0, 0, 5]
    assert [(each.low, each.high, each.middle) for each in bins][:2] == [(0, 9, 4.5), (10, 19, 14.5)]
    tied = equal_bins(np.repeat([0.0, 1.0], [45, 15]), np.zeros(60, bool))
    assert [(each.low, each.high, each.pictures) for each in tied] == [(0, 0, 45), (1, 1, 15)]


@pytest.mark.parametrize("kind", ["photos", "digits"])
def test_a_quantity_that_mistakes_go_with_is_found(
    subject_of: Callable[..., Subject], tmp_path: Path, kind: str
) -> None:
    subject = subject_of(kind, 90)
    rng = np.random.default_rng(0)
    wrong = rng.permutation(90) < 30
    subject.pictures[wrong] = subject.pictures[wrong] // 8 * 3  # darker, and with less of everything else that scales
    part = analysed(telling(subject, ~wrong), tmp_path)
    assert part.numbers["brightness_chance"] < 0.2
    assert part.numbers["brightness_p_holm"] < 0.001
    [verdict] = [text for text in part.words if text.startswith("Beyond noise")]
    assert verdict.split("less ")[1].startswith("brightness, contrast")
    with (tmp_path / "conditions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["right"] for row in rows] == [str(int(each)) for each in ~wrong]
    weights = [0.299, 0.587, 0.114] if kind == "photos" else [1.0]
    assert float(rows[0]["brightness"]) == pytest.approx((subject.pictures[0] / 255 @ weights).mean(), abs=1e-5)
    with (tmp_path / "conditions_bins.csv").open() as file:
        bins = [row for row in csv.DictReader(file) if row["quantity"] == "brightness"]
    assert sum(int(row["pictures"]) for row in bins) == 90
    assert sum(int(row["mistakes"]) for row in bins) == 30
    share = int(bins[0]["mistakes"]) / int(bins[0]["pictures"])
    assert float(bins[0]["error_low"]) == pytest.approx(wilson(share, int(bins[0]["pictures"]))[0], abs=1e-5)


def test_mistakes_at_random_go_with_nothing(subject_of: Callable[..., Subject], tmp_path: Path) -> None:
    part = analysed(telling(subject_of("photos", 60), np.random.default_rng(5).permutation(60) < 45), tmp_path)
    assert "None of the quantities differs between wrong and right pictures by more than noise." in part.words


@pytest.mark.parametrize("kind", ["photos", "digits"])
@pytest.mark.parametrize("right", [True, False])
def test_all_alike(subject_of: Callable[..., Subject], tmp_path: Path, kind: str, right: bool) -> None:
    part = analysed(telling(subject_of(kind, 12), np.full(12, right)), tmp_path)
    assert f"told {'right' if right else 'wrong'}: there is nothing to compare" in part.words[0]
    assert not any("Beyond" in text for text in part.words)
    assert any("proxy" in text for text in part.words)


def test_pictures_of_one_colour(subject_of: Callable[..., Subject], tmp_path: Path) -> None:
    subject = subject_of("photos", 12)
    subject.pictures[:] = 7
    part = analysed(telling(subject, np.arange(12) < 9), tmp_path)
    assert part.numbers["sharpness_p_holm"] == 1
    assert "largest_correlation" not in part.numbers
