"""Builds the report: measures what was run, puts it into words, and writes it as HTML and PDF."""

import tempfile
import time
from pathlib import Path

from lit_a1.data.files import write_text
from lit_a1.environment import commit, cpu
from lit_a1.report import html, pdf
from lit_a1.report.about import About
from lit_a1.report.document import Document, read_markdown, write_section
from lit_a1.report.gather import RecordedRuns
from lit_a1.report.problem1 import problem1
from lit_a1.report.problems import problem2, problem3
from lit_a1.report.summary import summary

TITLE = "IFT6135 (Hiver 2019), assignment 1"
NOBODY = About()


def build(records: RecordedRuns, out: Path, about: About = NOBODY) -> list[Path]:
    """Writes `report.html`, `report.pdf` and `appendix.pdf` into a folder, each atomically; returns their paths.

    One PDF holds the answers, the other the appendix; the HTML holds both.
    """
    paths = [out / name for name in ("report.html", "report.pdf", "appendix.pdf")]
    with tempfile.TemporaryDirectory() as work:
        report = document(records, Path(work), about)
        write_text(paths[0], html.render(report))
        pdf.render(report, paths[1])
        pdf.render(report, paths[2], appendix=True)
    return paths


def document(records: RecordedRuns, work: Path, about: About = NOBODY) -> Document:
    """The report before rendering; the figures in the folder `work` must stay until it is rendered."""
    problems = {str(n): problem(records, work) for n, problem in enumerate((problem1, problem2, problem3), 1)}
    sections, appendix = (
        read_markdown(
            "\n".join(write_section(part + number, about=about, **values) for number, values in problems.items())
        )[1]
        for part in ("problem", "appendix")
    )
    missing_count = sum(bool(block.command) for section in (*sections, *appendix) for block in section.blocks)
    blocks, _ = read_markdown(write_section("summary", **summary(records, about, missing_count)))
    return Document(TITLE, front(about), blocks, sections, appendix)


def front(about: About) -> list[tuple[str, str]]:
    """The lines below the title: their names and texts."""
    facts = {"made": time.strftime("%Y-%m-%d %H:%M"), "commit": commit(), "machine": cpu()}
    lines = write_section("front", about=about, **facts).strip().split("\n\n")
    return [(name, text) for name, _, text in (line.partition(": ") for line in lines)]
