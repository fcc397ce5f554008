"""A part of an analysis, as it is left on disk: figures, tables, numbers and the words for them."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from lit_a1.data.files import write_csv, write_text
from lit_a1.runs.plotting import figure

INDEX = "analysis.json"
"""What the parts of an analysis are about: the network, how long it took, on what."""
Number = bool | int | float | str | None


@dataclass(frozen=True)
class Picture:
    """A figure of a part."""

    file: str
    """Its name in the folder."""
    caption: str
    """Says what is drawn and how to read it, in a sentence or two of Markdown."""
    shows_pictures: bool
    """Whether it shows pictures of the data set, which are not ours to pass on."""


@dataclass
class Part:
    """What one analysis found.

    Its `NAME.json` holds all but the tables' rows: words, numbers, the names of figures and tables.
    """

    folder: Path
    name: str
    title: str
    source: str
    """Which run, seed, commit and machine it is about."""
    commit: str = ""
    """Of the code that looked."""
    seconds: float = 0.0
    """That it took."""
    words: list[str] = field(default_factory=list)
    """Paragraphs of Markdown, computed from the numbers."""
    numbers: dict[str, Number] = field(default_factory=dict)
    figures: list[Picture] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    """Names of the CSVs in the folder."""

    @contextmanager
    def figure(
        self,
        name: str,
        caption: str,
        *,
        shows_pictures: bool,
        width: float = 6.4,
        height: float = 4.0,
        **subplots: Any,
    ) -> Iterator[tuple[Figure, Any]]:
        """Gives a figure and its axes to draw in, as `lit_a1.runs.plotting.figure`, and keeps it as `NAME.png`.

        Args:
            name: of the file, without `.png`.
            caption: what is drawn and how to read it.
            shows_pictures: whether it shows pictures of the data set.
            width: in inches.
            height: likewise.
            subplots: as of `Figure.subplots`.
        """
        with figure(self.folder / f"{name}.png", width=width, height=height, **subplots) as drawing_and_axes:
            yield drawing_and_axes
        self.figures.append(Picture(f"{name}.png", caption, shows_pictures))

    def table(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Keeps a table as `NAME.csv`; floats to six digits, None as an empty cell."""
        write_csv(self.folder / f"{name}.csv", header, [[cell(value) for value in row] for row in rows])
        self.tables.append(f"{name}.csv")

    def number(self, **values: Number | np.generic) -> None:
        """Keeps numbers by name; those that are not finite as None, which JSON can hold."""
        for name, value in values.items():
            plain = value.item() if isinstance(value, np.generic) else value
            self.numbers[name] = None if isinstance(plain, float) and not math.isfinite(plain) else plain

    def say(self, text: str) -> None:
        """Adds a paragraph."""
        self.words.append(text)

    def write(self) -> None:
        """Writes `NAME.json`."""
        about = asdict(self)
        del about["folder"]
        write_text(self.folder / f"{self.name}.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")

    def log(self, writer: SummaryWriter) -> None:
        """Adds figures, numbers and words to TensorBoard."""
        for drawn in self.figures:
            with Image.open(self.folder / drawn.file) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            writer.add_image(f"{self.name}/{Path(drawn.file).stem}", pixels, 0, dataformats="HWC")
        for name, value in self.numbers.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                writer.add_scalar(f"{self.name}/{name}", value, 0)
        writer.add_text(self.name, "\n\n".join([f"**{self.title}**", *self.words, f"*{self.source}*"]), 0)


def read_part(path: Path) -> Part | None:
    """A part from its `NAME.json`; None where that is missing, damaged or something else."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        figures = [Picture(**each) for each in about.pop("figures")]
        part = Part(path.parent, **about, figures=figures)
        texts = [part.name, part.title, part.source, part.commit, *part.words, *part.tables]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # not JSON, or not of this shape
        return None
    texts += [text for each in figures for text in (each.file, each.caption)]
    fits = all(isinstance(text, str) for text in texts) and isinstance(part.numbers, dict)
    return part if fits and isinstance(part.seconds, int | float) else None


def cell(value: Any) -> str:
    """A value as a CSV holds it."""
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    return str(value)
