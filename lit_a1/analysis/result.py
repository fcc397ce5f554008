"""The result of an analysis, and its files: figures, tables, numbers and words."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from lit_a1.data.files import write_text
from lit_a1.runs.plotting import figure
from lit_a1.runs.records import plain
from lit_a1.runs.statistics import wilson
from lit_a1.runs.templates import render

INDEX = "analysis.json"  # the network, time and machine of the results in a folder
CAPTION = re.compile(r"!\[(.*)\]\(([\w.]+)\)")  # of a figure, in a template
Number = bool | int | float | str | None


@dataclass(frozen=True)
class ResultFigure:
    """A figure of a result."""

    file: str  # its name in the folder
    caption: str  # what is drawn and how to read it, in a sentence or two of Markdown


@dataclass
class AnalysisResult:
    """What one analysis found. `NAME.json` holds all of it except the tables' rows."""

    folder: Path
    name: str
    title: str
    source: str  # which run, seed, commit and machine it is about
    commit: str = ""  # of the code that made the analysis
    seconds: float = 0.0  # that it took
    words: list[str] = field(default_factory=list)  # paragraphs of Markdown, with the numbers in them
    numbers: dict[str, Number] = field(default_factory=dict)
    figures: list[ResultFigure] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)  # names of the CSVs in the folder

    @contextmanager
    def figure(self, name: str, **layout: Any) -> Iterator[tuple[Figure, Any]]:
        """Yields a figure and its axes, an array (rows,columns) if the layout has either; saves it as `NAME.png`."""
        layout |= {"squeeze": not {"nrows", "ncols"} & layout.keys()}
        with figure(self.folder / f"{name}.png", **layout) as drawing_and_axes:
            yield drawing_and_axes
        self.figures.append(ResultFigure(f"{name}.png", ""))

    def table(self, name: str, rows: Any) -> None:
        """Saves what `pandas.DataFrame` takes as `NAME.csv`; floats to six digits, None and NaN as empty cells."""
        text = pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", lineterminator="\n")
        write_text(self.folder / f"{name}.csv", text)
        self.tables.append(f"{name}.csv")

    def number(self, **values: Number | np.generic) -> None:
        """Keeps numbers by name."""
        for name, value in values.items():
            self.numbers[name] = value.item() if isinstance(value, np.generic) else value

    def describe(self, **values: Any) -> None:
        """Fills in the template `NAME.md.j2` with the result's numbers and other values.

        Its paragraphs become the words, and those like `![...](name.png)` the captions of the drawn figures.
        """
        text = render(f"analysis/{self.name}.md.j2", wilson=wilson, **self.numbers | values)
        captions: dict[str, str] = {}
        for paragraph in filter(None, text.strip().split("\n\n")):
            if match := CAPTION.fullmatch(paragraph):
                captions[match[2]] = match[1].strip()
            else:
                self.words.append(paragraph)
        self.figures = [replace(plot, caption=captions[plot.file]) for plot in self.figures]

    def write(self) -> None:
        """Writes `NAME.json`, with null for numbers that are not finite, which JSON can't hold."""
        content = plain(asdict(self))
        del content["folder"]
        write_text(self.folder / f"{self.name}.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def log(self, writer: SummaryWriter) -> None:
        """Adds figures, numbers and words to TensorBoard."""
        for plot in self.figures:
            with Image.open(self.folder / plot.file) as image:
                pixels = np.asarray(image.convert("RGB"))
            writer.add_image(f"{self.name}/{Path(plot.file).stem}", pixels, 0, dataformats="HWC")
        for name, value in self.numbers.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                writer.add_scalar(f"{self.name}/{name}", value, 0)
        writer.add_text(self.name, "\n\n".join([f"**{self.title}**", *self.words, f"*{self.source}*"]), 0)


def read_result(path: Path) -> AnalysisResult | None:
    """A result from its `NAME.json`; None if that is missing, damaged or something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        figures = [ResultFigure(figure["file"], figure["caption"]) for figure in content.pop("figures")]
        result = AnalysisResult(path.parent, **content, figures=figures)
        texts = [result.name, result.title, result.source, result.commit, *result.words, *result.tables]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # not JSON, or not of this shape
        return None
    texts += [text for figure in figures for text in (figure.file, figure.caption)]
    valid = all(isinstance(text, str) for text in texts)
    valid &= isinstance(result.words, list) and isinstance(result.tables, list)
    valid &= isinstance(result.numbers, dict) and all(isinstance(value, Number) for value in result.numbers.values())
    return result if valid and isinstance(result.seconds, int | float) else None
