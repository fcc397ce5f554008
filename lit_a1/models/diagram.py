"""A diagram of a network: a column for the stem, each stage and the head, with boxes of layers from top to bottom."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Outline

from lit_a1.models.architecture import CONVOLUTIONS, LINEAR, MEAN, POOLS, SUM, Architecture, Layer
from lit_a1.runs.plotting import COLOURS, figure

COLUMN, BOX, LINE, GAP = 1.28, 0.94, 0.115, 0.15  # inches: widths of column and box, heights of text line and arrow
TEXT, SMALL = 6.8, 6.0  # points
WIDEST = 19  # most letters a box has room for
GATE = "squeeze-excite"
NEW_BOX = {
    **dict.fromkeys(CONVOLUTIONS.values(), COLOURS[0]),
    **dict.fromkeys(POOLS.values(), COLOURS[4]),
    **dict.fromkeys(LINEAR.values(), COLOURS[2]),
    **dict.fromkeys((SUM, MEAN), COLOURS[6]),
}
"""The layers that begin a box, and its colour; other layers join the box before them."""
SHORT = {
    "convolution": "conv", "average pooling": "mean pool", "pooling": "pool", "weight-normalised": "weight-norm",
    MEAN: "global mean",
}  # fmt: skip


class Box(NamedTuple):
    """A layer listed in `NEW_BOX`, with the layers that join it."""

    layers: list[Layer]
    lines: list[str]
    colour: str

    @property
    def height(self) -> float:
        """In inches."""
        return LINE * len(self.lines) + 0.06


def draw(path: Path, shape: tuple[int, ...], architecture: Architecture) -> None:
    """Draws a network as a PNG, at least 6.4 inches wide, with the output size beneath each box.

    The layers of a shortcut are written along it. `shape` is that of an image, (C,H,W).
    """
    columns: dict[str, list[Box]] = {}
    for box in _boxes(architecture):
        columns.setdefault(box.layers[0].place.split(", ")[0], []).append(box)
    height = max(sum(box.height + GAP for box in boxes) for boxes in columns.values()) + 0.62
    width = COLUMN * max(5, len(columns))
    with figure(path, width=width, height=height) as (_, axes):
        axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        axes.set_axis_off()
        input_size, end = "x".join(map(str, shape)), (BOX / 2 + 0.04, height - 0.2)
        for number, (place, boxes) in enumerate(columns.items()):
            left = (width - COLUMN * len(columns)) / 2 + number * COLUMN + 0.04
            middle = left + BOX / 2
            axes.text(middle, height - 0.1, place, ha="center", va="center", fontsize=TEXT + 1, weight="bold")
            top = height - 0.5
            if number == 0:
                axes.text(middle, height - 0.26, f"image {input_size}", ha="center", va="center", fontsize=SMALL)
                _arrow(axes, [(middle, height - 0.32), (middle, top)])
            else:
                turn, above = left - 0.09, height - 0.24
                bend = [end, (end[0], end[1] - 0.12), (turn, end[1] - 0.12), (turn, above), (middle, above)]
                _arrow(axes, [*bend, (middle, top)])
            end = _column(axes, boxes, left, top, [layer for layer in architecture.layers if layer.on_side_path])
        axes.text(end[0], end[1] - 0.19, "logits", ha="center", va="center", fontsize=SMALL)
        _arrow(axes, [end, (end[0], end[1] - 0.13)])


def _boxes(architecture: Architecture) -> list[Box]:
    groups: list[list[Layer]] = []
    for layer in architecture.layers:
        if layer.place.endswith("gate") and groups[-1][-1].kind != GATE:
            groups[-1].append(layer._replace(kind=GATE, shape=groups[-1][-1].shape))
        if layer.on_side_path:
            continue
        if layer.kind in NEW_BOX or not groups:
            groups.append([])
        groups[-1].append(layer)
    boxes = []
    for layers in groups:
        first, *rest = layers
        strided = first.stride and first.stride[0] > 1 and first.kind not in POOLS.values()
        words = [first.words + (f", stride {first.stride[0]}" if strided and first.stride else "")]
        words += [", ".join(layer.words for layer in rest)] if rest else []
        lines = [line for text in words for line in textwrap.wrap(_short(text), WIDEST)]
        boxes.append(Box(layers, lines, NEW_BOX.get(first.kind, COLOURS[6])))
    return boxes


def _short(text: str) -> str:
    for long, short in SHORT.items():
        text = text.replace(long, short)
    return text


def _column(axes: Axes, boxes: list[Box], left: float, top: float, side_layers: list[Layer]) -> tuple[float, float]:
    """Draws the boxes of a column below `top`, with their skip connections; returns where the column ends."""
    middle, y = left + BOX / 2, top
    skip_starts: dict[str, float] = {}  # the height where a block's skip connection begins
    for number, box in enumerate(boxes):
        place, last = box.layers[0].place, box.layers[-1]
        skip_starts.setdefault(place, y + 0.55 * GAP)
        lower = y - box.height
        style: Any = {"facecolor": box.colour + "22", "edgecolor": box.colour, "linewidth": 0.9}
        axes.add_patch(FancyBboxPatch((left, lower), BOX, box.height, "round,pad=0,rounding_size=0.04", **style))
        for row, line in enumerate(box.lines):
            axes.text(middle, y - 0.03 - LINE * (row + 0.5), line, ha="center", va="center", fontsize=TEXT)
        if box.layers[0].kind == SUM:
            _skip(axes, left + BOX, skip_starts[place], y - box.height / 2, middle)
            words = [layer.words for layer in side_layers if layer.place == f"{place}, shortcut" and layer.filter]
            axes.text(
                left + BOX + 0.17, (skip_starts[place] + lower) / 2, _short(", ".join(words)), rotation=270,
                ha="center", va="center", fontsize=SMALL,
            )  # fmt: skip
        y = lower - GAP
        if number + 1 < len(boxes):
            _arrow(axes, [(middle, lower), (middle, y)])
        size = "x".join(map(str, last.shape))
        axes.text(middle - 0.05, lower - GAP / 2, size, ha="right", va="center", fontsize=SMALL, color="#444444")
    return middle, lower


def _skip(axes: Axes, edge: float, start: float, end: float, middle: float) -> None:
    """An arc beside a block's boxes, from above the block to its sum."""
    out = edge + 0.1
    points = [(middle, start), (out - 0.08, start), (out, start), (out, start - 0.08)]
    points += [(out, end + 0.08), (out, end), (edge, end)]
    codes = [Outline.MOVETO, Outline.LINETO, Outline.CURVE3, Outline.CURVE3, Outline.LINETO, *[Outline.CURVE3] * 2]
    _arrow(axes, points, codes, COLOURS[1])


def _arrow(
    axes: Axes, points: list[tuple[float, float]], codes: Sequence[Any] | None = None, colour: str = "#333333"
) -> None:
    style: Any = {"arrowstyle": "-|>", "mutation_scale": 6, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    axes.add_patch(FancyArrowPatch(path=Outline(points, codes), color=colour, **style))
