"""Images whose label may be wrong, by confident learning."""

import warnings

import numpy as np
from numpy.typing import NDArray

from lit_a1.analysis.images import contact_sheet, in_lines, per_line
from lit_a1.analysis.network import Ints, TrainedNetwork
from lit_a1.analysis.result import AnalysisResult

TITLE = "Labels that may be wrong"
LINES = 4  # of images on the sheet
LEAST = 2  # images of a class whose labels can be doubted


def analyze(network: TrainedNetwork, result: AnalysisResult) -> None:
    """Lists images whose label may be wrong, the least likely first, and draws them."""
    labels, count, width = network.labels, len(network.labels), per_line(network)
    of_class = np.bincount(labels, minlength=len(network.classes))
    examined = (of_class >= LEAST).sum() >= 2
    rows, share = suspected_labels(labels, network.log_probabilities) if examined else (np.empty(0, np.int64), 0.0)
    label_probability = network.probabilities[rows, labels[rows]]
    columns = {"rank": range(1, len(rows) + 1), "index": network.indices[rows], "label": network.names(labels[rows])}
    columns |= {"prediction": network.names(network.predictions[rows]), "probability_of_label": label_probability}
    result.table("label_errors", columns)
    if not examined:
        result.describe(examined=False, least=LEAST)
        return
    shown = rows[: LINES * width]
    mixed = len(shown) > 0 and contact_sheet(result, "label_errors", network, in_lines(shown, width))
    result.number(likeliest_label=label_probability.max(initial=0))
    result.number(suspects=len(rows), suspected_share=len(rows) / count, estimated_label_errors=share)
    facts = {"few": network.names(np.flatnonzero(of_class < LEAST)), "likeliest": label_probability.max(initial=0)}
    facts |= {"wrong": int((~network.correct).sum()), "mistaken": int((~network.correct[rows]).sum())}
    result.describe(examined=True, least=LEAST, count=count, shown=len(shown), mixed=mixed, **facts)


def suspected_labels(labels: Ints, log_probabilities: NDArray[np.float32]) -> tuple[Ints, float]:
    """Ints of labels (N,) that may be wrong, the least likely first, and the share estimated to be wrong.

    Confident learning (Northcutt, Jiang & Chuang 2021, Journal of Artificial Intelligence Research 70, section 3), with
    pruning by noise rate. Class j's threshold is the mean probability of j over the images labelled j. An image
    labelled i counts for truth j where its probability of j is above that (for the likeliest such j). These counts
    estimate the joint distribution of labels and truth, which says how many images to suspect.

    At least two classes need `LEAST` images each; log-probabilities (N,K) are of images that were not trained on.
    """
    from cleanlab.count import compute_confident_joint, estimate_joint  # here, as scikit-learn takes a second
    from cleanlab.filter import find_label_issues

    probabilities = np.exp(log_probabilities.astype(np.float64))
    probabilities /= probabilities.sum(1, keepdims=True)  # float32 may sum to more than 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "May not flag all label issues", UserWarning)  # the words say so
        counts = compute_confident_joint(labels, probabilities)
        joint = estimate_joint(labels, probabilities, confident_joint=counts)
        rows = find_label_issues(
            labels, probabilities, return_indices_ranked_by="self_confidence", confident_joint=counts, n_jobs=1
        )
    return np.asarray(rows, np.int64), float(joint[~np.eye(len(joint), dtype=bool)].sum())
