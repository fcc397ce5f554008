"""The figures of a comparison: error curves, errors on changed images, images that only one network gets right."""

from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lit_a1.data.sources.drawn import SIDE
from lit_a1.runs.plotting import COLOURS, clip_for_log_axis, draw_line, figure, headline, percent_axis
from lit_a1.studies.comparison.changes import KINDS
from lit_a1.studies.comparison.conclusions import Disagreements, disagreements, like_for_like
from lit_a1.studies.comparison.measures import Measurements
from lit_a1.studies.curves import curve

COLUMNS, ROWS = 12, 2  # digits of the disagreements, for each kind
CELL_WIDTH, CELL_HEIGHT = SIDE + 12, SIDE + 30  # pixels of a digit and the text below it
PANELS = {"shift": "Shift (pixels)", "rotation": "Rotation, either way (degrees)", "noise": "Noise (std, white = 1)"}
CURVES = {"train_eval": "Error on the training set", "val": "Error on the validation set"}


def draw_curves(path: Path, measurements: Measurements, title: str) -> None:
    """Plots training and validation error against the epoch, in two panels with the same logarithmic axis.

    An experiment with a run that did not evaluate the training set is left out of that panel, which says so.
    """
    with figure(path, width=9.6, height=4.2, ncols=2, sharey=True) as (drawing, panels):
        for panel, (part, heading) in zip(panels, CURVES.items(), strict=True):
            missing = []
            for number, label in enumerate(measurements.experiments):
                runs, tag = measurements.rows(label).run.tolist(), f"{part}/error"
                if all(tag in row for run in runs for row in run.epochs):
                    draw_line(panel, label, number, *curve(runs, tag))
                else:
                    missing.append(label)
            panel.set_title(heading + (f" (not recorded: {'; '.join(missing)})" if missing else ""), fontsize=10)
            panel.set_xlabel("Epochs done")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        percent_axis(panels[0])
        drawing.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=len(COLOURS))
        headline(drawing, title)


def draw_robustness(path: Path, measurements: Measurements, title: str) -> None:
    """Plots the test error against shift, rotation and noise, on one logarithmic axis."""
    errors, images = measurements.errors_by_level(), len(measurements.digits)
    with figure(path, width=10.4, height=4.0, ncols=len(KINDS), sharey=True) as (drawing, panels):
        for panel, (kind, levels) in zip(panels, KINDS.items(), strict=True):
            for number, label in enumerate(measurements.experiments):
                columns = [errors[label, "none", 0], *(errors[label, kind, level] for level in levels)]
                values = np.maximum(np.stack(columns, axis=1), clip_for_log_axis(0, images))
                draw_line(panel, label, number, (0, *levels), values)
            panel.set_xlabel(PANELS[kind])
            panel.set_xticks((0, *levels), [f"{level:g}" for level in (0, *levels)])
        percent_axis(panels[0])
        panels[0].set_ylabel("Test error")
        drawing.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(COLOURS))
        headline(drawing, title)


def draw_disagreements(path: Path, measurements: Measurements, images: NDArray[np.uint8], title: str) -> None:
    """Shows up to 24 test images (N,28,28) of each kind: only one of a like-for-like pair gets them right."""
    labels = like_for_like(measurements)
    groups = [disagreements(measurements, *pair) for pair in (labels[::-1], labels)]
    names = [measurements.rows(label).run.iloc[0].kind for label in labels]
    sides = dict(zip(labels, names if names[0] != names[1] else ["first", "second"], strict=True))
    legend = f"Under each digit: what it is, then what {labels[0]} and {labels[1]} take it for."
    shown = [(group.unanimous + group.majority)[: COLUMNS * ROWS] for group in groups]
    rows = [max(1, -(-len(indices) // COLUMNS)) for indices in shown]
    height = 1.4 + 1.2 * sum(rows)
    with figure(path, width=9.6, height=height, nrows=len(groups), height_ratios=rows) as (sheet, panels):
        for panel, group, indices, n_rows in zip(panels, groups, shown, rows, strict=True):
            margin = (CELL_WIDTH - SIDE) // 2
            cells = np.zeros((n_rows * COLUMNS, CELL_HEIGHT, CELL_WIDTH), np.uint8)
            cells[: len(indices), :SIDE, margin : margin + SIDE] = images[indices]
            grid = cells.reshape(n_rows, -1, CELL_HEIGHT, CELL_WIDTH).swapaxes(1, 2).reshape(n_rows * CELL_HEIGHT, -1)
            panel.imshow(grid, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
            panel.set_axis_off()
            panel.set_title(heading(group, len(indices)), loc="left", fontsize=10)
            for place, k in enumerate(indices):
                row, column = divmod(place, COLUMNS)
                for line, text in enumerate(caption(measurements, group, k, sides)):
                    look = {"color": COLOURS[line - 1]} if line else {"weight": "bold"}
                    x, y = (column + 0.5) * CELL_WIDTH, row * CELL_HEIGHT + SIDE + 3 + 7.5 * line
                    panel.text(x, y, text, ha="center", va="top", fontsize=8, **look)
        headline(sheet, f"{title} {legend}")


def caption(measurements: Measurements, group: Disagreements, image: int, sides: dict[str, str]) -> list[str]:
    """`is 4`, `MLP: 9`, `CNN: 4`: an image's digit, and each side's prediction (if wrong, the most frequent one)."""
    digit = measurements.digits[image]
    counts = np.bincount(measurements.predictions[measurements.rows(group.wrong).index, image], minlength=10)
    counts[digit] = 0
    predictions = {group.right: digit, group.wrong: counts.argmax()}
    return [f"is {digit}", *(f"{name}: {predictions[label]}" for label, name in sides.items())]


def heading(group: Disagreements, shown: int) -> str:
    """`CNN right, MLP wrong: 70 in all runs, 211 more in most runs of both (the clearest 24)`."""
    unanimous, majority = len(group.unanimous), len(group.majority)
    text = f"{group.right} right, {group.wrong} wrong: {unanimous} in all runs, {majority} more in most runs of both"
    return text + (f" (the clearest {shown})" if shown < unanimous + majority else "")
