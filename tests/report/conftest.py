"""Runs as their commands leave them, with figures that were made up, and a document that has everything in it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from torch.utils.tensorboard import SummaryWriter

from lit_a1.report.document import Document, Figure, Missing, Section, Table, Text
from lit_a1.report.recipes import shipped

LOGS = Path("lightning_logs")


def write_events(folder: Path, epochs: Sequence[dict[str, float]]) -> None:
    """An event file as `fit` writes it: a step counts from 0."""
    with SummaryWriter(folder) as writer:
        for row in epochs:
            for name, value in row.items():
                if name != "step":
                    writer.add_scalar(name, value, int(row["step"]) - 1)


@pytest.fixture
def add_run() -> Callable[..., Path]:
    """Adds a training: one validation error an epoch, with event file, record and config."""

    def add(
        name: str, errors: Sequence[float | None], seed: int = 0, settings: dict[str, Any] | None = None,
        finished: bool = True, **about: Any,
    ) -> Path:  # fmt: skip
        runs = LOGS / name
        folder = runs / f"version_{len(list(runs.glob('version_*')))}"
        folder.mkdir(parents=True)
        epochs = [
            {"epoch": k, "step": 10 * (k + 1), "train/loss": 0.5 / (k + 1), "train/error": 0.3 / (k + 1)}
            | ({} if error is None else {"val/loss": 2 * error + 0.001 * k, "val/error": error})
            for k, error in enumerate(errors)
        ]
        write_events(folder, epochs)
        config = f"trainer:\n  max_epochs: {len(epochs) + (not finished)}\n"
        (folder / "config.yaml").write_text(config)
        if finished:
            best = min(epochs, key=lambda row: row.get("val/error", 2.0))
            record = {
                "settings": shipped(name.removesuffix("-drawn")) | {"seed": seed} | (settings or {}),
                "seed": seed, "parameters": 900_000, "seconds": 125.0, "peak_memory_gb": 1.5, "epochs": epochs,
                "best": best, "last": epochs[-1], "pictures": {"train": 18_000, "val": 2000},
                "machine": "a machine, 2 cores", "commit": "abc1234567", "finished": "2026-11-20 10:00",
                "versions": {"torch": "2.13.0", "numpy": "2.0"},
            }  # fmt: skip
            (folder / "record.json").write_text(json.dumps(record | about))
        return folder

    return add


# characters with a meaning in HTML or in Typst
NASTY = (
    """<script>alert("1")</script> & 'quotes' "here" #set $x^2$ _under_score @label [bracket] {brace} ~ \\ / = + - %"""
)
GLYPHS = "± × ≤ ≥ − · … – “ ” é ² → α β ≈ °"  # noqa: RUF001
LONG = "lightning_logs/" + "a_very_long_name-" * 8 + "x" * 60


def line_art(folder: Path) -> Path:
    """A PNG of 1280 x 800 pixels, transparent where nothing is drawn."""
    drawing = Image.new("RGBA", (1280, 800), (255, 255, 255, 0))
    pen = ImageDraw.Draw(drawing)
    pen.line([(100, 700), (600, 300), (1200, 100)], fill="#0072B2", width=4)
    pen.rectangle((100, 100, 1200, 700), outline="black", width=2)
    path = folder / "line art.png"
    drawing.save(path)
    return path


def nasty_document(picture: Path) -> Document:
    """Sections three deep, and a picture that is not there."""
    markdown = f"""First **strong words**, *emphatic words*, `code_span <b>` and {GLYPHS}.

- outer item
  1. inner item

> quoted words

A hard break  \nafter it. [Inside](#second), [nowhere](#not-there), [outside](https://example.org/?a=b&c=d).

| left | right |
| --- | ---: |
| mark | 12.5 ± 0.3 % |

    indented --code

---

![not loaded](https://example.org/picture.png) and <img src="https://example.org/other.png">

# no heading

{LONG}
"""
    wide = Table(
        "Twelve columns.",
        [f"a_long_header_{column}" for column in range(12)],
        [
            [f"row{row}cell{column}" if column == 0 else f"{row}.{column:05}" for column in range(12)]
            for row in range(3)
        ],
        source="`results.csv`, seed 0",
    )
    return Document(
        f"Title {NASTY}",
        "Subtitle <i> & commit 0123abc",
        [Text("Summary of **all**.")],
        [
            Section(
                f"First {NASTY}",
                "first",
                [Text(markdown), wide],
                [
                    Section(
                        "Below <b>", "first-below", [Figure(picture, "A *line*, 5 < 6.", 'alt "of" <line>', "run 7")]
                    ),
                    Section("Beside", "beside", [], [Section("Deep", "deep", [Text("Deep words.")])]),
                ],
            ),
            Section(
                "Second",
                "second",
                [
                    Table("", ["nothing", "here"], []),
                    Table("No columns at all.", [], []),
                    Table("Nasty.", ["", "`code` & text"], [[NASTY, "1"], [LONG, ""]], text_columns=2),
                    Figure(picture.with_name("lost.png"), "Gone.", "what was seen", "run 8"),
                    Missing("`other` has **not** been run.", f"python main.py fit --data.root '{NASTY}'"),
                    Missing("Nothing can be done."),
                ],
            ),
        ],
    )


@pytest.fixture
def glyphs() -> str:
    """Characters outside ASCII that the project's texts use."""
    return GLYPHS


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A PNG of line art."""
    return line_art(tmp_path)


@pytest.fixture
def document(picture: Path) -> Document:
    """A small report with all kinds of blocks."""
    return nasty_document(picture)
