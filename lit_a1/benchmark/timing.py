"""Timings of one side against others, taken in turn."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median, quantiles
from typing import Any, NamedTuple

from tqdm import tqdm

Run = Callable[[], object]
WARM_UP = 2  # rounds


class Timing(NamedTuple):
    """One side timed against another; `ours` and the ratio are infinite if our side missed its target."""

    name: str
    other: str
    ours: float  # median, in `unit`
    theirs: float  # likewise
    ratio: float  # median over pairs of ours / theirs
    spread: tuple[float, float]  # the quartiles of the ratio
    at_most: float | None = None  # upper limit for the ratio
    unit: str = "s"
    notes: Sequence[str] = ()  # further measurements
    runs: Sequence[dict[str, Any]] = ()  # likewise, run by run

    def as_json(self) -> dict[str, Any]:
        """All fields, without empty notes and runs; infinite values become null, as JSON can't hold them."""
        finite = {k: None if v == math.inf else v for k, v in self._asdict().items() if v != ()}
        return finite | {"spread": [None if v == math.inf else v for v in self.spread]}


def timing_of(
    name: str, other: str, ours: Sequence[float], theirs: Sequence[float], at_most: float | None, unit: str = "s"
) -> Timing:
    """The medians of both sides, given a value for each pair, with the ratio's median and quartiles."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    low, _, high = quantiles(ratios, method="inclusive") if len(ratios) > 1 else ratios * 3
    return Timing(name, other, median(ours), median(theirs), median(ratios), (low, high), at_most, unit)


def seconds_by_turns(sides: Sequence[Run], pairs: int, name: str, steps: int = 1) -> list[list[float]]:
    """Times functions strictly in turn, so a slow moment of the machine affects all of them.

    Returns for each function the seconds divided by `steps`, in `pairs` rounds after `WARM_UP` uncounted rounds.
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
    """Times a function against others in one run: `others` maps names to functions and upper limits of the ratio."""
    our_seconds, *their_seconds = seconds_by_turns([ours, *(run for run, _ in others.values())], pairs, name, steps)
    return [
        timing_of(name, other, our_seconds, times, at_most)
        for (other, (_, at_most)), times in zip(others.items(), their_seconds, strict=True)
    ]
