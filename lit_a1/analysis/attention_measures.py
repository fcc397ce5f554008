"""How well maps over pictures agree, and where on the picture they lie."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from lit_a1.runs.confidence import Z

Floats = NDArray[np.float64]


def central_share(maps: Floats) -> Floats:
    """Share (n,) of the positive part of maps (n,S,S) within the central half of rows and columns, a quarter of all.

    It is NaN where nothing is positive. A uniform map has `central_share(np.ones((1, S, S)))`.
    """
    size, mass = maps.shape[-1], np.maximum(maps, 0)
    quarter = size // 4
    inner = mass[:, quarter : size - quarter, quarter : size - quarter].sum((1, 2))
    whole = mass.sum((1, 2))
    return np.divide(inner, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def rank_correlations(one: Floats, other: Floats) -> Floats:
    """Spearman's rank correlation (n,) of maps (n,...) with others; NaN where one is constant."""
    pairs = [(a.ravel(), b.ravel()) for a, b in zip(one, other, strict=True)]
    return np.array([spearmanr(a, b).statistic if np.ptp(a) > 0 < np.ptp(b) else np.nan for a, b in pairs])


def another_of_the_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of N pictures the next one of its class, after the last the first; -1 where there is no other."""
    found = np.full(len(labels), -1)
    for class_ in np.unique(labels):
        rows = np.flatnonzero(labels == class_)
        if len(rows) > 1:
            found[rows] = np.roll(rows, -1)
    return found


def mean_with_interval(values: Floats) -> tuple[float, float, int]:
    """Mean, half the width of its 95 % interval (by the normal distribution), and of how many; NaNs are left out."""
    there = values[np.isfinite(values)]
    if len(there) < 2:
        return float(there.mean()) if len(there) else float("nan"), float("nan"), len(there)
    return float(there.mean()), float(Z * there.std(ddof=1) / np.sqrt(len(there))), len(there)
