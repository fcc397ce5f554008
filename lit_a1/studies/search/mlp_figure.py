"""The figure of `mlp search`: how each hyper-parameter is shown."""

from functools import partial
from typing import Any

from lit_a1.studies.search.figure import Panel
from lit_a1.studies.search.mlp_results import Tried
from lit_a1.studies.search.mlp_space import Space
from lit_a1.studies.search.span import Span

LABELS = {
    "lr": "Learning rate",
    "lr_decay": "Decay of the learning rate",
    "batch_size": "Pictures a step",
    "nonlinearity": "Nonlinearity",
    "momentum": "Momentum",
    "nesterov": "Kind of momentum",
    "dropout": "Dropout of hidden units",
    "input_dropout": "Dropout of pixels",
    "parameters": "Parameters",
    "layers": "Hidden layers",
    "taper": "Second layer's units / first layer's",
    "weight_decay": "Weight decay",
}


def panels_of(space: Space) -> list[Panel]:
    """A panel for each hyper-parameter of a search."""
    return [
        Panel(label, _values(name, space[name]), partial(_value, name), _ticks(name, space[name]))
        for name, label in LABELS.items()
    ]


def _values(name: str, span: Any) -> Any:
    """The values that have a column each, or the range of the axis."""
    if name == "nesterov":
        return ["none", "plain", "Nesterov"]
    if name in ("layers", "batch_size"):
        numbers = range(int(span.low), int(span.high) + 1)
        return [number for number in numbers if not span.log or number.bit_count() == 1]
    return span


def _ticks(name: str, span: Any) -> tuple[float, ...]:
    return (span.low, (span.low + span.high) / 2, span.high) if name == "parameters" and isinstance(span, Span) else ()


def _value(name: str, trial: Tried) -> Any:
    """A hyper-parameter as the figure shows it; None where the trial has none."""
    hidden = trial.settings["hidden_dims"]
    if name == "nesterov":
        return "none" if not trial.settings["momentum"] else "Nesterov" if trial.settings["nesterov"] else "plain"
    shown = {"layers": len(hidden), "taper": hidden[1] / hidden[0] if len(hidden) > 1 else None}
    return {**shown, "parameters": trial.parameters, **trial.settings}[name]
