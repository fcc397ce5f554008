"""Labels that may be wrong, by confident learning."""

import warnings

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
LEAST = 2  # images that a class needs for its labels to be doubted


def suspected_labels(labels: Ints, log_probabilities: NDArray[np.float32]) -> tuple[Ints, float]:
    """Rows of labels (N,) that may be wrong, the least likely first, and the share estimated to be wrong.

    Confident learning (Northcutt, Jiang & Chuang 2021, Journal of Artificial Intelligence Research 70, section 3), with
    pruning by noise rate. Class j's threshold is the mean probability of j over the images labelled j. An image
    labelled i counts for truth j if its probability of j is above the threshold (for the likeliest such j). These
    counts estimate the joint distribution of labels and truth, which says how many images to suspect.

    At least two classes need `LEAST` images each; log-probabilities (N,K) must be of images not used in training.
    """
    from cleanlab.count import compute_confident_joint, estimate_joint  # here, as scikit-learn takes a second to import
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
