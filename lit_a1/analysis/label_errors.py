"""Pictures whose label may be wrong, by confident learning."""

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lit_a1.analysis.contact_sheet import across, contact_sheet, in_lines
from lit_a1.analysis.part import Part
from lit_a1.analysis.rates import rated
from lit_a1.analysis.subject import Subject
from lit_a1.runs.wording import counted, listed, percent

TITLE = "Labels that may be wrong"
LINES = 4  # of pictures on the sheet
LEAST = 2  # pictures of a class whose labels can be doubted


class Doubts(NamedTuple):
    """What confident learning makes of labels."""

    rows: NDArray[np.int64]
    """Of the pictures whose labels are suspected, the least likely label first."""
    share: float
    """Of labels estimated to be wrong: the joint distribution of labels and truth, away from its diagonal."""


def analyze(subject: Subject, part: Part) -> None:
    """Lists pictures whose label may be wrong, the least likely first, and draws them.

    Args:
        subject: the network and its pictures.
        part: to leave figures, tables, numbers and words in.
    """
    found = doubt(subject.labels, subject.log_probabilities)
    if found is None:
        part.table("label_errors", HEADER, [])
        part.say(
            f"Confident learning compares labels of two classes at least, with {LEAST} pictures each; there are fewer."
        )
        return
    part.table("label_errors", HEADER, _table(subject, found.rows))
    if shown := list(found.rows[: LINES * across(subject)]):
        which = "All" if len(shown) == len(found.rows) else f"Of {len(found.rows):,} the first"
        caption = f"{which} {counted(len(shown), 'picture')} whose label is suspected, the least likely label first."
        contact_sheet(part, "label_errors", caption, subject, in_lines(shown, across(subject)))
    _describe(subject, part, found)


HEADER = ("rank", "index", "label", "answer", "probability_of_label")


def _table(subject: Subject, rows: NDArray[np.int64]) -> list[list[object]]:
    return [
        [
            rank,
            subject.indices[row],
            subject.classes[subject.labels[row]],
            subject.classes[subject.answers[row]],
            subject.probabilities[row, subject.labels[row]],
        ]
        for rank, row in enumerate(rows, 1)
    ]


def doubt(labels: NDArray[np.int64], log_probabilities: NDArray[np.float32]) -> Doubts | None:
    """Finds labels that may be wrong by confident learning, pruning by noise rate, as cleanlab has it.

    Each class j has a threshold, the mean probability of j over the pictures that are labelled j. A picture labelled i
    counts for truth j where its probability of j is above j's threshold (for the likeliest such j). These counts,
    calibrated to the labels' own and normalised, estimate the joint distribution of labels and truth. For each i and
    j != i as many pictures labelled i are suspected as it puts there, those with the largest margin of j over i.

    Source: Northcutt, Jiang & Chuang 2021 ("Confident learning: estimating uncertainty in dataset labels", Journal of
    Artificial Intelligence Research 70), section 3.

    Args:
        labels: (N,).
        log_probabilities: (N,K), of pictures that the network was not trained on.

    Returns:
        None where fewer than two classes have `LEAST` pictures.
    """
    # brings pandas and scikit-learn, a second: not before it is needed
    from cleanlab.count import compute_confident_joint, estimate_joint
    from cleanlab.filter import find_label_issues

    if (np.bincount(labels) >= LEAST).sum() < 2:
        return None
    probabilities = np.exp(log_probabilities.astype(np.float64))
    probabilities /= probabilities.sum(1, keepdims=True)  # float32 may sum to more than 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "May not flag all label issues", UserWarning)  # `analyze` says so
        counts = compute_confident_joint(labels, probabilities)
        joint = estimate_joint(labels, probabilities, confident_joint=counts)
        rows = find_label_issues(
            labels, probabilities, return_indices_ranked_by="self_confidence", confident_joint=counts, n_jobs=1
        )
    return Doubts(np.asarray(rows, np.int64), float(joint[~np.eye(len(joint), dtype=bool)].sum()))


def _describe(subject: Subject, part: Part, found: Doubts) -> None:
    count, suspects = len(subject.labels), len(found.rows)
    wrong = int((~subject.right).sum())
    part.number(suspects=suspects, suspected_share=suspects / count, estimated_label_errors=found.share)
    part.say(
        "Confident learning needs probabilities of pictures that the network was not trained on. So only the "
        f"{counted(count, 'picture')} that were held out are examined; nothing is said of the training set's labels."
    )
    if suspects:
        mistaken = int((~subject.right[found.rows]).sum())
        likeliest = float(subject.probabilities[found.rows, subject.labels[found.rows]].max())
        part.say(
            f"It suspects {counted(suspects, 'label')}, {rated(suspects / count, count)} of all. The network gives "
            f"another answer to {mistaken:,} of these pictures (it makes {counted(wrong, 'mistake')} in all), and to a "
            f"suspected label a probability of {percent(likeliest)} at most. The estimated share of wrong labels is "
            f"{percent(found.share)}."
        )
    else:
        part.say(f"It suspects no label; the estimated share of wrong ones is {percent(found.share)}.")
    part.say(
        "A network's confident mistake and a wrong label look the same to this method: both are pictures to which the "
        "network gives another class than their label. So the estimate counts confident mistakes as wrong labels; only "
        "someone who looks at the pictures can tell which labels are wrong."
    )
    present = np.bincount(subject.labels, minlength=len(subject.classes))
    if few := [name for name, of in zip(subject.classes, present, strict=True) if of < LEAST]:
        part.say(f"Labels of {listed(few)} were left out, with fewer than {LEAST} pictures.")
