"""Calibration of the predicted probabilities, as they are and with a fitted temperature."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from lit_a1.analysis.intervals import error_bars, mean_with_interval, wilson_intervals
from lit_a1.analysis.network import Flags, Floats, Ints, TrainedNetwork
from lit_a1.analysis.result import AnalysisResult
from lit_a1.runs.plotting import COLOURS, MARKERS
from lit_a1.runs.statistics import ALPHA

TITLE = "Are its probabilities true?"
LEAST = 4  # fewest images to fit a temperature on one half and measure it on the other
BINS = 15  # as in Guo et al. 2017
DRAWS = 1000  # of labels
TEMPERATURES = 0.05, 20.0  # range of the search


def analyze(network: TrainedNetwork, result: AnalysisResult) -> None:
    """Draws the reliability diagram, measures the calibration error against chance, and fits a temperature."""
    log_probabilities, labels = network.log_probabilities.astype(np.float64), network.labels
    diagrams = {"all images, as it is": reliability(log_probabilities, labels)}
    scores, accuracy = score(log_probabilities, labels), float((log_probabilities.argmax(1) == labels).mean())
    probability = np.exp(log_probabilities.max(1))
    eces, accuracies = by_chance(probability)
    two_sided = 2 * min(_p_value(accuracies >= accuracy), _p_value(accuracies <= accuracy))
    result.number(ece=scores["ece"], ece_by_chance=eces.mean(), ece_p=_p_value(eces >= scores["ece"]))
    result.number(nll=scores["nll"], brier=scores["brier"], accuracy=accuracy)
    result.number(mean_probability=probability.mean(), mean_probability_p=min(1.0, two_sided))
    fit, test = split_halves(labels)
    if len(labels) >= LEAST:
        temperature = fit_temperature(log_probabilities[fit], labels[fit])
        before, after = log_probabilities[test], apply_temperature(log_probabilities[test], temperature)
        diagrams |= {"other half, as it is": reliability(before, labels[test])}
        diagrams |= {"other half, with the temperature": reliability(after, labels[test])}
        change, half, _ = mean_with_interval(nll_per_image(after, labels[test]) - nll_per_image(before, labels[test]))
        result.number(temperature=temperature)
        result.number(nll_change=change, nll_change_low=change - half, nll_change_high=change + half)
        for name, scored in (("before", before), ("after", after)):
            for measure, value in score(scored, labels[test]).items():
                result.number(**{f"{measure}_{name}": value})
    _draw(result, list(diagrams.values()), len(network.classes))
    table = pd.concat(diagrams, names=["images of"]).reset_index(level=0)
    table["right_low"], table["right_high"] = wilson_intervals(table.right, table.images)
    result.table("calibration", table)
    facts = {"bins": BINS, "draws": DRAWS, "alpha": ALPHA, "least": LEAST, "edges": TEMPERATURES}
    facts |= {"ece_at_most": np.quantile(eces, 0.95), "right_by_chance": np.quantile(accuracies, (0.025, 0.975))}
    facts |= {"smoothing": network.model.label_smoothing}
    result.describe(count=len(labels), fitted=len(fit), shown=len(test), **facts)


def _p_value(as_extreme: Flags) -> float:
    return float((1 + as_extreme.sum()) / (1 + len(as_extreme)))  # the measured value counts as one of the draws


def _bin_of(probability: Floats) -> Ints:
    return np.clip(np.ceil(probability * BINS).astype(np.int64) - 1, 0, BINS - 1)


def reliability(log_probabilities: Floats, labels: Ints) -> pd.DataFrame:
    """The bins of a reliability diagram that have images, a row each, from log-probabilities (N,K) and labels (N,).

    The probability of the predictions is in (`low`, `high`], and `probability` on average; `right` is the share of
    correct predictions.
    """
    probability, right = np.exp(log_probabilities.max(1)), log_probabilities.argmax(1) == labels
    groups = pd.DataFrame({"probability": probability, "right": right}).groupby(_bin_of(probability))
    means = {name: groups[name].mean() for name in ("probability", "right")}
    bins = pd.DataFrame({"images": groups.size(), **means})
    return pd.DataFrame({"low": bins.index / BINS, "high": (bins.index + 1) / BINS}, bins.index).join(bins)


def by_chance(probability: Floats) -> tuple[Floats, Floats]:
    """Samples from N probabilities which predictions are right: calibration error and share right of each draw."""
    in_bin = np.eye(BINS)[_bin_of(probability)]  # (N,BINS)
    right = np.random.default_rng(0).random((DRAWS, len(probability))) < probability
    return np.abs(right @ in_bin - probability @ in_bin).sum(1) / len(probability), right.mean(1)


def score(log_probabilities: Floats, labels: Ints) -> dict[str, float]:
    """Scores log-probabilities (N,K) against labels (N,): `nll` in nats, `brier` from 0 to 2 (Brier 1950), `ece`.

    The expected calibration error is sum over bins of |bin| / N |share right - mean probability| (Guo et al. 2017, "On
    calibration of modern neural networks", arXiv:1706.04599, equation 3).
    """
    bins = reliability(log_probabilities, labels)
    ece = np.average((bins.right - bins.probability).abs(), weights=bins.images)
    one_hot = np.eye(log_probabilities.shape[1])[labels]
    brier = ((np.exp(log_probabilities) - one_hot) ** 2).sum(1).mean()
    return {"nll": float(nll_per_image(log_probabilities, labels).mean()), "brier": float(brier), "ece": float(ece)}


def nll_per_image(log_probabilities: Floats, labels: Ints) -> Floats:
    """Negative log-likelihood (N,) of the true class, nats."""
    return -log_probabilities[np.arange(len(labels)), labels]


def apply_temperature(log_probabilities: Floats, temperature: float) -> Floats:
    """Log-probabilities (N,K) divided by a temperature and normalised again (Guo et al. 2017, equation 9)."""
    return log_softmax(log_probabilities / temperature, axis=1)


def fit_temperature(log_probabilities: Floats, labels: Ints) -> float:
    """The temperature, within `TEMPERATURES`, with the smallest negative log-likelihood."""

    def loss(temperature: float) -> float:
        return float(nll_per_image(apply_temperature(log_probabilities, temperature), labels).mean())

    bounds = np.log(TEMPERATURES)
    optimum = minimize_scalar(lambda log: loss(np.exp(log)), bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return min((*TEMPERATURES, float(np.exp(optimum.x))), key=loss)  # the search stops short of a flat end


def split_halves(labels: Ints) -> tuple[Ints, Ints]:
    """Rows of two random halves, ascending; their numbers of images of a class differ by at most one."""
    rng = np.random.default_rng(0)
    order = np.concatenate([rng.permutation(np.flatnonzero(labels == k)) for k in np.unique(labels)])
    return np.sort(order[::2]), np.sort(order[1::2])


def _draw(result: AnalysisResult, diagrams: list[pd.DataFrame], classes: int) -> None:
    columns = 2 if len(diagrams) > 1 else 1
    layout: dict[str, Any] = {"nrows": 2, "ncols": columns, "sharex": True, "sharey": "row", "height_ratios": [2.4, 1]}
    first = int(BINS / classes) / BINS  # no prediction is below 1 / classes
    lowest = min(bins.right.min() for bins in diagrams)
    with result.figure("calibration", width=6.4 if columns == 2 else 3.6, height=4.8, **layout) as (_, panels):
        for k, bins in enumerate(diagrams):
            (above, below), style_index = panels[:, min(k, 1)], int(k == 2)
            errors = error_bars(bins.right, bins.images)
            label = "with the temperature" if style_index else "as it is"
            style = {"color": COLOURS[style_index], "marker": MARKERS[style_index], "markersize": 5, "elinewidth": 1.2}
            above.errorbar(bins.probability, bins.right, errors, linestyle="none", label=label, **style)
            style = {"facecolor": "none", "edgecolor": COLOURS[style_index], "linewidth": 1.4}
            below.bar(bins.low, bins.images, width=1 / BINS, align="edge", **style)
        underconfident = np.dot(diagrams[0].images, diagrams[0].right - diagrams[0].probability) > 0
        for (above, below), title in zip(panels.T, ("All images", "The other half"), strict=False):
            above.plot([0, 1], [0, 1], "--", color="black", lw=1)
            above.legend(loc="lower right" if underconfident else "upper left", fontsize=9)  # where fewer points are
            above.set_title(title, fontsize=10)
            below.set(xlabel="Probability of the prediction", yscale="log")
            below.set_ylim(bottom=0.7)
        panels[0, 0].set(ylabel="Share right", ylim=(max(0, min(first, lowest) - 0.05), 1.03), xlim=(first, 1.02))
        panels[1, 0].set_ylabel("Images")
