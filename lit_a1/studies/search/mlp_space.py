"""What `mlp search` tries: the ranges, and what a draw from them means as a network."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from lit_a1.mlp.network import DECAYS, NN, NONLINEARITIES
from lit_a1.mlp.setup import Setup
from lit_a1.runs.settings import UsageError
from lit_a1.studies.search.span import Space, Span

SPACE: Space = {  # and `parameters`, between the ends of parameter_range
    "layers": Span(1, 3, step=1),
    "taper": Span(0.4, 1.0),  # units of a hidden layer, as a share of those of the one before
    "nonlinearity": tuple(NONLINEARITIES),
    "lr": Span(0.005, 1.0, log=True),
    "lr_decay": DECAYS,
    "batch_size": Span(32, 512, log=True),  # the nearest power of two
    "momentum": Span(0.4, 0.95, step=0.01, none_below=0.5),
    "nesterov": ("no", "yes"),
    "weight_decay": Span(1e-7, 1e-3, log=True, none_below=1e-6),
    "dropout": Span(0.0, 0.5, step=0.01),
    "input_dropout": Span(0.0, 0.3, step=0.01),
}
SETTINGS = tuple(name for name in SPACE if name not in ("layers", "taper"))  # keywords of `NN`, besides hidden_dims
PARAMETERS = (500_000, 1_000_000)  # where the setup has no parameter_range


def widths(layers: int, taper: float, parameters: float, ends: tuple[int, int], allowed: Sequence[int]) -> list[int]:
    """Units h, t h, t^2 h ... (rounded) of hidden layers, such that the network's size is nearest to a wanted one.

    Args:
        layers: hidden ones.
        taper: t, above 0 and at most 1.
        parameters: the wanted size, biases included.
        ends: inputs and outputs.
        allowed: fewest and most parameters; a network outside is never chosen.

    Raises:
        UsageError: no such network is inside.
    """

    def units(first: int) -> list[int]:
        return [max(1, round(first * taper**k)) for k in range(layers)]

    def size(first: int) -> int:
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise([ends[0], *units(first), ends[1]]))

    below = bisect_right(range(1, int(parameters) // ends[0] + 2), parameters, key=size)  # most units not above it
    fitting = [first for first in (below, below + 1) if first and allowed[0] <= size(first) <= allowed[1]]
    if not fitting:
        raise UsageError(
            f"parameter_range must leave room for {layers} hidden layers of any taper; {allowed[0]:,} to "
            f"{allowed[1]:,} has none for {taper:.2f}"
        )
    return units(min(fitting, key=lambda first: abs(size(first) - parameters)))


def space_of(setup: Setup) -> Space:
    """All that is searched."""
    return {"parameters": Span(*setup.model.get("parameter_range", PARAMETERS)), **SPACE}


def settings_of(drawn: Mapping[str, Any], setup: Setup) -> dict[str, Any]:
    """What was drawn from the space, as keywords of `NN`.

    Raises:
        UsageError: as `widths`.
    """
    dims = setup.network().dims
    allowed = setup.model.get("parameter_range", PARAMETERS)
    hidden = widths(int(drawn["layers"]), drawn["taper"], drawn["parameters"], (dims[0], dims[-1]), allowed)
    settings: dict[str, Any] = {"hidden_dims": hidden, "n_hidden": len(hidden)}
    for name in SETTINGS:
        span = SPACE[name]
        settings[name] = span.meaning(drawn[name]) if isinstance(span, Span) else drawn[name]
    settings["batch_size"] = 2 ** round(math.log2(settings["batch_size"]))
    settings["nesterov"] = settings["nesterov"] == "yes" and settings["momentum"] > 0
    return settings


def start_of(net: NN, space: Space) -> dict[str, Any]:
    """The draw that is nearest to a network."""
    hidden = net.dims[1:-1]
    wanted: dict[str, Any] = {name: getattr(net, name) for name in SETTINGS}
    wanted |= {"parameters": net.n_parameters, "layers": len(hidden), "nesterov": "yes" if net.nesterov else "no"}
    wanted["taper"] = (hidden[-1] / hidden[0]) ** (1 / (len(hidden) - 1)) if len(hidden) > 1 else 1.0
    return {
        name: span.nearest(wanted[name]) if isinstance(span, Span) else wanted[name] for name, span in space.items()
    }
