"""The look of all figures: legible in print, colours that the colour-blind tell apart, no display needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure

from lit_a1.data.files import replacing

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito (2008)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLE: Any = {
    "font.size": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
}


@contextmanager
def figure(path: Path, *, width: float = 6.4, height: float = 4.0, **subplots: Any) -> Iterator[tuple[Figure, Any]]:
    """Gives a figure and its axes to draw in, and writes it as a PNG at the end, whole or not at all.

    Args:
        path: of the file, `.png`.
        width: in inches.
        height: likewise.
        subplots: as of `Figure.subplots`; a single pair of axes by default.
    """
    with mpl.rc_context(STYLE):
        drawing = Figure(figsize=(width, height), layout="constrained")
        yield drawing, drawing.subplots(**subplots)
        with replacing(path) as unfinished:
            drawing.savefig(unfinished, format="png", dpi=200)
