"""95 % intervals: for shares of images (Wilson), and for means over images (Student's t)."""

import math

import numpy as np
from scipy import stats

from lit_a1.analysis.network import Floats, Ints
from lit_a1.runs.statistics import CONFIDENCE, wilson

wilson_intervals = np.vectorize(wilson, otypes=[float, float])  # both ends, as two arrays


def error_bars(shares: Floats, counts: Ints | int) -> Floats:
    """How far Wilson's intervals reach (2,N) below and above shares (N,), for `Axes.errorbar`."""
    low, high = wilson_intervals(shares, counts)
    return np.maximum([shares - low, high - shares], 0)


def mean_with_interval(values: Floats) -> tuple[float, float, int]:
    """Mean, half the width of its 95 % interval (NaN for fewer than two), and the count; NaNs are left out."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return float(known.mean()) if len(known) else math.nan, math.nan, len(known)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(known) - 1) * stats.sem(known)
    return float(known.mean()), float(half), len(known)
