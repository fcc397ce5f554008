"""Validation against test: what pictures that no choice was made on say, labelled or not."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject
from lit_a1.runs.confidence import wilson
from lit_a1.runs.plotting import COLOURS
from lit_a1.runs.significance import ALPHA
from lit_a1.runs.wording import percent

TITLE = "Validation against test"
BINS = 20


def analyze(subject: Subject, part: Part) -> None:
    """Compares the confidence of the answers, and the errors where test pictures have labels."""
    if subject.test_pictures is None:
        part.say("There are no test pictures beside those that the network was trained on: nothing is compared.")
        return
    answers = subject.log_probabilities_of(subject.test_pictures)
    valid, test = (np.exp(each.max(1)).astype(np.float64) for each in (subject.log_probabilities, answers))
    _draw(part, valid, test)
    part.number(val_pictures=len(valid), test_pictures=len(test), val_error=subject.error)
    part.number(val_confidence=valid.mean(), test_confidence=test.mean())
    shift = stats.ks_2samp(valid, test)
    part.number(ks_statistic=float(shift.statistic), ks_p=float(shift.pvalue))
    same = "a difference inside the noise" if shift.pvalue >= ALPHA else "more than noise"
    part.say(
        f"The mean probability of the answer is {percent(valid.mean())} on {len(valid):,} validation pictures and "
        f"{percent(test.mean())} on {len(test):,} test pictures. By its distribution the confidence differs by "
        f"{same} (Kolmogorov-Smirnov distance {shift.statistic:.3f}, p {shift.pvalue:.2g})."
    )
    shares = np.bincount(answers.argmax(1), minlength=len(subject.classes)) / len(test)
    part.table(
        "test_answers",
        ["class", "share_of_test_answers", "share_of_validation_labels"],
        zip(subject.classes, shares, np.bincount(subject.labels, minlength=len(shares)) / len(valid), strict=True),
    )
    if subject.test_labels is None:
        _expect(subject, part, valid, test)
    else:
        _measure(subject, part, answers.argmax(1))


def _expect(subject: Subject, part: Part, valid: NDArray[np.float64], test: NDArray[np.float64]) -> None:
    """What error to expect on pictures without labels, by two ways that use none of theirs."""
    right = np.sort(valid)
    threshold = right[round(subject.error * len(right))] if subject.error < 1 else np.inf
    estimate = float((test < threshold).mean())
    both = round(1 / (1 / len(valid) + 1 / len(test)))  # as uncertain as the two sets together
    low, high = wilson(subject.error, both)
    around = wilson(estimate, both)
    part.number(test_error_by_confidence=estimate, test_error_low=low, test_error_high=high)
    part.say(
        f"The test pictures have no labels here, so that their error cannot be measured. If they are drawn like the "
        f"validation pictures, of which {percent(subject.error)} are wrong, the test error is between {percent(low)} "
        f"and {percent(high)} in about 95 of 100 such draws. Counting the answers less certain than a threshold, "
        f"set so that the count equals the errors on the validation pictures, gives {percent(estimate)} (average "
        f"thresholded confidence, Garg et al. 2022, arXiv:2201.04234), which the same draws leave between "
        f"{percent(around[0])} and {percent(around[1])}. The recipe was chosen by the validation error, which flatters "
        f"it; nothing was fitted to test pictures."
    )


def _measure(subject: Subject, part: Part, answers: NDArray[np.int64]) -> None:
    assert subject.test_labels is not None
    wrong, count = int((answers != subject.test_labels).sum()), len(answers)
    ours, n = int((~subject.right).sum()), len(subject.labels)
    p = float(stats.fisher_exact([[wrong, count - wrong], [ours, n - ours]]).pvalue)
    low, high = wilson(wrong / count, count)
    part.number(test_error=wrong / count, test_error_low=low, test_error_high=high, fisher_p=p)
    verdict = "a difference inside the noise" if p >= ALPHA else "a difference beyond the noise"
    part.say(
        f"{percent(wrong / count)} of the test pictures are wrong (95 % interval {percent(low)} to {percent(high)}), "
        f"and {percent(subject.error)} of the validation pictures: {verdict} of the choice of pictures (Fisher's exact "
        f"test, p {p:.2g})."
    )


def _draw(part: Part, valid: NDArray[np.float64], test: NDArray[np.float64]) -> None:
    caption = (
        "How sure the network is of its answers on pictures that training never saw: the share of pictures at each "
        "probability of the answer, on a logarithmic axis. Where both sets are alike, so are the lines."
    )
    low = min(float(valid.min()), float(test.min()))
    edges = np.linspace(low, 1, BINS + 1)
    with part.figure("confidence", caption, shows_pictures=False, height=3.2) as (_, axes):
        for confidence, label, colour, line in (
            (valid, f"validation, {len(valid):,} pictures", COLOURS[0], "-"),
            (test, f"test, {len(test):,} pictures", COLOURS[1], "--"),
        ):
            counts, _ = np.histogram(confidence, edges)
            axes.stairs(counts / len(confidence), edges, label=label, color=colour, linestyle=line, linewidth=1.6)
        axes.set_yscale("log")
        axes.set_xlabel("Probability of the answer")
        axes.set_ylabel("Share of the pictures")
        axes.legend(loc="upper left")
