"""The figure of `mlp search`: every trial, against every hyper-parameter."""

import math
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from lit_a1.confidence import wilson
from lit_a1.figures import COLOURS, figure
from lit_a1.mlp.search_results import Tried, best_of
from lit_a1.mlp.search_space import Space, Span

PANELS = {
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
LEVELS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.4, 1.6, 1.8, 2, 2.25, 2.5, 2.75, 3, 3.5, 4, 5, 6, 7, 8, 9))
REACH = 10  # of the axis, in errors of the best trial: what is far off would press the good ones together
LINE = 150  # characters


def draw(path: Path, tried: Sequence[Tried], space: Space, pictures: int, title: str) -> None:
    """Draws each trial's smallest validation error against each hyper-parameter, a panel each.

    Args:
        path: of the PNG.
        tried: trials, one of which has an error at least.
        space: that was searched.
        pictures: that validate; no error at all is drawn as half a one, as the axis is logarithmic.
        title: what was searched on what.
    """
    measured = [trial for trial in tried if math.isfinite(trial.error)]
    best = best_of(tried)
    errors = [max(trial.error, 0.5 / pictures) * 100 for trial in measured]
    top = min(max(errors) * 1.15, REACH * min(errors), 100)
    if max(errors) > top:
        title += f" Errors above {top:.2g}% are drawn at the upper end."
    groups: dict[str, tuple[list[Tried], dict[str, Any]]] = {
        "stopped early": ([], {"color": "#888888", "alpha": 0.4, "s": 16}),
        "complete": ([], {"color": COLOURS[0], "alpha": 0.85, "s": 22}),
        "the first, the command's own": ([], {"color": COLOURS[1], "marker": "s", "s": 34}),
        "the best": ([], {"color": COLOURS[2], "marker": "*", "s": 150, "edgecolors": "black", "linewidths": 0.6}),
    }
    for trial in measured:
        name = "complete" if trial.state == "complete" else "stopped early"
        name = "the first, the command's own" if trial.start else name
        groups["the best" if trial is best else name][0].append(trial)
    with figure(path, width=11, height=8.2, nrows=3, ncols=4, sharey=True) as (drawing, axes):
        for panel, (name, label) in zip(axes.flat, PANELS.items(), strict=True):
            if best is not None:
                low, high = (100 * end for end in wilson(best.error, pictures))
                panel.axhspan(low, high, color=COLOURS[2], alpha=0.15, lw=0, label="95% interval of the best")
            place = _axis(panel, name, space[name])
            for group, (trials, look) in groups.items():
                shown = [(place(value, trial), trial) for trial in trials if (value := _value(trial, name)) is not None]
                heights = [min(max(trial.error, 0.5 / pictures) * 100, top) for _, trial in shown]
                if trials:
                    places = [x for x, _ in shown]
                    panel.scatter(places, heights, label=group, zorder=3, clip_on=False, **{"linewidths": 0} | look)
            panel.set_xlabel(label)
        _error_axis(axes.flat[0], min(errors) / 1.15, top)
        for panel in axes[:, 0]:
            panel.set_ylabel("Validation error (%)")
        handles, labels = axes.flat[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=5)
        drawing.suptitle(textwrap.fill(title, LINE, break_on_hyphens=False), x=0.01, ha="left", fontsize=10)


def _value(trial: Tried, name: str) -> Any:
    """A hyper-parameter as the figure shows it; None where the trial has none."""
    hidden = trial.settings["hidden_dims"]
    if name == "nesterov":
        return "none" if not trial.settings["momentum"] else "Nesterov" if trial.settings["nesterov"] else "plain"
    shown = {"layers": len(hidden), "taper": hidden[1] / hidden[0] if len(hidden) > 1 else None}
    return {**shown, "parameters": trial.parameters, **trial.settings}[name]


def _axis(panel: Axes, name: str, span: Span | tuple[str, ...]) -> Callable[[Any, Tried], float]:
    """Lays out the axis of a hyper-parameter, and gives the function that places a trial's value on it."""
    if isinstance(span, tuple) or name in ("layers", "batch_size"):
        return _kinds_axis(panel, name, span)
    if not span.log:
        margin = 0.04 * (span.high - (0 if span.none_below else span.low))
        panel.set_xlim((0 if span.none_below else span.low) - margin, span.high + margin)
        if name == "parameters":
            ticks = [span.low, (span.low + span.high) / 2, span.high]
            panel.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
        return lambda value, trial: value
    panel.set_xscale("log")
    zero = span.none_below / 5  # left of all others
    powers = [10.0**k for k in range(-9, 3) if (span.none_below or span.low) <= 10.0**k <= span.high]
    ticks = [zero, *powers] if zero else powers
    panel.set_xticks(ticks, ["0" if tick == zero else _power(tick) for tick in ticks])
    panel.minorticks_off()
    panel.set_xlim((zero or span.low) / 1.3, span.high * 1.3)
    return lambda value, trial: value or zero


def _power(tick: float) -> str:
    """A power of ten in print."""
    return f"{tick:g}" if tick >= 0.01 else f"$10^{{{round(math.log10(tick))}}}$"


def _kinds_axis(panel: Axes, name: str, span: Span | tuple[str, ...]) -> Callable[[Any, Tried], float]:
    """The axis of a hyper-parameter with a few values; trials at the same one stand beside each other."""
    if isinstance(span, Span):
        numbers = range(int(span.low), int(span.high) + 1)
        kinds: list[Any] = [number for number in numbers if not span.log or number.bit_count() == 1]
    else:
        kinds = ["none", "plain", "Nesterov"] if name == "nesterov" else list(span)
    panel.set_xticks(range(len(kinds)), [str(kind).replace("_", "\n") for kind in kinds])
    panel.set_xlim(-0.5, len(kinds) - 0.5)
    panel.grid(visible=False, axis="x")
    panel.tick_params(axis="x", labelsize=8 if len(kinds) > 3 else None)
    return lambda value, trial: (
        kinds.index(value) + ((trial.number * 0.618 + 0.5) % 1 - 0.5) * 0.5
    )  # by the golden ratio


def _error_axis(panel: Axes, low: float, high: float) -> None:
    """A logarithmic axis with a handful of round numbers on it."""
    for steps in LEVELS:
        ticks = [step * 10.0**k for k in range(-3, 3) for step in steps if low <= step * 10.0**k <= high]
        if len(ticks) > 3:
            break
    panel.set_yscale("log")
    panel.set_ylim(low, high)
    panel.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.minorticks_off()
