"""The figure of `attention`: pictures, and beneath each of them its class activation map and its occlusion map."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject
from lit_a1.runs.wording import counted

Floats = NDArray[np.float64]
OPACITY = 0.7  # of a map over its picture
PALE = 0.45  # what black is lifted to in the picture beneath a map, so that the map's colours show


def draw(
    part: Part,
    subject: Subject,
    rows: NDArray[np.int64],
    odds: Floats,
    pair: Sequence[NDArray[np.int64]],
    activation: Floats,
    occlusion: Floats,
    side: int,
) -> None:
    """Draws n pictures, a column each, and beneath them both maps over the picture in pale grey.

    Args:
        part: that keeps the figure.
        subject: the network and its pictures.
        rows: the pictures' rows.
        odds: (n,) log-odds that it finds for the first of the classes in `pair`.
        pair: the classes towards and against which the maps speak, (n,) each.
        activation: class activation maps (n,S,S).
        occlusion: occlusion maps (n,S,S).
        side: of the covering square, in pixels.
    """
    two = len(subject.classes) == 2
    for_, against = (subject.classes[k] for k in (1, 0)) if two else ("the true class", "the strongest other one")
    wrong = int((~subject.right[rows]).sum())
    caption = (
        f"Where the evidence lies in {counted(len(rows), 'validation picture')}: the surest right ones of each class"
        + (f", and the {counted(wrong, 'surest wrong one')} at the right. " if wrong else ". ")
        + f"Orange speaks for {for_}, purple for {against}; where there is no colour neither is spoken for. Top: the "
        f"picture, its class, the network's answer, and the log-odds (natural logarithm) of {for_} against {against} "
        f"for the picture as it is, without its mirror image. Middle: the class activation map, whose mean, with the "
        f"bias, is these log-odds. Bottom: by how much they fall when a square of {side}x{side} pixels in the mean "
        f"colour covers the place (mean over the squares that cover a pixel). Each row of maps has one scale."
    )
    columns = len(rows)
    with part.figure("attention", caption, shows_pictures=True, height=3.9, nrows=3, ncols=columns, squeeze=False) as (
        drawing,
        panels,
    ):
        pictures = subject.prepared(rows).permute(0, 2, 3, 1).numpy()
        for k, (row, picture) in enumerate(zip(rows, pictures, strict=True)):
            truth, answer = (subject.classes[each[row]] for each in (subject.labels, subject.answers))
            pair_words = "" if two else f"\n{subject.classes[pair[0][k]]} against {subject.classes[pair[1][k]]}"
            panels[0, k].set_title(
                f"is {truth}\nanswer {answer}{pair_words}\nlog-odds {odds[k]:+.1f}", fontsize=8, pad=3
            )
            panels[0, k].imshow(picture, cmap="gray", vmin=0, vmax=1)
            for line, maps in ((1, activation), (2, occlusion)):
                panels[line, k].imshow(PALE + (1 - PALE) * picture.mean(2), cmap="gray", vmin=0, vmax=1)
                _draw_map(panels[line, k], maps, k, drawing if k == columns - 1 else None, panels[line])
        for line, name in enumerate(("picture", "activation map", "occlusion")):
            panels[line, 0].set_ylabel(name, fontsize=8)
        for panel in panels.flat:
            panel.set_xticks([])
            panel.set_yticks([])
            panel.grid(visible=False)
            panel.spines[:].set_visible(False)


def _draw_map(panel: Axes, maps: Floats, k: int, drawing: Figure | None, row: NDArray[np.object_]) -> None:
    """Draws the map of one picture; where `drawing` is given, with the colour bar of the row too."""
    reach = float(np.abs(maps).max()) or 1.0
    shown = panel.imshow(maps[k], cmap="PuOr_r", vmin=-reach, vmax=reach, alpha=OPACITY)
    if drawing is not None:
        bar = drawing.colorbar(shown, ax=list(row), aspect=12, shrink=0.85, pad=0.01)
        bar.ax.tick_params(labelsize=8)
        bar.set_label("Log-odds", size=8)
