"""How much of a result chance explains: 95 % intervals, and tests of a difference."""

import warnings
from collections.abc import Sequence
from math import sqrt
from statistics import mean
from typing import NamedTuple

import scipy  # scipy.stats is slow to import: it is imported at its first use

CONFIDENCE = 0.95
Z = 1.96  # 95 % of a normal distribution are within this many standard deviations of the mean
ALPHA = 0.05  # significance level


class Interval(NamedTuple):
    """An interval from `low` to `high`."""

    low: float
    high: float


class McNemar(NamedTuple):
    """The comparison of two classifiers on the same images."""

    b: int  # images that only the first gets right
    c: int  # images that only the second gets right
    p: float  # two-sided probability of a split at least as uneven as b to c, if both sides are equally likely


def wilson(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share measured on `count` images (Wilson, 1927)."""
    centre = share + Z**2 / (2 * count)
    half = Z * sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    low, high = (centre - half) / (1 + Z**2 / count), (centre + half) / (1 + Z**2 / count)
    return max(0.0, low), min(1.0, high)  # rounding may step outside


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemar:
    """The exact form of McNemar's test: are the images that only one classifier gets right split like coin tosses?

    With n = b + c and k = min(b, c), p = min(1, 2 sum_{i=0..k} C(n, i) / 2^n), or 1 if n = 0. The arguments say for
    each image whether the classifier is right. Images that both get right, or both wrong, do not count.

    Sources: McNemar 1947 ("Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12); Dietterich 1998 ("Approximate statistical tests for comparing supervised
    classification learning algorithms", Neural Computation 10), who recommends it if each algorithm is trained once,
    and warns that it says nothing about another training run.

    Raises:
        ValueError: the arguments differ in length.
    """
    b = sum(first_right and not second_right for first_right, second_right in zip(first, second, strict=True))
    c = sum(second_right and not first_right for first_right, second_right in zip(first, second, strict=True))
    return McNemar(b, c, float(scipy.stats.binomtest(b, b + c).pvalue) if b + c else 1.0)


def fisher(shares: Sequence[tuple[float, int]]) -> float:
    """The two-sided p value of Fisher's exact test for two error rates, each with its number of images."""
    counts = [(round(share * images), images) for share, images in shares]
    return float(scipy.stats.fisher_exact([[wrong, max(0, images - wrong)] for wrong, images in counts]).pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """P values of m tests, corrected for their number: those of at most ALPHA are significant for all tests together.

    The k-th smallest, p_k with k from 0, becomes the maximum of min(1, (m - i) p_i) over i = 0..k.

    Source: Holm 1979 ("A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6).
    """
    corrected, running_max = list(values), 0.0
    for k, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        corrected[index] = running_max = max(running_max, min(1.0, (len(values) - k) * values[index]))
    return corrected


def mean_interval(values: Sequence[float]) -> Interval | None:
    """95 % interval of the mean over all seeds, from the values of a few; None for fewer than two, or equal values.

    It is mean +- t s / sqrt(n), with the standard deviation s and Student's t for n - 1 degrees of freedom.
    """
    if len(set(values)) < 2:
        return None
    low, high = scipy.stats.t.interval(CONFIDENCE, len(values) - 1, mean(values), scipy.stats.sem(values))
    return Interval(float(low), float(high))


def difference_interval(first: Sequence[float], second: Sequence[float]) -> Interval | None:
    """95 % interval of the second mean over all seeds minus the first.

    None if either has fewer than two values, or if the values of each are all equal: the noise is not known then.

    Welch 1947 ("The generalization of 'Student's' problem when several different population variances are involved",
    Biometrika 34): with v = s^2 / n of each, the difference +- t sqrt(v1 + v2), and
    (v1 + v2)^2 / (v1^2 / (n1 - 1) + v2^2 / (n2 - 1)) degrees of freedom.
    """
    if min(len(first), len(second)) < 2 or len(set(first)) == len(set(second)) == 1:
        return None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)  # if one side's values are all equal
        low, high = scipy.stats.ttest_ind(second, first, equal_var=False).confidence_interval(CONFIDENCE)
    return Interval(float(low), float(high))
