"""The style of all figures: legible in print, colours that are safe for the colour-blind, no display needed."""

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from lit_a1.data.files import replacing

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito (2008)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HEADLINE_WIDTH = 140  # characters
DPI = 200  # dots an inch, of all figures
FONTS = (  # fallbacks for names in other scripts, if installed
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei"),
    *("Droid Sans Fallback", "Microsoft YaHei", "SimHei", "Yu Gothic", "Malgun Gothic", "PingFang SC", "Heiti TC"),
    *("Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS", "Noto Sans", "Segoe UI", "Unifont"),
)
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
    """Yields a figure of `width` by `height` inches and its axes; writes it as a PNG at the end, whole or not at all.

    `subplots` are the options of `Figure.subplots`: by default a single pair of axes.
    """
    installed = set(font_manager.get_font_names())
    fonts = {"font.family": ["DejaVu Sans", *(name for name in FONTS if name in installed)]}
    with mpl.rc_context(STYLE | fonts), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a character that no font has is a visible box
        drawing = Figure(figsize=(width, height), layout="constrained")
        yield drawing, drawing.subplots(**subplots)
        with replacing(path) as unfinished:
            drawing.savefig(unfinished, format="png", dpi=DPI)


def draw_line(
    axes: Axes, label: str, number: int, x: Sequence[float], values: NDArray[np.float64], **look: Any
) -> None:
    """Plots the mean of `values` (runs, points) over the runs of several seeds, in a band from minimum to maximum.

    The line's `number` selects colour and marker; `look` goes to `Axes.plot`.
    """
    colour = COLOURS[number % len(COLOURS)]
    default_style = {"color": colour, "marker": MARKERS[number % len(MARKERS)], "markerfacecolor": "white"}
    axes.plot(x, values.mean(axis=0), label=label, **default_style | look)
    axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, lw=0)


def clip_for_log_axis(error: float, images: int) -> float:
    """An error for a logarithmic axis: zero is shown as half an image."""
    return max(error, 0.5 / images)


def percent_axis(axes: Axes) -> None:
    """Makes the y axis logarithmic, in percent, with a few round numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_locator(NullLocator())


def headline(drawing: Figure, text: str) -> None:
    """Writes a title above the panels, with long lines wrapped."""
    drawing.suptitle("\n".join(textwrap.fill(line, HEADLINE_WIDTH) for line in text.splitlines()), fontsize=9)
