"""The figures of a comparison: error curves, errors on changed pictures, and pictures that one network alone reads."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lit_a1.data.digits import SIDE
from lit_a1.data.mnist import Part
from lit_a1.runs.plotting import COLOURS, Line, figure, headline, percent_axis, visible
from lit_a1.studies.comparison.changes import KINDS
from lit_a1.studies.comparison.measures import Disagreements, Measured, mistake

ACROSS, ROWS = 12, 2  # digits of the disagreements, for either kind
CELL_WIDTH, CELL_HEIGHT = SIDE + 12, SIDE + 30  # pixels of a digit and what is written under it
GAP = 0.055  # between the names of two lines, as a share of the axis
PANELS = {"shift": "Shift (pixels)", "rotation": "Rotation, either way (degrees)", "noise": "Noise (std, white = 1)"}
CURVES = {"train_eval": "Error on the training set", "val": "Error on the validation set"}


def draw_curves(path: Path, measured: Sequence[Measured], title: str) -> None:
    """Draws training and validation error against the epoch, both panels on the same logarithmic axis.

    Args:
        path: of the PNG.
        measured: the experiments; those with a run that did not measure the training set are left out of that panel,
            which says so.
        title: what was compared.
    """
    with figure(path, width=9.6, height=4.2, ncols=2, sharey=True) as (drawing, panels):
        named = []
        for panel, (part, heading) in zip(panels, CURVES.items(), strict=True):
            found = [(look, each.label, curve(each, part)) for look, each in enumerate(measured)]
            lines = [
                Line(label, look, range(1, values.shape[1] + 1), values)
                for look, label, values in found
                if values is not None
            ]
            for line in lines:
                line.draw(panel)
            missing = "; ".join(label for _, label, values in found if values is None)
            panel.set_title(heading + f" (not recorded: {missing})" * bool(missing), fontsize=10)
            panel.set_xlabel("Epochs done")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            named.append((panel, lines))
        percent_axis(panels[0])
        for panel, lines in named:
            _name_ends(panel, lines)
        headline(drawing, title)


def curve(measured: Measured, part: str) -> NDArray[np.float64] | None:
    """Errors (runs, epochs) as a logarithmic axis can show them: none at all counts as half a picture.

    Args:
        measured: an experiment.
        part: `train_eval` or `val`.

    Returns:
        The epochs that all runs have; None where a run did not measure that part.
    """
    tag, pictures = f"{part}/error", "val" if part == "val" else "train"
    if any(tag not in row for run in measured.runs for row in run.epochs):
        return None
    epochs = min(len(run.epochs) for run in measured.runs)
    values = [[visible(row[tag], run.record["pictures"][pictures]) for row in run.epochs] for run in measured.runs]
    return np.array([each[:epochs] for each in values])


def draw_robustness(path: Path, measured: Sequence[Measured], title: str) -> None:
    """Draws the test error against shift, rotation and noise, on one logarithmic axis.

    Args:
        path: of the PNG.
        measured: the experiments.
        title: what was compared.
    """
    with figure(path, width=10.4, height=4.0, ncols=len(KINDS), sharey=True) as (drawing, panels):
        for panel, (kind, levels) in zip(panels, KINDS.items(), strict=True):
            lines = []
            for look, each in enumerate(measured):
                pictures = each.right.shape[1]
                columns = [
                    [visible(error, pictures) for error in each.errors_at(kind, level)] for level in (0, *levels)
                ]
                lines.append(Line(each.label, look, (0, *levels), np.array(columns).T))
                lines[-1].draw(panel)
            panel.set_xlabel(PANELS[kind])
            panel.set_xticks((0, *levels), [f"{level:g}" for level in (0, *levels)])
        percent_axis(panels[0])
        panels[0].set_ylabel("Test error")
        _name_ends(panels[-1], lines)
        headline(drawing, title)


def _name_ends(axes: Axes, lines: Sequence[Line]) -> None:
    """Writes each line's name where it ends, names that end at the same place above each other."""
    low, high = map(math.log, axes.get_ylim())
    ends: dict[float, list[tuple[float, Line]]] = defaultdict(list)
    for line in lines:
        ends[line.x[-1]].append(((math.log(line.values.mean(axis=0)[-1]) - low) / (high - low), line))
    for x, named in ends.items():
        named.sort(key=lambda end: end[0])
        heights = [height for height, _ in named]
        for k in range(1, len(heights)):
            heights[k] = max(heights[k], heights[k - 1] + GAP)
        over = max(0.0, heights[-1] - 1)
        for height, (_, line) in zip(heights, named, strict=True):
            axes.annotate(
                line.label, (x, height - over), (7, 0), ("data", "axes fraction"), "offset points", va="center",
                fontsize=9, color=COLOURS[line.look % len(COLOURS)], annotation_clip=False,
                path_effects=[withStroke(linewidth=4, foreground="white")],  # another line may pass behind
            )  # fmt: skip


# disagreements


def draw_disagreements(path: Path, kinds: Sequence[Disagreements], test: Part, title: str) -> None:
    """Draws test digits that one experiment gets right and the other wrong, with the digit and both answers.

    Args:
        path: of the PNG.
        kinds: which digits, one for either way; of each the first 24 are drawn.
        test: the digits.
        title: what was compared.
    """
    sides = (kinds[0].wrong, kinds[0].right)  # in the order of the other figures' colours
    names = [side.experiment.runs[0].kind for side in sides]
    names = names if names[0] != names[1] else ["first", "second"]
    legend = f"Under each digit: what it is, then what {sides[0].label} and {sides[1].label} take it for."
    shown = [(each.unanimous + each.most)[: ACROSS * ROWS] for each in kinds]
    rows = [max(1, -(-len(found) // ACROSS)) for found in shown]
    grid = {"height_ratios": rows}
    with figure(path, width=9.6, height=1.4 + 1.2 * sum(rows), nrows=len(kinds), gridspec_kw=grid) as (sheet, panels):
        for panel, each, found, high in zip(panels, kinds, shown, rows, strict=True):
            panel.imshow(_montage(test.pictures[found], high), cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
            panel.set_axis_off()
            panel.set_title(heading(each, len(found)), loc="left", fontsize=10)
            for place, k in enumerate(found):
                y, x = _corner(place)
                for line, text in enumerate(caption(each, k, test.labels[k], dict(zip(names, sides, strict=True)))):
                    look = {"weight": "bold"} if not line else {"color": COLOURS[line - 1]}
                    panel.text(x + SIDE / 2, y + SIDE + 3 + 7.5 * line, text, ha="center", va="top", fontsize=8, **look)
        headline(sheet, f"{title} {legend}")


def caption(each: Disagreements, picture: int, label: int, sides: Mapping[str, Measured]) -> list[str]:
    """`is 4`, `MLP: 9`, `CNN: 4`: a test picture's digit, then what each side takes it for."""
    answers = {name: label if side is each.right else mistake(side, picture, label) for name, side in sides.items()}
    return [f"is {label}", *(f"{name}: {answer}" for name, answer in answers.items())]


def heading(each: Disagreements, shown: int) -> str:
    """`CNN right, MLP wrong: 70 in all runs, 211 more in most runs of both (the clearest 24)`."""
    count = len(each.unanimous) + len(each.most)
    return (
        f"{each.right.label} right, {each.wrong.label} wrong: {len(each.unanimous)} in all runs, {len(each.most)} more "
        f"in most runs of both" + f" (the clearest {shown})" * (shown < count)
    )


def _corner(place: int) -> tuple[int, int]:
    """Where a digit begins in the montage, from the top and from the left."""
    return place // ACROSS * CELL_HEIGHT, place % ACROSS * CELL_WIDTH + (CELL_WIDTH - SIDE) // 2


def _montage(digits: NDArray[np.uint8], rows: int) -> NDArray[np.uint8]:
    """Digits (N,28,28) side by side, room for words under each."""
    sheet = np.zeros((rows * CELL_HEIGHT, ACROSS * CELL_WIDTH), np.uint8)
    for place, digit in enumerate(digits):
        y, x = _corner(place)
        sheet[y : y + SIDE, x : x + SIDE] = digit
    return sheet
