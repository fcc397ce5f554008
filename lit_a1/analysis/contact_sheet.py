"""Contact sheets: pictures side by side, with what they are and what the network says of them under each."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject
from lit_a1.runs.plotting import COLOURS

WIDTH = 6.4  # inches of a sheet
LEGEND = "Under each picture: its number in the data set, what it is, and the network's answer with its probability."
_FONT, _LINE, _LINES = 8, 0.14, 3  # points; inches of a line of text; lines under a picture
_PICTURE = 0.92  # of a cell's width


def across(subject: Subject) -> int:
    """How many pictures of a subject go side by side: photos are shown larger than digits."""
    return 6 if subject.is_photos else 10


def in_lines(rows: Sequence[int] | NDArray[np.int64], width: int) -> list[list[int]]:
    """Breaks a sequence of rows into lines of `width`; the last may be shorter."""
    return [list(map(int, rows[start : start + width])) for start in range(0, len(rows), width)]


def contact_sheet(part: Part, name: str, caption: str, subject: Subject, lines: Iterable[Sequence[int | None]]) -> None:
    """Draws pictures as they lie on disk, enlarged without smoothing, as a figure of a part.

    Args:
        part: to add the figure to.
        name: of the file, without `.png`.
        caption: which pictures they are; what is written under them is said after it.
        subject: the network and its pictures.
        lines: rows of the subject for each line of the sheet; None leaves a place empty.
    """
    lines = list(lines)
    columns = across(subject)
    cell = WIDTH / columns  # inches
    height = _PICTURE + (_LINES * _LINE + 0.1) / cell  # of a cell, in its width
    pictures = subject.pictures.squeeze(-1) if subject.pictures.shape[-1] == 1 else subject.pictures
    legend = f"{caption} {LEGEND} {_colours(subject, lines)}".rstrip()
    size = {"width": WIDTH, "height": cell * height * len(lines)}
    with part.figure(name, legend, shows_pictures=True, **size) as (_, axes):
        for y, line in enumerate(lines):
            for x, row in enumerate(line):
                if row is None:
                    continue
                left, top = x + (1 - _PICTURE) / 2, y * height
                place = (left, left + _PICTURE, top + _PICTURE, top)
                axes.imshow(pictures[row], cmap="gray", vmin=0, vmax=255, extent=place, interpolation="nearest")
                for k, (text, look) in enumerate(_texts(subject, row)):
                    below = top + _PICTURE + (0.03 + k * _LINE) / cell
                    axes.text(x + 0.5, below, text, ha="center", va="top", fontsize=_FONT, **look)
        axes.set(xlim=(0, columns), ylim=(height * len(lines), 0), aspect="equal")
        axes.set_axis_off()


def _texts(subject: Subject, row: int) -> list[tuple[str, dict[str, str]]]:
    answer = subject.answers[row]
    probability = np.exp(subject.log_probabilities[row, answer])
    colour = COLOURS[0] if answer == subject.labels[row] else COLOURS[1]
    return [
        (str(subject.indices[row]), {"weight": "bold"}),
        (f"is {subject.classes[subject.labels[row]]}", {}),
        (f"{subject.classes[answer]}: {100 * probability:.3g} %", {"color": colour}),
    ]


def _colours(subject: Subject, lines: Iterable[Sequence[int | None]]) -> str:
    """Which colour a right and a wrong answer have, where both are on the sheet."""
    right = {bool(subject.right[row]) for line in lines for row in line if row is not None}
    return "Right answers are blue, wrong ones orange." if len(right) == 2 else ""
