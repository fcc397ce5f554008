"""Timings of one side against others, taken by turns."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median, quantiles
from typing import Any, NamedTuple

from tqdm import tqdm

Run = Callable[[], object]
WARM_UP = 2  # rounds


class Timing(NamedTuple):
    """What was timed against one other side; our figure and the ratio are infinite where our side missed its target."""

    name: str
    other: str
    ours: float  # median, as all, in `unit`
    theirs: float
    ratio: float  # of ours to theirs, in pairs
    spread: tuple[float, float]  # the quartiles of the ratio
    at_most: float | None = None  # what the ratio should be
    unit: str = "s"
    notes: Sequence[str] = ()  # what else was measured
    runs: Sequence[dict[str, Any]] = ()  # likewise, run by run

    def as_json(self) -> dict[str, Any]:
        """All of it, but for notes and runs where there are none; what is infinite is null, as JSON wants it."""
        finite = {k: None if v == math.inf else v for k, v in self._asdict().items() if v != ()}
        return finite | {"spread": [None if v == math.inf else v for v in self.spread]}


def timing_of(
    name: str, other: str, ours: Sequence[float], theirs: Sequence[float], at_most: float | None, unit: str = "s"
) -> Timing:
    """The medians of pairs of figures, a value a pair, with the ratio's median and quartiles."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    low, _, high = quantiles(ratios, method="inclusive") if len(ratios) > 1 else ratios * 3
    return Timing(name, other, median(ours), median(theirs), median(ratios), (low, high), at_most, unit)


def seconds_by_turns(sides: Sequence[Run], pairs: int, name: str, steps: int = 1) -> list[list[float]]:
    """Times functions strictly by turns, so that a slow moment of the machine hits all of them.

    Returns the seconds of each, divided by `steps`, `pairs` values a side; `WARM_UP` rounds are run first, not counted.
    """
    seconds: list[list[float]] = [[] for _ in sides]
    for _ in tqdm(range(pairs + WARM_UP), desc=name, unit="round", disable=None, leave=False):
        for run, times in zip(sides, seconds, strict=True):
            start = time.perf_counter()
            run()
            times.append((time.perf_counter() - start) / steps)
    return [times[WARM_UP:] for times in seconds]


def alternate(
    name: str, ours: Run, others: Mapping[str, tuple[Run, float | None]], pairs: int, steps: int = 1
) -> list[Timing]:
    """Times a function against others, in one run: `others` maps a name to a function and the ratio it should have."""
    mine, *theirs = seconds_by_turns([ours, *(run for run, _ in others.values())], pairs, name, steps)
    return [
        timing_of(name, other, mine, times, at_most)
        for (other, (_, at_most)), times in zip(others.items(), theirs, strict=True)
    ]
