"""What a report is made of, and how it is read from the Markdown of the templates in `sections/`.

This Markdown has four extensions. A heading names the anchor of its section: `## Training <cnn-training>`. A link
without text, `[](#anchor)`, becomes the number of a section, or `Figure 3`. A paragraph that ends in a colon is the
caption of the table after it, and can name the table's anchor: `The losses <losses>:`. Tables of data, figures, notes
on what is missing and quoted texts are fences with JSON inside. Templates write them with the functions in `FUNCTIONS`,
and put the caption between `{% call %}` and `{% endcall %}`. Formulas are TeX between dollars.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from mdit_py_plugins.dollarmath import dollarmath_plugin

from lit_a1.report.maths import mathml
from lit_a1.runs.folders import relative_to_cwd
from lit_a1.runs.templates import render


@dataclass
class Block:
    """Some text, a table, a figure, or a note on something that has not been run or can't be read."""

    kind: str  # `text`, `table`, `figure` or `missing`
    text: str  # in `MARKDOWN`: paragraphs, lists and tables; or one line: the caption, or what is missing
    source: str = ""  # where numbers come from: run, seed, commit, machine, or a file; parsed by `CELL`
    header: Sequence[str] = field(default_factory=list)  # of a table; parsed by `CELL`
    rows: Sequence[Sequence[str]] = field(default_factory=list)  # likewise
    markdown: str = ""  # of a table without header and rows: the table in `MARKDOWN`
    text_columns: int = 1  # how many leading columns of a table hold words, aligned left; the others hold numbers
    path: str = ""  # of a figure: a PNG, made for a page 6 to 10 inches wide at 200 dots per inch
    alt: str = ""  # description of a figure for readers who can't see it; plain text
    command: str = ""  # the command that makes what is missing, as typed into a terminal
    anchor: str = ""  # name of a table or figure in links; tables of a text have `anchor-1`, `anchor-2` ...
    number: int = 0  # of a table or figure; each kind is counted from 1

    @property
    def align(self) -> list[str]:
        """`left` or `right` for each column."""
        return ["left" if column < self.text_columns else "right" for column in range(len(self.header))]


@dataclass
class Section:
    """A heading, and the blocks up to the next one."""

    title: str  # plain text
    anchor: str  # its name in links: lower-case letters, digits and hyphens
    depth: int = 1  # 2 for sections within sections, and so on
    blocks: list[Block] = field(default_factory=list)
    number: str = ""  # `3.1`


@dataclass
class Document:
    """A report: answers, and an appendix with the details behind them.

    Sections, tables and figures are numbered in order, with the appendix last; its chapters have letters. A link
    without text, `[](#anchor)`, gets the number of its target.

    Raises:
        ValueError: an anchor is used twice, or a table has a row that is not as long as its header.
    """

    title: str
    front: Sequence[tuple[str, str]]  # below the title: author, date ...; pairs of a name and one line of Markdown
    summary: list[Block]  # before the first section
    sections: list[Section]
    appendix: list[Section] = field(default_factory=list)

    def __post_init__(self) -> None:
        numbered = [block for block in self.blocks if block.kind in ("table", "figure")]
        anchors = [section.anchor for section in (*self.sections, *self.appendix)]
        anchors += [block.anchor for block in numbered if block.anchor]
        if duplicates := [anchor for anchor in anchors if anchors.count(anchor) > 1]:
            raise ValueError(f"More than one section, table or figure has the anchor {duplicates[0]}.")
        for sections, first in ((self.sections, str), (self.appendix, lambda number: chr(64 + number))):
            numbers: list[int] = []
            for section in sections:
                numbers = [*numbers, 0, 0, 0, 0][: section.depth]
                numbers[-1] += 1
                section.number = ".".join([first(numbers[0]), *map(str, numbers[1:])])
        number_of = {section.anchor: section.number for section in (*self.sections, *self.appendix)}
        for kind in ("table", "figure"):
            for number, block in enumerate((block for block in numbered if block.kind == kind), 1):
                block.number = number
                number_of[block.anchor] = f"{kind.capitalize()}\u00a0{number}"
        for block in self.blocks:
            block.text = _LINK.sub(lambda link: f"[{number_of.get(link[1], '(missing)')}](#{link[1]})", block.text)
            for row in block.rows:
                if len(row) != (columns := len(block.header)):
                    raise ValueError(f"A row of {len(row)} cells stands in a table of {columns} columns: {row}")

    @property
    def blocks(self) -> list[Block]:
        """All blocks in order."""
        sections = (*self.sections, *self.appendix)
        return [*self.summary, *(block for section in sections for block in section.blocks)]


def table(
    rows: Sequence[dict[str, str]], source: str, text_columns: int = 1, *, drop_empty: bool = False
) -> dict[str, Any]:
    """A table for a template, from at least one row; each row maps the columns to its cells.

    `drop_empty` leaves out columns that are empty in all rows.
    """
    columns = [name for name in rows[0] if not drop_empty or any(row[name] for row in rows)]
    cells = [[row[name] for name in columns] for row in rows]
    return {"header": columns, "rows": cells, "source": source, "text_columns": text_columns}


# from templates

_LINK = re.compile(r"\[\]\(#([a-z0-9-]+)\)")
_HEADING = re.compile(r"^(#+) (.+) <([a-z0-9-]+)>$", re.MULTILINE)
_FENCE = re.compile(r"^```block\n(.+)\n```$", re.MULTILINE)
_CAPTIONED = re.compile(r"(?:\A|\n)\n*((?:[^|\n].*\n)*[^|\n].*?)(?: <([a-z0-9-]+)>)?:\n\n((?:\|.*(?:\n|\Z))+)")


def write_section(section: str, /, **values: Any) -> str:
    """The Markdown of a section: its template `sections/NAME.md.j2`, filled with what the code measured."""
    return render(f"report/sections/{section}.md.j2", **values, **FUNCTIONS)


def read_markdown(markdown: str) -> tuple[list[Block], list[Section]]:
    """The blocks before the first heading, and the sections."""
    top, *parts = _HEADING.split(markdown)
    sections = zip(*(parts[place::4] for place in range(4)), strict=True)
    return _blocks(top), [Section(title, anchor, len(marks), _blocks(body)) for marks, title, anchor, body in sections]


def _blocks(markdown: str) -> list[Block]:
    blocks: list[Block] = []
    for place, piece in enumerate(_FENCE.split(markdown)):
        block = Block(**json.loads(piece)) if place % 2 else Block("text", piece)
        blocks += _with_captions(block) if block.kind == "text" else [block]
    return [block for block in blocks if block.kind != "text" or block.text.strip()]


def _with_captions(text: Block) -> list[Block]:
    """Splits a text at its tables that have a caption."""
    before, *parts = _CAPTIONED.split(text.text)
    blocks = [Block("text", before)]
    captioned = zip(*(parts[place::4] for place in range(4)), strict=True)
    for number, (caption, name, rows, after) in enumerate(captioned, 1):
        anchor = name or (text.anchor and f"{text.anchor}-{number}")
        table = Block("table", f"{_line(caption)}.", text.source, markdown=rows, anchor=anchor)
        blocks += [table, Block("text", after)]
    return blocks


def _fence(kind: str, text: str, **content: Any) -> str:
    return f"\n\n```block\n{json.dumps(asdict(Block(kind, text, **content)), default=str)}\n```\n\n"


def _captioned_table(values: dict[str, Any], anchor: str = "", *, caller: Callable[[], str]) -> str:
    """A fence for a table made by `table`."""
    return _fence("table", _line(caller()), anchor=anchor, **values)


def _captioned_figure(path: Path, source: str, alt: str = "", anchor: str = "", *, caller: Callable[[], str]) -> str:
    """A fence for a figure; without `alt`, its caption is also the alternative text."""
    caption = _line(caller())
    alt = _line(re.sub(r"[*`]", "", alt or caption))
    return _fence("figure", caption, path=path, anchor=anchor, alt=alt, source=source)


def _missing(command: str = "", *, caller: Callable[[], str]) -> str:
    """A fence for a note on what is missing, with the command that makes it."""
    return _fence("missing", _line(caller()), command=command)


def _quoted(markdown: str, source: str, anchor: str = "") -> str:
    """A fence for Markdown that another command wrote; its headings do not become sections of the report."""
    return _fence("text", markdown, source=source, anchor=anchor)


def _line(text: str) -> str:
    return " ".join(text.split())


def slug(text: str) -> str:
    """The anchor for a heading."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _escaped(text: str) -> str:
    """Plain text, escaped so that Markdown shows it literally."""
    return re.sub(r"([\\`*_\[\]<>&|#$])", r"\\\1", text)


def _in_code(names: Sequence[object]) -> list[str]:
    return [f"`{name}`" for name in names]


FUNCTIONS = {
    "captioned_table": _captioned_table, "captioned_figure": _captioned_figure, "missing": _missing, "quoted": _quoted,
    "escaped": _escaped, "in_code": _in_code, "relative_to_cwd": relative_to_cwd, "slug": slug,
}  # fmt: skip
"""The functions that templates can call."""


# the Markdown of a text or of a caption


def _bind(state: StateCore) -> None:
    """Keeps `98.71 ± 0.06 %` on one line with non-breaking spaces."""
    for token in state.tokens:
        for word in token.children or []:
            if word.type == "text":
                word.content = re.sub(r"(?<=\d) (?=[%±])|(?<=±) (?=\d)", "\u00a0", word.content)


MARKDOWN = MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}).enable("table")
"""CommonMark with tables, but without images, headings and link definitions, which are shown as typed.

An image could be loaded from anywhere, a heading would be missing from the contents, and a link definition would vanish
from the text.
"""
MARKDOWN.disable(["heading", "lheading", "image", "reference"]).core.ruler.push("bind", _bind)
MARKDOWN.use(dollarmath_plugin, allow_labels=False, allow_space=False, allow_digits=False, renderer=mathml)
CELL = MarkdownIt("zero", {"html": False}).enable("backticks")
"""Plain text, except for `code` in backquotes."""
