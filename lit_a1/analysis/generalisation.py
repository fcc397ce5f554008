"""Validation against test: the confidence on both, and the test error, measured or estimated."""

import numpy as np
from scipy import stats

from lit_a1.analysis.network import Floats, TrainedNetwork
from lit_a1.analysis.result import AnalysisResult
from lit_a1.runs.plotting import COLOURS
from lit_a1.runs.statistics import ALPHA, fisher, wilson

TITLE = "Validation against test"
BINS = 20


def analyze(network: TrainedNetwork, result: AnalysisResult) -> None:
    """Compares the confidence of the predictions, and the errors if test images have labels.

    Without labels, it estimates the test error by the validation error, and by average thresholded confidence (Garg et
    al. 2022).
    """
    if network.test_images is None:
        result.describe(compared=False)
        return
    log_probabilities = network.predict(network.test_images)
    predictions, classes = log_probabilities.argmax(1), len(network.classes)
    valid, test = (np.exp(x.max(1)).astype(np.float64) for x in (network.log_probabilities, log_probabilities))
    _draw(result, valid, test)
    result.number(val_images=len(valid), test_images=len(test), val_error=network.error)
    result.number(val_confidence=valid.mean(), test_confidence=test.mean())
    ks_test = stats.ks_2samp(valid, test)
    result.number(ks_statistic=ks_test.statistic, ks_p=ks_test.pvalue)
    shares = [np.bincount(x, minlength=classes) / len(x) for x in (predictions, network.labels)]
    columns = {"share_of_test_predictions": shares[0], "share_of_validation_labels": shares[1]}
    result.table("test_predictions", {"class": network.classes, **columns})
    interval_by_confidence = None
    if network.test_labels is None:
        threshold = np.sort(valid)[round(network.error * len(valid))] if network.error < 1 else np.inf
        estimate = float((test < threshold).mean())
        effective_size = round(1 / (1 / len(valid) + 1 / len(test)))  # one set, as uncertain as the two together
        interval_by_confidence = wilson(estimate, effective_size)
        low, high = wilson(network.error, effective_size)
        result.number(test_error_by_confidence=estimate)
    else:
        error = float((predictions != network.test_labels).mean())
        low, high = wilson(error, len(test))
        result.number(test_error=error, fisher_p=fisher([(error, len(test)), (network.error, len(valid))]))
    result.number(test_error_low=low, test_error_high=high)
    result.describe(compared=True, alpha=ALPHA, interval_by_confidence=interval_by_confidence)


def _draw(result: AnalysisResult, valid: Floats, test: Floats) -> None:
    edges = np.linspace(min(valid.min(), test.min()), 1, BINS + 1)
    with result.figure("confidence", height=3.2) as (_, axes):
        looks = zip(("validation", "test"), (valid, test), COLOURS, ("-", "--"), strict=False)
        for name, confidence, colour, line in looks:
            shares = np.histogram(confidence, edges)[0] / len(confidence)
            label = f"{name}, {len(confidence):,} images"
            axes.stairs(shares, edges, label=label, color=colour, linestyle=line, linewidth=1.6)
        axes.set(yscale="log", xlabel="Probability of the prediction", ylabel="Share of the images")
        axes.legend(loc="upper left")
