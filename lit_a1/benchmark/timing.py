"""Timings of two sides, taken by turns."""

import math
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

from tqdm import tqdm


class Timing(NamedTuple):
    """One comparison of two sides; our seconds and the ratio are infinite where our side missed its target."""

    name: str
    ours_s: float  # median, as all
    theirs_s: float
    ratio: float  # of ours to theirs, in pairs
    limit: float | None = None
    notes: Sequence[str] = ()  # what else was measured
    runs: Sequence[dict[str, Any]] = ()  # likewise, run by run

    def as_json(self) -> dict[str, Any]:
        """All of it, but for notes and runs where there are none; what is infinite is null, as JSON wants it."""
        return {k: None if v == math.inf else v for k, v in self._asdict().items() if v != ()}


def timing_of(name: str, ours: Sequence[float], theirs: Sequence[float], limit: float | None) -> Timing:
    """The medians of the seconds of pairs of runs, a value a pair; the ratio should stay below `limit`."""
    return Timing(name, median(ours), median(theirs), median(a / b for a, b in zip(ours, theirs, strict=True)), limit)


def alternate(
    name: str, ours: Callable[[], None], theirs: Callable[[], None], pairs: int, limit: float | None
) -> Timing:
    """Times two functions strictly by turns, so that a slow moment of the machine hits both.

    Each run follows one of the other function, never one of its own; two pairs are run first and not counted.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in tqdm(range(pairs + 2), desc=name, unit="pair", disable=None, leave=False):
        for run, times in zip((ours, theirs), seconds, strict=True):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
    return timing_of(name, seconds[0][2:], seconds[1][2:], limit)
