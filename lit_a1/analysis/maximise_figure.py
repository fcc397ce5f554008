"""The figures of `maximise`: pictures made for classes and channels, and the real ones that excite channels most."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject
from lit_a1.runs.wording import number

ACROSS = 5  # classes in a row, where each has one picture
HOW = (
    "Made from noise by gradient ascent with random shifts and a penalty on the total variation, in the colours of the "
    "data; no single picture of them went into it."
)
GAP = 2  # white pixels between real pictures


@dataclass(frozen=True)
class Made:
    """What excites one unit, a class or a channel."""

    layer: str
    """`Classes`, `Stage 1`."""
    unit: int
    name: str
    """`Dog`, `channel 7`."""
    pictures: NDArray[np.float32]
    """(n,H,W,C) in [0,1], made."""
    reached: NDArray[np.float64]
    """(n,) what the unit answers to them."""
    best: NDArray[np.int64]
    """Rows of the validation pictures that it answers to most, the most first."""
    values: NDArray[np.float64]
    """What it answers to those."""


def draw_classes(part: Part, made: list[Made], *, two: bool) -> None:
    """Draws the pictures made for each class: a row a class where there are several of each, else one after another."""
    cells = [
        (unit.name, picture, value) for unit in made for picture, value in zip(unit.pictures, unit.reached, strict=True)
    ]
    across = len(made[0].pictures) if len(made[0].pictures) > 1 else min(ACROSS, len(cells))
    rows = -(-len(cells) // across)
    caption = (
        f"Pictures made so that the network is as sure as can be of a class. {HOW} Above each stand its class and the "
        + ("log-odds against the other class (natural logarithm)" if two else "logit of the class")
        + " that it reaches. Look for what several of them share."
    )
    height = 0.2 + rows * (6.4 / across + 0.1)
    with part.figure(
        "maximise_classes", caption, shows_pictures=False, height=height, nrows=rows, ncols=across, squeeze=False
    ) as (_, panels):
        for k, panel in enumerate(panels.flat):
            panel.set_visible(k < len(cells))
            if k < len(cells):
                name, picture, value = cells[k]
                _show(panel, picture)
                panel.set_title(f"{name}: {value:+.1f}", fontsize=9, pad=3)


def draw_channels(part: Part, stages: list[list[Made]], searched: int) -> None:
    """Draws the picture made for each channel, a row a stage."""
    caption = (
        f"Pictures made so that a channel answers as strongly as can be, a row a stage; the channels whose mean over "
        f"positions differs most among {searched:,} validation pictures. {HOW} Above each stand the channel, the mean "
        f"activation that the picture reaches, and the largest that a validation picture does."
    )
    with _grid(part, "maximise_channels", caption, stages, shows_pictures=False) as panels:
        for line, row in zip(panels, stages, strict=True):
            for panel, unit in zip(line, row, strict=False):
                _show(panel, unit.pictures[0])
                panel.set_title(f"{unit.unit}: {number(unit.reached[0])} ({number(unit.values[0])})", fontsize=8, pad=3)


def draw_best(part: Part, subject: Subject, stages: list[list[Made]], searched: int) -> None:
    """Draws the real pictures that each channel answers to most, in the places of `draw_channels`."""
    caption = (
        f"The {len(stages[0][0].best)} of {searched:,} validation pictures that excite each of the same channels most, "
        f"by its mean over positions; the most at the top left. Above each group stand the channel and the range of "
        f"the mean activation."
    )
    with _grid(part, "maximise_best", caption, stages, shows_pictures=True) as panels:
        for line, row in zip(panels, stages, strict=True):
            for panel, unit in zip(line, row, strict=False):
                _show(panel, _montage(subject.prepared(unit.best).permute(0, 2, 3, 1).numpy()))
                low, high = number(unit.values.min()), number(unit.values.max())
                panel.set_title(f"{unit.unit}: {low} to {high}", fontsize=8, pad=3)


@contextmanager
def _grid(part: Part, name: str, caption: str, stages: list[list[Made]], *, shows_pictures: bool) -> Iterator[Any]:
    """Gives the panels of a figure: a row a stage, which is named, without axes."""
    across = max(map(len, stages))
    height = 0.1 + len(stages) * (6.0 / across + 0.25)
    with part.figure(
        name, caption, shows_pictures=shows_pictures, height=height, nrows=len(stages), ncols=across, squeeze=False
    ) as (_, panels):
        for line, row in zip(panels, stages, strict=True):
            for panel in line:
                _bare(panel)
            line[0].set_ylabel(row[0].layer, fontsize=9)
        yield panels


def _bare(panel: Axes) -> None:
    panel.set_xticks([])
    panel.set_yticks([])
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)


def _show(panel: Axes, picture: NDArray[np.float32]) -> None:
    """Draws a picture (H,W,C) in [0,1], in a thin frame: it may be as white as the page."""
    _bare(panel)
    panel.spines[:].set(visible=True, color="#999999", linewidth=0.5)
    panel.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _montage(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pictures (n,S,S,C) two by two, white between them and where there is none."""
    _, size, _, channels = pictures.shape
    rows = -(-len(pictures) // 2)
    sheet = np.ones((rows * (size + GAP) - GAP, 2 * size + GAP, channels), np.float32)
    for k, picture in enumerate(pictures):
        y, x = k // 2 * (size + GAP), k % 2 * (size + GAP)
        sheet[y : y + size, x : x + size] = picture
    return sheet
