"""Runs as their commands leave them, with figures that were made up, and a document that has everything in it."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from lit_a1.report.document import FUNCTIONS, Block, Document, Section, read_markdown, write_section
from lit_a1.report.gather import RecordedRuns, Study
from lit_a1.report.recipes import shipped_settings
from lit_a1.runs import templates

Add = Callable[..., Path]
LOGS = Path("lightning_logs")
CROSSVAL = {
    "begun": {"trainer.max_epochs": 3, "model.optimizer": "sgd", "photos": "1,200 (ab12)"}, "accuracy": 0.9,
    "interval": [0.88, 0.92], "accuracy_by_fold": [0.9, 0.9], "suspects": 1, "accuracy_without_suspects": 0.91,
    "commit": "c0ffee",
}  # fmt: skip
PART = {"name": "kernels", "title": "Kernels", "words": [], "numbers": {}, "figures": [], "tables": [], "source": "S"}


def sections_of(problem: Callable[..., dict[str, Any]], found: RecordedRuns, work: Path) -> dict[str, Section]:
    """Those of a problem such as `problem1` in answers and appendix, by their anchors."""
    values, number = problem(found, work), problem.__name__[-1]
    markdown = "\n".join(write_section(part + number, **values) for part in ("problem", "appendix"))
    return {section.anchor: section for section in read_markdown(markdown)[1]}


def words(blocks: Iterable[Block]) -> str:
    """Their texts, in a line."""
    return " ".join(" ".join(block.text.split()) for block in blocks)


def leave_study(name: str, record: dict[str, Any] | None = None, **texts: str) -> Study:
    """A study as its command leaves it; `comparison_md` is the text of `comparison.md`."""
    folder = LOGS / name / "version_0"
    folder.mkdir(parents=True, exist_ok=True)
    record = {"commit": "abc"} if record is None else record
    for file, text in {"record_json": json.dumps(record), **texts}.items():
        (folder / file.replace("_", ".")).write_text(text)
    return Study(folder, record, recorded=False)


def leave_part(folder: Path, name: str, **content: Any) -> None:
    """A part of an analysis as `analyze` leaves it."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(PART | {"name": name} | content))


def csv_row(changes: str = "", error: float | str = 0.16, **other: object) -> dict[str, str]:
    """A row of docs/runs.csv."""
    values = {
        "finished": "2026-11-20 10:00", "config": "catsdogs_trial", "recipe": "now", "changes": changes, "seed": 0,
        "epochs": 8, "parameters": 1_208_354, "seconds": 60, "machine": "m", "commit": "c", "val_images": 2000,
        "best_val_error": error, "last_val_error": error if isinstance(error, str) else f"{error:.4f}",
    }  # fmt: skip
    return {name: str(value) for name, value in (values | other).items()}


@pytest.fixture
def add_run() -> Add:
    """Adds a training: one validation error an epoch, with record and config.

    `train` are errors on training images that are measured like validation images; `loss` are validation losses.
    """

    def add(
        name: str, errors: Sequence[float | None], seed: int = 0, settings: dict[str, Any] | None = None,
        finished: bool = True, train: Sequence[float] = (), loss: Sequence[float] = (), **about: Any,
    ) -> Path:  # fmt: skip
        runs = LOGS / name
        folder = runs / f"version_{len(list(runs.glob('version_*')))}"
        folder.mkdir(parents=True)
        epochs = [
            {"epoch": k, "step": 10 * (k + 1), "train/loss": 0.5 / (k + 1), "train/error": 0.3 / (k + 1)}
            | ({} if error is None else {"val/loss": 2 * error + 0.001 * k, "val/error": error})
            for k, error in enumerate(errors)
        ]
        for tag, values in (("train_eval/error", train), ("val/loss", loss)):
            for row, value in zip(epochs, values, strict=False):
                row[tag] = value
        (folder / "config.yaml").write_text(f"trainer:\n  max_epochs: {len(epochs)}\n")
        if finished:
            best = min(epochs, key=lambda row: row.get("val/error", 2.0))
            record = {
                "settings": shipped_settings(name.removesuffix("-drawn")) | {"seed": seed} | (settings or {}),
                "seed": seed, "parameters": 900_000, "seconds": 125.0, "peak_memory_gb": 1.5, "epochs": epochs,
                "best": best, "last": epochs[-1], "images": {"train": 18_000, "val": 2000},
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


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A PNG of 1280 x 800 pixels, transparent where nothing is drawn."""
    drawing = Image.new("RGBA", (1280, 800), (255, 255, 255, 0))
    pen = ImageDraw.Draw(drawing)
    pen.line([(100, 700), (600, 300), (1200, 100)], fill="#0072B2", width=4)
    pen.rectangle((100, 100, 1200, 700), outline="black", width=2)
    path = tmp_path / "line art.png"
    drawing.save(path)
    return path


@pytest.fixture
def document(image: Path) -> Document:
    """A small report with all kinds of blocks, sections three deep, and an image that is not there."""
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

![not loaded](https://example.org/image.png) and <img src="https://example.org/other.png">

# no heading

{LONG}
"""
    header = [f"a_long_header_{column}" for column in range(12)]
    rows = [[f"row{row}cell0", *(f"{row}.{column:05}" for column in range(1, 12))] for row in range(3)]
    wide = Block("table", "Twelve columns.", header=header, rows=rows, source="`results.csv`, seed 0")
    figure = Block("figure", "A *line*, 5 < 6.", path=str(image), alt='alt "of" <line>', source="run 7")
    lost = str(image.with_name("lost.png"))
    second = [
        Block("table", "Nasty.", header=["", "`code` & text"], rows=[[NASTY, "1"], [LONG, ""]], text_columns=2),
        Block("figure", "Gone.", path=lost, alt="what was seen", source="run 8"),
        Block("missing", "`other` has **not** been run.", command=f"python main.py fit --data.root '{NASTY}'"),
        Block("missing", "Nothing can be done."),
    ]
    sections = [
        Section(f"First {NASTY}", "first", 1, [Block("text", markdown), wide]),
        Section("Below <b>", "first-below", 2, [figure]),
        Section("Beside", "beside", 2),
        Section("Deep", "deep", 3, [Block("text", "Deep words.")]),
        Section("Second", "second", 1, second),
    ]
    summary = [Block("text", "Summary of **all**.")]
    front = [("Author <i>", "*by* `x & y`"), ("Made", "<https://example.org/front?a=b&c>")]
    return Document(f"Title {NASTY}", front, summary, sections)


@pytest.fixture
def shown_texts(document: Document) -> list[str]:
    """All that must be read in the document above, whatever it is rendered as."""
    cells = [
        cell
        for block in document.blocks
        if block.kind == "table"
        for cell in (block.text, block.source, *block.header, *(cell for row in block.rows for cell in row))
    ]
    return [
        *(cell.replace("`", "") for cell in cells), *(section.title for section in document.sections),
        document.title, "Author <i> by x & y", "Made https://example.org/front?a=b&c", "Summary of all.",
        "strong words", "emphatic words", "code_span <b>", GLYPHS,
        "outer item", "inner item", "quoted words", "after it. Inside", "nowhere", "outside", "mark", "12.5 ± 0.3 %",
        "indented --code", "!not loaded", '<img src="https://example.org/other.png">', "# no heading", "x" * 60,
        "Deep words.", "Missing. other has not been run.", "Missing. Nothing can be done.",
        "Figure 1. A line, 5 < 6. run 7", "The image lost.png is gone. what was seen Figure 2. Gone. run 8",
        *(block.command for block in document.blocks if block.command),
    ]  # fmt: skip


@pytest.fixture
def macro() -> Callable[..., str]:
    """The text of a macro of a section's template, `macro("recipe", "curves", result)`; `given` are its globals."""

    def call(template: str, name: str, *values: Any, **given: Any) -> str:
        found = templates._environment().get_template(f"report/sections/{template}.md.j2")
        return getattr(found.make_module(FUNCTIONS | given), name)(*values)

    return call
