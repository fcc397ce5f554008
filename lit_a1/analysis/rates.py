"""How the analyses tell shares of pictures."""

from lit_a1.runs.confidence import wilson
from lit_a1.runs.wording import percent


def rated(share: float, count: int) -> str:
    """`4.35 % (95 % interval 3.54 % to 5.33 %)`: a share of `count` pictures with Wilson's interval."""
    low, high = wilson(share, count)
    return f"{percent(share)} (95 % interval {percent(low)} to {percent(high)})"
