"""How sure a measured figure is."""

from math import sqrt

Z = 1.96  # standard deviations on either side that hold 95% of a normal distribution


def wilson(share: float, count: int) -> tuple[float, float]:
    """95% interval of a share that was measured on `count` pictures (Wilson, 1927)."""
    centre = share + Z**2 / (2 * count)
    half = Z * sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    low, high = (centre - half) / (1 + Z**2 / count), (centre + half) / (1 + Z**2 / count)
    return max(0.0, low), min(1.0, high)  # rounding may step outside
