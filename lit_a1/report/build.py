"""The report from beginning to end: what was run is gathered, told, and written as HTML and PDF."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from lit_a1.data.files import replacing, write_text
from lit_a1.environment import PROGRAM, commit, cpu
from lit_a1.report import blocks, html, pdf
from lit_a1.report.document import Block, Document, Missing, Section, Table, Text
from lit_a1.report.gather import Gathered, sources
from lit_a1.report.plan import LOGS
from lit_a1.report.problem1 import problem1
from lit_a1.report.problem2 import CNNS, problem2
from lit_a1.report.problem3 import problem3
from lit_a1.report.trials import ENSEMBLE, RECIPES
from lit_a1.runs.confidence import wilson
from lit_a1.runs.folders import near
from lit_a1.studies.comparison.runs import Run

TITLE = "IFT6135 (Hiver 2019), assignment 1"
WHAT = {"mlp": "perceptron in numpy, MNIST"}
WHAT |= dict.fromkeys(CNNS, "CNN, MNIST") | dict.fromkeys(RECIPES, "CNN, Cats vs Dogs")
WHAT |= {ENSEMBLE: "ensemble, Cats vs Dogs"}


def build(found: Gathered, out: Path) -> list[Path]:
    """Writes `report.html` and `report.pdf`, each whole or not at all.

    Args:
        found: what has been run.
        out: the folder for both.

    Returns:
        Their paths.
    """
    with tempfile.TemporaryDirectory() as work:
        report = document(found, Path(work))
        write_text(out / "report.html", html.render(report))
        with replacing(out / "report.pdf") as unfinished:
            pdf.render(report, unfinished)
    return [out / "report.html", out / "report.pdf"]


def document(found: Gathered, work: Path) -> Document:
    """The report, before it is HTML or PDF.

    Args:
        found: what has been run.
        work: a folder for figures, which must stay until the report is rendered.
    """
    sections = [problem1(found, work), problem2(found, work), problem3(found, work)]
    made = f"{time.strftime('%Y-%m-%d %H:%M')}, commit {commit() or 'unknown'}, {cpu()}"
    return Document(TITLE, f"Made from recorded runs: {made}", [*summary(found), *_lacking(found, sections)], sections)


def summary(found: Gathered) -> list[Block]:
    """One line for each network that was trained."""
    parts = blocks.drawn_note(found)
    lines = [(name, found.alike(name)) for name in WHAT]
    rows = [[f"`{name}`", WHAT[name], *_cells(runs)] for name, runs in lines if runs]
    if not rows:
        return [*parts, Text(f"Nothing has been trained yet below `{near(found.logs)}`.")]
    caption = (
        "Every network, by its errors after the last epoch, which was not chosen on these pictures (recipes were, and "
        "the members of an ensemble are best epochs). ± is the standard deviation over seeds, the interval Wilson's "
        "95 % over the choice of validation pictures."
    )
    heads = ["recipe", "what", "parameters", "seeds", "validation error", "95 %", "test error"]
    used = "; ".join(sources(runs) for _, runs in lines if runs)
    return [*parts, Table(caption, heads, rows, used, text_columns=2)]


def _cells(runs: Sequence[Run]) -> list[str]:
    errors = [error for run in runs if (error := blocks.final(run)) is not None]
    tests = blocks.last_tests(runs)
    low, high = wilson(sum(errors) / len(errors), runs[0].record["pictures"]["val"]) if errors else (0.0, 1.0)
    seeds = runs[0].seed if isinstance(runs[0].seed, list) else [run.seed for run in runs]
    return [
        f"{runs[0].record['parameters']:,}",
        ", ".join(map(str, seeds)),
        blocks.several(errors) if errors else "not measured",
        f"{100 * low:.2f} to {100 * high:.2f} %" if errors else "",
        blocks.several(tests) if tests else "not measured",
    ]


def _lacking(found: Gathered, sections: Sequence[Section]) -> list[Block]:
    """Says in how many places something is missing that a command makes, and what makes them all."""
    count = sum(_missing(section) for section in sections)
    if not count:
        return []
    places = "place" if count == 1 else "places"
    logs = f" --logs {found.logs}" * (found.logs != LOGS)
    command = f"{PROGRAM} report --run missing{logs}"
    return [Missing(f"In {count} {places} below, something is missing that a command makes.", command)]


def _missing(section: Section) -> int:
    return sum(isinstance(block, Missing) and bool(block.command) for block in section.blocks) + sum(
        map(_missing, section.sections)
    )
