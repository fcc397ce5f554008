"""The figure of a search: every trial, against every hyper-parameter."""

import math
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes

from lit_a1.runs.confidence import wilson
from lit_a1.runs.plotting import COLOURS, figure, visible
from lit_a1.studies.search.span import Span
from lit_a1.studies.search.trial import Trial, best_of

COLUMNS = 4
LEVELS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.4, 1.6, 1.8, 2, 2.25, 2.5, 2.75, 3, 3.5, 4, 5, 6, 7, 8, 9))
REACH = 10  # of the axis, in errors of the best trial: what is far off would press the good ones together
LINE = 150  # characters


class Panel(NamedTuple):
    """A hyper-parameter in the figure."""

    label: str
    values: Span | Sequence[Any]
    """Numbers, on an axis of their own, or a few values, which have a column each."""
    value: Callable[[Any], Any]
    """Of a trial; None where it has none."""
    ticks: Sequence[float] = ()
    """On a linear axis, in place of matplotlib's."""


def draw(path: Path, tried: Sequence[Trial], panels: Sequence[Panel], pictures: int, title: str) -> None:
    """Draws each trial's validation error against each hyper-parameter.

    Args:
        path: of the PNG.
        tried: trials, one of which has an error at least.
        panels: hyper-parameters, one at least.
        pictures: that validate; no error at all is drawn as half a one, as the axis is logarithmic.
        title: what was searched on what.
    """
    measured = [trial for trial in tried if math.isfinite(trial.error)]
    best = best_of(tried)
    errors = [100 * visible(trial.error, pictures) for trial in measured]
    top = min(max(errors) * 1.15, REACH * min(errors), 100)
    if max(errors) > top:
        title += f" Errors above {top:.2g}% are drawn at the upper end."
    groups: dict[str, tuple[list[Trial], dict[str, Any]]] = {
        "stopped early": ([], {"color": "#888888", "alpha": 0.4, "s": 16}),
        "complete": ([], {"color": COLOURS[0], "alpha": 0.85, "s": 22}),
        "the first, the command's own": ([], {"color": COLOURS[1], "marker": "s", "s": 34}),
        "the best": ([], {"color": COLOURS[2], "marker": "*", "s": 150, "edgecolors": "black", "linewidths": 0.6}),
    }
    for trial in measured:
        name = "complete" if trial.state == "complete" else "stopped early"
        name = "the first, the command's own" if trial.start else name
        groups["the best" if trial is best else name][0].append(trial)
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    shape = {"height": 8.2 / 3 * max(rows, 1.5), "nrows": rows, "ncols": columns, "sharey": True, "squeeze": False}
    with figure(path, width=11, **shape) as (drawing, axes):
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for axis, panel in zip(axes.flat, panels, strict=False):
            if best is not None:
                low, high = (100 * end for end in wilson(best.error, pictures))
                axis.axhspan(low, high, color=COLOURS[2], alpha=0.15, lw=0, label="95% interval of the best")
            place = _axis(axis, panel)
            for group, (trials, look) in groups.items():
                shown = [(place(value, trial), trial) for trial in trials if (value := panel.value(trial)) is not None]
                heights = [min(100 * visible(trial.error, pictures), top) for _, trial in shown]
                if trials:
                    places = [x for x, _ in shown]
                    axis.scatter(places, heights, label=group, zorder=3, clip_on=False, **{"linewidths": 0} | look)
            axis.set_xlabel(panel.label)
        _error_axis(axes.flat[0], min(errors) / 1.15, top)
        for axis in axes[:, 0]:
            axis.set_ylabel("Validation error (%)")
        handles, labels = axes.flat[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=5)
        drawing.suptitle(textwrap.fill(title, LINE, break_on_hyphens=False), x=0.01, ha="left", fontsize=10)


def _axis(axis: Axes, panel: Panel) -> Callable[[Any, Trial], float]:
    """Lays out the axis of a hyper-parameter, and gives the function that places a trial's value on it."""
    span = panel.values
    if not isinstance(span, Span):
        return _kinds_axis(axis, span)
    if not span.log:
        margin = 0.04 * (span.high - (0 if span.none_below else span.low))
        axis.set_xlim((0 if span.none_below else span.low) - margin, span.high + margin)
        if panel.ticks:
            axis.set_xticks(panel.ticks, [f"{tick:,.0f}" for tick in panel.ticks])
        return lambda value, trial: value
    axis.set_xscale("log")
    zero = span.none_below / 5  # left of all others
    powers = [10.0**k for k in range(-9, 6) if (span.none_below or span.low) <= 10.0**k <= span.high]
    if len(powers) < 2:
        powers = sorted({span.none_below or span.low, *powers, span.high})
    ticks = [zero, *powers] if zero else powers
    axis.set_xticks(ticks, ["0" if tick == zero else _power(tick) for tick in ticks])
    axis.minorticks_off()
    axis.set_xlim((zero or span.low) / 1.3, span.high * 1.3)
    return lambda value, trial: value or zero


def _power(tick: float) -> str:
    """A power of ten in print; any other number as it is."""
    exponent = math.log10(tick)
    return f"{tick:g}" if tick >= 0.01 or exponent % 1 else f"$10^{{{round(exponent)}}}$"


def _kinds_axis(axis: Axes, kinds: Sequence[Any]) -> Callable[[Any, Trial], float]:
    """The axis of a hyper-parameter with a few values; trials at the same one stand beside each other."""
    axis.set_xticks(range(len(kinds)), [str(kind).replace("_", "\n") for kind in kinds])
    axis.set_xlim(-0.5, len(kinds) - 0.5)
    axis.grid(visible=False, axis="x")
    axis.tick_params(axis="x", labelsize=8 if len(kinds) > 3 else None)
    return lambda value, trial: (
        kinds.index(value) + ((trial.number * 0.618 + 0.5) % 1 - 0.5) * 0.5
    )  # by the golden ratio


def _error_axis(axis: Axes, low: float, high: float) -> None:
    """A logarithmic axis with a handful of round numbers on it."""
    for steps in LEVELS:
        ticks = [step * 10.0**k for k in range(-3, 3) for step in steps if low <= step * 10.0**k <= high]
        if len(ticks) > 3:
            break
    axis.set_yscale("log")
    axis.set_ylim(low, high)
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
