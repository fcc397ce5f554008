import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import binom

from lit_a1.analysis import calibration_measures as measures


def test_calibration_error_by_hand() -> None:
    probability = np.array([0.62, 0.64, 0.95, 0.97, 0.5])
    right = np.array([True, False, True, True, False])
    # bins (9/15,10/15], (14/15,1] and (7/15,8/15]: |0.5 - 0.63|, |1 - 0.96| and |0 - 0.5|
    expected = 2 / 5 * 0.13 + 2 / 5 * 0.04 + 1 / 5 * 0.5
    assert measures.calibration_error(probability, right) == pytest.approx(expected)
    found = measures.reliability(probability, right)
    assert [each.pictures for each in found] == [1, 2, 2]
    assert found[1][3:] == pytest.approx((0.63, 0.5))
    assert (found[1].low, found[1].high) == pytest.approx((9 / 15, 10 / 15))


def test_bins_are_closed_above() -> None:
    assert measures.places(np.array([0.2, 0.2001, 1.0, 1e-9, 0.0])).tolist() == [2, 3, 14, 0, 0]


def test_chance_is_that_of_the_binomial_distribution() -> None:
    n, p = 40, 0.8
    found = measures.by_chance(np.full(n, p))
    hits = np.arange(n + 1)
    expected = (np.abs(hits / n - p) * binom(n, p).pmf(hits)).sum()  # of one bin
    assert found.ece.mean() == pytest.approx(expected, rel=0.08)
    assert found.right.mean() == pytest.approx(p, abs=0.01)
    assert found.right.std() == pytest.approx(np.sqrt(p * (1 - p) / n), rel=0.1)


def test_chance_over_many_bins_is_the_calibration_error() -> None:
    probability = np.random.default_rng(3).uniform(0.5, 1, 60)
    right = np.random.default_rng(0).random((100, 60))[:20] < probability  # as they are drawn
    expected = [measures.calibration_error(probability, each) for each in right]
    assert measures.by_chance(probability).ece[:20] == pytest.approx(expected)


def test_scores_by_hand() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    found = measures.score(np.log(probabilities), np.array([0, 1]))
    assert found.nll == pytest.approx(-(np.log(0.7) + np.log(0.3)) / 2)
    assert found.brier == pytest.approx((0.09 + 0.04 + 0.01 + 0.09 + 0.49 + 0.16) / 2)
    assert found.ece == pytest.approx((0.3 + 0.4) / 2)


def test_temperature_undoes_itself() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4))
    plain = log_softmax(logits, axis=1)
    assert measures.scaled(log_softmax(logits / 3, axis=1), 1 / 3) == pytest.approx(plain)
    assert np.exp(measures.scaled(plain, 2.5)).sum(1) == pytest.approx(np.ones(5))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_fitted_temperature_is_the_best_of_a_grid(temperature: float) -> None:
    rng = np.random.default_rng(0)
    true = log_softmax(2 * rng.normal(size=(4000, 3)), axis=1)
    labels = np.array([rng.choice(3, p=np.exp(each)) for each in true])
    stated = measures.scaled(true, 1 / temperature)
    grid = np.geomspace(0.2, 5, 400)
    losses = [measures.likelihoods(measures.scaled(stated, each), labels).mean() for each in grid]
    found = measures.fit_temperature(stated, labels)
    assert found == pytest.approx(grid[np.argmin(losses)], rel=0.01)
    assert found == pytest.approx(temperature, rel=0.1)


def test_halves_are_stratified_and_apart() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [20, 11, 4]))
    first, second = measures.halves(labels)
    assert sorted([*first, *second]) == list(range(35))
    assert all(abs((labels[first] == k).sum() - (labels[second] == k).sum()) <= 1 for k in range(3))
    assert first.tolist() != measures.halves(labels, seed=1)[0].tolist()
    assert first.tolist() == measures.halves(labels)[0].tolist()


def test_bootstrap_agrees_with_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    half = 1.96 * values.std(ddof=1) / 20
    assert measures.mean_interval(values) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)
