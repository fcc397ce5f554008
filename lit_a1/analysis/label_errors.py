"""Images whose label may be wrong, by confident learning."""

import numpy as np

from lit_a1.analysis.images import contact_sheet, in_lines, per_line
from lit_a1.analysis.network import TrainedNetwork
from lit_a1.analysis.result import AnalysisResult
from lit_a1.runs.labels import LEAST, suspected_labels

TITLE = "Labels that may be wrong"
LINES = 4  # of images on the sheet


def analyze(network: TrainedNetwork, result: AnalysisResult) -> None:
    """Lists images whose label may be wrong, the least likely first, and draws them."""
    labels, count, width = network.labels, len(network.labels), per_line(network)
    class_counts = np.bincount(labels, minlength=len(network.classes))
    if (class_counts >= LEAST).sum() < 2:
        result.describe(examined=False, least=LEAST)
        return
    rows, share = suspected_labels(labels, network.log_probabilities)
    label_probability = network.probabilities[rows, labels[rows]]
    columns = {"rank": range(1, len(rows) + 1), "index": network.indices[rows], "label": network.names(labels[rows])}
    columns |= {"prediction": network.names(network.predictions[rows]), "probability_of_label": label_probability}
    result.table("label_errors", columns)
    shown = rows[: LINES * width]
    if len(shown):
        contact_sheet(result, "label_errors", network, in_lines(shown, width))
    result.number(likeliest_label=label_probability.max(initial=0))
    result.number(suspects=len(rows), suspected_share=len(rows) / count, estimated_label_errors=share)
    facts = {"left_out": network.names(np.flatnonzero(class_counts < LEAST)), "wrong": int((~network.correct).sum())}
    facts |= {"mistaken": int((~network.correct[rows]).sum())}
    result.describe(examined=True, least=LEAST, count=count, shown=len(shown), **facts)
