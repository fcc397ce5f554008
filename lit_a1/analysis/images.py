"""Chooses validation images to show, as rows (the earlier first on ties), and draws contact sheets of them."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes

from lit_a1.analysis.familiarity import unit
from lit_a1.analysis.network import Ints, TrainedNetwork
from lit_a1.analysis.result import AnalysisResult
from lit_a1.runs.plotting import COLOURS
from lit_a1.runs.shown import smallest

SAMPLE = 500  # images that means are taken over
WIDTH = 6.4  # inches of a contact sheet
FONT, LINE, LINES = 8, 0.14, 3  # points; inches of a line of text; lines under an image
SHARE = 0.92  # of a cell's width that its image takes


def sample(network: TrainedNetwork, count: int = SAMPLE) -> Ints:
    """At most `count` images, evenly spread."""
    images = len(network.labels)
    return np.unique(np.linspace(0, images - 1, min(count, images)).round().astype(np.int64))


def most_confident_correct(network: TrainedNetwork, class_: int, count: int) -> Ints:
    """Up to `count` correctly predicted images of a class, the largest margin first."""
    return smallest(-network.margins(), network.correct & (network.labels == class_), count)


def most_confident_wrong(network: TrainedNetwork, count: int) -> Ints:
    """Up to `count` wrongly predicted images of any class, the largest margin for the wrong class first."""
    return smallest(network.margins(), ~network.correct, count)


def closest_calls(network: TrainedNetwork, count: int) -> Ints:
    """Up to `count` images, correct or not, with the smallest margins between the two likeliest classes."""
    return smallest(network.leads(), np.ones(len(network.labels), np.bool_), count)


def most_typical(network: TrainedNetwork, class_: int, count: int) -> Ints:
    """Up to `count` correctly predicted images of a class, the nearest to its mean feature by cosine first."""
    of_class = network.labels == class_
    if not of_class.any():
        return np.empty(0, np.int64)
    closeness = unit(network.features) @ network.features[of_class].mean(0)  # the cosine, times a constant
    return smallest(-closeness, network.correct & of_class, count)


def without_axes(panel: Axes) -> None:
    """Removes ticks, grid and frame; labels stay."""
    panel.set(xticks=[], yticks=[])
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)


def per_line(network: TrainedNetwork) -> int:
    """How many images are side by side on a contact sheet."""
    return 8 if network.is_photos else 10


def in_lines(rows: Sequence[int] | Ints, width: int) -> list[list[int]]:
    """Breaks a sequence of rows into lines of `width`; the last may be shorter."""
    return [list(map(int, rows[start : start + width])) for start in range(0, len(rows), width)]


def contact_sheet(
    result: AnalysisResult, name: str, network: TrainedNetwork, lines: Iterable[Sequence[int | None]]
) -> None:
    """Draws lines of images (None: an empty cell) with number, label and prediction under each."""
    columns = per_line(network)
    cell_width = WIDTH / columns  # inches
    height = SHARE + (LINES * LINE + 0.1) / cell_width  # of a cell, in widths of a cell
    cells = [(x, y, row) for y, line in enumerate(lines) for x, row in enumerate(line) if row is not None]
    count = 1 + max(y for _, y, _ in cells)
    with result.figure(name, width=WIDTH, height=cell_width * height * count) as (_, axes):
        for x, y, row in cells:
            left, top = x + (1 - SHARE) / 2, y * height
            extent = (left, left + SHARE, top + SHARE, top)
            axes.imshow(network.images[row], cmap="gray", extent=extent, interpolation="nearest", vmin=0, vmax=255)
            label, prediction = network.names([network.labels[row], network.predictions[row]])
            percent = 100 * network.probabilities[row].max()
            texts = str(network.indices[row]), f"is {label}", f"{prediction}: {percent:.3g} %"
            colours = "black", "black", COLOURS[0] if network.correct[row] else COLOURS[1]
            for k, (text, colour) in enumerate(zip(texts, colours, strict=True)):
                style = {"color": colour, "weight": "normal" if k else "bold", "fontsize": FONT}
                axes.text(x + 0.5, top + SHARE + (0.03 + k * LINE) / cell_width, text, ha="center", va="top", **style)
        axes.set(xlim=(0, columns), ylim=(height * count, 0), aspect="equal")
        axes.set_axis_off()
