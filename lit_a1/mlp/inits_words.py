"""The study of initializations in words, every one of which follows from what was measured."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np

from lit_a1.mlp.inits_probe import BOUNDED, FLAT, SURE, State, Trial
from lit_a1.mlp.network import NN
from lit_a1.mlp.setup import Digits

TITLES = {"zero": "Zero", "normal": "Standard normal", "glorot": "Glorot"}
ALIKE = 1e-3  # weights that differ by less than this share of the largest one differ by rounding alone
NEAR = 0.02  # losses that differ by less than this share are called about equal


def compare(trials: Sequence[Trial], net: NN, digits: Digits, words: str) -> str:
    """The comparison, in Markdown.

    Args:
        trials: zero, normal and glorot.
        net: a network as they were, for its layers and nonlinearity.
        digits: that they were trained on.
        words: what the study was run with.
    """
    by_name = {trial.name: trial for trial in trials}
    zero, normal, glorot = (by_name[name] for name in TITLES)
    pictures = len(digits.train.labels)
    parts = [
        "# Initialization: zero, standard normal, Glorot",
        f"Run with: {words}. All biases start at zero. Losses and errors are those of the weights as they are at the "
        f"end of an epoch, over all {pictures:,} training or {len(digits.valid.labels):,} validation pictures, "
        "nothing dropped. One run each, from one seed.",
        _result(trials, len(digits.valid.labels)),
        _curves(trials),
        "## Zero",
        _zero(zero, net, digits),
        "## Standard normal",
        _normal(normal, glorot, net),
        "## Glorot",
        _glorot(glorot, normal, net),
        "## Layer by layer",
        _layers(trials, net),
    ]
    return "\n\n".join(parts) + "\n"


# numbers in words


def number(value: float) -> str:
    """Three digits, without an exponent between a thousandth and a million."""
    if not math.isfinite(value):
        return "not finite"
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:.1e}"


def _loss(value: float) -> str:
    return f"{value:.4f}" if 1e-3 <= value < 100 else number(value)


def _share(value: float) -> str:
    """A share in percent: 0 % and 100 % only where it is none or all."""
    if not math.isfinite(value):
        return "not finite"
    if value in (0, 1):
        return f"{value:.0%}"
    return "under 0.1 %" if value < 5e-4 else "over 99.9 %" if value > 0.9995 else f"{100 * value:.1f} %"


def _listed(values: Iterable[float], words: Callable[[float], str] = number) -> str:
    """`1, 2 and 3`."""
    *most, last = map(words, values)
    return f"{', '.join(most)} and {last}" if most else last
