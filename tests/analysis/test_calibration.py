from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import binom

from lit_a1.analysis import calibration
from lit_a1.analysis.calibration import apply_temperature, fit_temperature, nll_per_image, split_halves
from lit_a1.analysis.network import TrainedNetwork
from tests.analysis.networks import Kind, analyzed, network_of, rows_of, where_right


def made(true: float, stated: float, count: int = 1500) -> TrainedNetwork:
    """A network that states a probability for each prediction, of which another share is right."""
    right = np.random.default_rng(0).permutation(count) < true * count
    some, number = network_of("photos", 2), np.arange(count)
    network = replace(some, images=some.images[number % 2], labels=number % 2, indices=number)
    return where_right(network, right, stated)


def two_classes(probability: list[float], right: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities and labels: the first class is always the prediction."""
    return np.log(np.stack([probability, 1 - np.array(probability)], 1)), 1 - np.array(right, int)


def test_calibration_error_by_hand() -> None:
    predictions = two_classes([0.62, 0.64, 0.95, 0.97, 0.5], [True, False, True, True, False])
    # bins (9/15,10/15], (14/15,1] and (7/15,8/15]: |0.5 - 0.63|, |1 - 0.96| and |0 - 0.5|
    expected = 2 / 5 * 0.13 + 2 / 5 * 0.04 + 1 / 5 * 0.5
    bins = calibration.reliability(*predictions)
    assert calibration.score(*predictions)["ece"] == pytest.approx(expected)
    assert bins.images.tolist() == [1, 2, 2]
    assert bins.iloc[1].tolist() == pytest.approx([9 / 15, 10 / 15, 2, 0.63, 0.5])
    closed_above = calibration.reliability(np.log([[0.2], [0.2001], [1.0], [1e-9]]), np.zeros(4, int))
    assert closed_above.index.tolist() == [0, 2, 3, 14]


def test_chance_is_that_of_the_binomial_distribution() -> None:
    n, p = 40, 0.8
    ece, right = calibration.by_chance(np.full(n, p))
    hits = np.arange(n + 1)
    expected = (np.abs(hits / n - p) * binom(n, p).pmf(hits)).sum()  # of one bin
    assert ece.mean() == pytest.approx(expected, rel=0.08)
    assert right.mean() == pytest.approx(p, abs=0.01)
    assert right.std() == pytest.approx(np.sqrt(p * (1 - p) / n), rel=0.1)
    # over many bins
    probability = np.random.default_rng(3).uniform(0.5, 1, 60)
    right = np.random.default_rng(0).random((100, 60))[:20] < probability  # as they are drawn
    expected = [calibration.score(*two_classes(probability.tolist(), each.tolist()))["ece"] for each in right]
    assert calibration.by_chance(probability)[0][:20] == pytest.approx(expected)


def test_scores_by_hand() -> None:
    found = calibration.score(np.log([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]]), np.array([0, 1]))
    brier = (0.09 + 0.04 + 0.01 + 0.09 + 0.49 + 0.16) / 2
    assert found == pytest.approx({"nll": -(np.log(0.7) + np.log(0.3)) / 2, "brier": brier, "ece": (0.3 + 0.4) / 2})


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_fitted_temperature_is_the_best_of_a_grid(temperature: float) -> None:
    rng = np.random.default_rng(0)
    true = log_softmax(2 * rng.normal(size=(4000, 3)), axis=1)
    labels = np.array([rng.choice(3, p=np.exp(each)) for each in true])
    stated = apply_temperature(true, 1 / temperature)
    assert apply_temperature(stated, temperature) == pytest.approx(true)
    assert np.exp(stated).sum(1) == pytest.approx(np.ones(4000))
    grid = np.geomspace(0.2, 5, 400)
    losses = [nll_per_image(apply_temperature(stated, each), labels).mean() for each in grid]
    found = fit_temperature(stated, labels)
    assert found == pytest.approx(grid[np.argmin(losses)], rel=0.01)
    assert found == pytest.approx(temperature, rel=0.1)


def test_halves_are_stratified_and_apart() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [20, 11, 4]))
    first, second = split_halves(labels)
    assert sorted([*first, *second]) == list(range(35))
    assert all(abs((labels[first] == k).sum() - (labels[second] == k).sum()) <= 1 for k in range(3))
    assert first.tolist() == split_halves(labels)[0].tolist()


@pytest.mark.parametrize(
    ("true", "stated", "verdict", "temperature"),
    # that odds of `stated` become odds of `true`, to within the split's luck
    [(0.95, 0.8, "On average, the network is underconfident, beyond noise", np.log(4) / np.log(19)),
     (0.7, 0.9, "On average, the network is overconfident, beyond noise", np.log(9) / np.log(7 / 3)),
     (0.85, 0.86, "neither over- nor underconfident", None)],
)  # fmt: skip
def test_words_follow_what_was_measured(true: float, stated: float, verdict: str, temperature: float | None) -> None:
    result = analyzed(calibration, made(true, stated))
    numbers: dict = result.numbers
    assert verdict in result.words[0]
    assert numbers["accuracy"] == pytest.approx(true)
    assert numbers["mean_probability"] == pytest.approx(stated)
    assert numbers["ece"] == pytest.approx(abs(true - stated), abs=1e-6)
    assert result.words[1].endswith(f"is {'more' if temperature else 'no more'} than noise.")
    if temperature:
        assert numbers["temperature"] == pytest.approx(temperature, rel=0.2)
        assert numbers["nll_change"] < 0
        assert numbers["nll_change"] == pytest.approx(numbers["nll_after"] - numbers["nll_before"])
        assert numbers["ece_after"] < numbers["ece_before"]
        assert result.words[-1].endswith("It is better, beyond noise.")
    held = numbers["nll_change_low"] <= 0 <= numbers["nll_change_high"]
    assert ("That is within noise." in result.words[-1]) == held


def test_temperature_is_fitted_on_one_half_and_shown_on_the_other() -> None:
    network = made(0.75, 0.9, 80)
    result, rows = analyzed(calibration, network), rows_of("calibration")
    numbers, stated = result.numbers, network.log_probabilities.astype(np.float64)
    fitted, shown = split_halves(network.labels)
    temperatures = [fit_temperature(stated[rows], network.labels[rows]) for rows in (fitted, shown)]
    assert abs(temperatures[0] - temperatures[1]) > 0.1
    assert numbers["temperature"] == pytest.approx(temperatures[0])
    assert numbers["nll_before"] == pytest.approx(-stated[shown, network.labels[shown]].mean())
    which = ["all images, as it is", "other half, as it is", "other half, with the temperature"]
    assert [row["images of"] for row in rows] == which
    assert [int(row["images"]) for row in rows] == [80, 40, 40]
    assert float(rows[0]["probability"]) == pytest.approx(0.9)
    assert float(rows[0]["right"]) == pytest.approx(0.75)


def test_all_alike(kind: Kind, shift: int) -> None:
    network = where_right(network_of(kind, 12), np.full(12, not shift), np.linspace(0.6, 0.9, 12))
    result = analyzed(calibration, network)
    [fitted] = [text for text in result.words if "largest at a temperature" in text]
    assert ("above 1" if shift else "below 1") in fitted
    assert "at the edge of the search range" in fitted
    assert result.numbers["accuracy"] == 1 - shift


def test_too_few_to_fit_a_temperature() -> None:
    result = analyzed(calibration, where_right(network_of("photos", 3), [True, True, False], 0.8))
    assert "temperature" not in result.numbers
    assert "too few images" in result.words[-1]


@pytest.mark.parametrize(
    ("smoothing", "words"),
    [(0.0, "without label smoothing"), (0.1, "with label smoothing 0.1.")],
)
def test_predictions_and_label_smoothing_are_the_networks(smoothing: float, words: str) -> None:
    network = network_of("digits", 30)
    network.model.label_smoothing = smoothing
    result, expected = analyzed(calibration, network), -network.log_probabilities[np.arange(30), network.labels].mean()
    assert words in result.words[2]
    assert result.numbers["nll"] == pytest.approx(float(expected), rel=1e-5)
