"""How errors and probabilities are written."""

from collections.abc import Sequence
from statistics import mean, stdev

from lit_a1.runs.wording import percent


def interval(low: float, high: float) -> str:
    """An interval of errors, which are never negative: `0.49 to 0.61 %`."""
    return f"{100 * max(low, 0.0):.2f} to {percent(high)}"


def probability(p: float) -> str:
    """A p value, with an exponent where it is small."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}" if p > 1e-99 else "below 1e-99"


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation of errors; of a single run its error."""
    if len(values) == 1:
        return f"{percent(values[0])} (one run)"
    return f"{100 * mean(values):.2f} ± {percent(stdev(values))}"
