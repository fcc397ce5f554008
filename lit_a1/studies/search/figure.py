"""The figure of a search: the error of every trial against every hyperparameter."""

import math
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator

from lit_a1.runs.plotting import COLOURS, clip_for_log_axis, figure
from lit_a1.runs.statistics import wilson
from lit_a1.studies.search.objective import Objective, TrialRecord
from lit_a1.studies.search.space import Range

COLUMNS = 6
LABEL_ROOM = 16  # letters that fit side by side below a panel
MAX_RATIO = 10  # top of the axis, as a multiple of the smallest error: outliers would squeeze the good trials together
STYLES: dict[str, dict[str, Any]] = {
    "stopped early": {"color": "#888888", "alpha": 0.4, "s": 16, "linewidths": 0},
    "complete": {"color": COLOURS[0], "alpha": 0.85, "s": 22, "linewidths": 0},
    "the first, the command's own": {"color": COLOURS[1], "marker": "s", "s": 34, "linewidths": 0},
    "the best": {"color": COLOURS[2], "marker": "*", "s": 150, "edgecolors": "black", "linewidths": 0.6},
}


def draw(path: Path, trials: Sequence[TrialRecord], objective: Objective, images: int, title: str) -> None:
    """Plots each trial's validation error against each hyperparameter; at least one trial must have an error."""
    measured = [trial for trial in trials if trial.epoch]
    complete = [t for t in measured if t.state == "complete" and objective.meets_requirement(t.settings)]
    best = min(complete, key=lambda trial: trial.error, default=None)
    errors = [100 * clip_for_log_axis(trial.error, images) for trial in measured]
    top = min(max(errors) * 1.15, MAX_RATIO * min(errors), 100)
    if max(errors) > top:
        title += f" Errors above {top:.2g}% are drawn at the upper end."
    groups: dict[str, list[tuple[TrialRecord, float]]] = {label: [] for label in STYLES}
    for trial, error in zip(measured, errors, strict=True):
        if trial is best:
            label = "the best"
        elif trial.start:
            label = "the first, the command's own"
        else:
            label = "complete" if trial.state == "complete" else "stopped early"
        groups[label].append((trial, min(error, top)))
    columns = min(COLUMNS, len(objective.space))
    rows = math.ceil(len(objective.space) / columns)
    shape = {"height": 1.3 * max(rows, 1.5) + 0.7, "nrows": rows, "ncols": columns, "sharey": True, "squeeze": False}
    with figure(path, width=8.4, **shape) as (drawing, axes):
        low = min(errors) / 1.15
        axes.flat[0].set_yscale("log")
        axes.flat[0].set_ylim(low, top)
        axes.flat[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)) if top > 4 * low else MaxNLocator(6))
        axes.flat[0].yaxis.set_major_formatter("{x:g}")
        for axis in axes.flat[len(objective.space) :]:
            axis.set_visible(False)
        for axis, name in zip(axes.flat, objective.space, strict=False):
            if best is not None:
                interval = [100 * end for end in wilson(best.error, images)]
                axis.axhspan(*interval, color=COLOURS[2], alpha=0.15, lw=0, label="95 % interval of the best")
            x_of = _lay_out(axis, name, objective)
            for label, points in groups.items():
                if points:
                    x, y = [x_of(trial) for trial, _ in points], [error for _, error in points]
                    axis.scatter(x, y, label=label, zorder=3, clip_on=False, **STYLES[label])
            axis.minorticks_off()
            axis.set_xlabel(textwrap.fill(objective.term(name), 16), fontsize=9)
            axis.tick_params(labelsize=8)
        for axis in axes[:, 0]:
            axis.set_ylabel("Error (%)", fontsize=9)
        handles, labels = axes.flat[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8, columnspacing=1)
        drawing.suptitle(textwrap.fill(title, 130, break_on_hyphens=False), x=0.01, ha="left", fontsize=8)


def _lay_out(axis: Axes, name: str, objective: Objective) -> Callable[[TrialRecord], float]:
    """Lays out the axis of a hyperparameter, and returns the function that places a trial on it."""
    values = objective.space[name]
    if not isinstance(values, Range):
        labels, texts = [str(value).replace("_", " ") for value in values], objective.distributions[name].choices
        crowded = sum(map(len, labels)) > LABEL_ROOM
        axis.set_xticks(range(len(labels)), labels, rotation=25 * crowded, ha="right" if crowded else "center")
        axis.set_xlim(-0.5, len(labels) - 0.5)
        axis.grid(visible=False, axis="x")
        # spreads trials of the same value sideways, by the golden ratio
        return lambda trial: texts.index(trial.sampled[name]) + ((trial.number * 0.618 + 0.5) % 1 - 0.5) * 0.5
    low = 0 if values.none_below else values.low
    if not values.log:
        margin = 0.06 * (values.high - low)
        axis.set_xlim(low - margin, values.high + margin)
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=values.whole or values.step == 1))
        axis.xaxis.set_major_formatter(EngFormatter(sep="") if values.high >= 100_000 else "{x:,.6g}")
    elif values.none_below:  # linear between 0 and the smallest number
        axis.set_xscale("symlog", linthresh=values.none_below, linscale=0.5)
        axis.set_xlim(-values.none_below / 10, values.high * 1.3)
        axis.set_xticks([0, 10 * values.none_below, values.high])
    else:
        axis.set_xscale("log")
        axis.set_xlim(low / 1.3, values.high * 1.3)
        if values.high < 100 * low:
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter("{x:,g}")
    return lambda trial: trial.settings[name] if name in trial.settings else values.meaning(trial.sampled[name])
