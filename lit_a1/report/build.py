"""The report from beginning to end: what was run is measured, put into words, and written as HTML and PDF."""

import tempfile
import time
from pathlib import Path
from typing import Any

from lit_a1.data.files import write_text
from lit_a1.environment import PROGRAM, commit, cpu
from lit_a1.report import html, pdf
from lit_a1.report.document import Document, read_markdown, table, write_section
from lit_a1.report.gather import RecordedRuns, sources
from lit_a1.report.plan import LOGS
from lit_a1.report.problem1 import problem1
from lit_a1.report.problems import CNNS, problem2, problem3
from lit_a1.report.results import errors_of
from lit_a1.report.trials import ENSEMBLE, RECIPES
from lit_a1.runs.folders import DRAWN, relative_to_cwd

TITLE = "IFT6135 (Hiver 2019), assignment 1"
WHAT = {"mlp": "perceptron in numpy, MNIST"}
WHAT |= dict.fromkeys(CNNS, "CNN, MNIST") | dict.fromkeys(RECIPES, "CNN, Cats vs Dogs")
WHAT |= {ENSEMBLE: "ensemble, Cats vs Dogs"}


def build(found: RecordedRuns, out: Path) -> list[Path]:
    """Writes `report.html`, `report.pdf` and `appendix.pdf` into a folder, each whole or not at all; returns the paths.

    The PDFs hold the answers and the appendix, the HTML both.
    """
    paths = [out / name for name in ("report.html", "report.pdf", "appendix.pdf")]
    with tempfile.TemporaryDirectory() as work:
        report = document(found, Path(work))
        write_text(paths[0], html.render(report))
        pdf.render(report, paths[1])
        pdf.render(report, paths[2], appendix=True)
    return paths


def document(found: RecordedRuns, work: Path) -> Document:
    """The report before it is rendered; until it is, the figures in the folder `work` must stay."""
    measured = {str(number): of(found, work) for number, of in enumerate((problem1, problem2, problem3), 1)}
    sections, appendix = (
        read_markdown("\n".join(write_section(part + number, **values) for number, values in measured.items()))[1]
        for part in ("problem", "appendix")
    )
    lacking = sum(bool(block.command) for section in (*sections, *appendix) for block in section.blocks)
    summary, _ = read_markdown(write_section("summary", **_summary(found), lacking=lacking))
    made = f"{time.strftime('%Y-%m-%d %H:%M')}, commit {commit() or 'unknown'}, {cpu()}"
    return Document(TITLE, f"Made from recorded runs: {made}", summary, sections, appendix)


def _summary(found: RecordedRuns) -> dict[str, Any]:
    """One line for each network that was trained."""
    trained = {name: runs for name in WHAT if (runs := found.alike(name))}
    rows = []
    for name, runs in trained.items():
        errors = errors_of(runs)
        seeds = runs[0].seed if isinstance(runs[0].seed, list) else [run.seed for run in runs]
        rows.append({
            "recipe": f"`{name}`",
            "what": WHAT[name],
            "parameters": f"{runs[0].record['parameters']:,}",
            "seeds": ", ".join(map(str, seeds)),
            "validation error": errors["spread"],
            "95 %": "{:.2f} to {:.2f} %".format(*(100 * end for end in errors["interval"])) if errors["each"] else "",
            "test error": errors["test_spread"],
        })  # fmt: skip
    kinds = {"digits": found.drawn_digits, "cats and dogs": found.drawn_photos}
    logs = "" if found.logs == LOGS else f" --logs {found.logs}"
    return {
        "drawn": [kind for kind, drawn in kinds.items() if drawn],
        "suffix": DRAWN,
        "logs": relative_to_cwd(found.logs),
        "table": table(rows, "; ".join(map(sources, trained.values())), text_columns=2) if rows else None,
        "command": f"{PROGRAM} report --run missing{logs}",
    }
