"""Ranges of numbers that are searched."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Span:
    """Numbers from `low` to `high`, drawn evenly, or evenly in their logarithm; below `none_below` they mean 0."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    none_below: float = 0.0
    whole: bool = False
    """Whether they are whole numbers."""

    def nearest(self, value: float) -> float:
        """The number that can be drawn and is nearest to a value."""
        value = min(max(value, self.low), self.high)
        if self.step is not None:
            value = self.low + round((value - self.low) / self.step) * self.step
        return min(round(value) if self.whole else value, self.high)

    def meaning(self, drawn: float) -> float:
        """What a drawn number stands for: three digits of it where there is no grid of steps or whole numbers; or 0."""
        if self.whole:
            value: float = round(drawn)
        elif self.step is not None:
            value = float(f"{drawn:.10g}")  # 0.8 + 3 * 0.05 is 0.9500000000000001
        else:
            value = (
                float(f"{drawn:.3g}") if self.log else round(drawn, 2 - math.floor(math.log10(self.high - self.low)))
            )
            value = min(max(value, self.low), self.high)
        return type(value)(0) if self.none_below and value < self.none_below else value

    def in_full(self) -> str:
        """All that tells it from others."""
        steps = f", in steps of {self.step:g}" if self.step else ""
        return f"{self}{steps}{', whole' * self.whole}"

    def __str__(self) -> str:
        words = f"{self.none_below or self.low:,.7g} to {self.high:,.7g}{' (logarithmic)' if self.log else ''}"
        return f"0, or {words}" if self.none_below else words


Space = Mapping[str, Span | Sequence[Any]]
"""Hyper-parameters by name: a range, or the values to choose from."""


def in_words(space: Space) -> str:
    """What was searched: `lr 0.01 to 1 (logarithmic); norm batch, group`."""
    return "; ".join(
        f"{name} {span}" if isinstance(span, Span) else f"{name} {', '.join(map(str, span))}"
        for name, span in space.items()
    )
