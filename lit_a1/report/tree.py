"""A document as plain data with its numbers: what the templates of HTML and PDF go through."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any, Protocol

from lit_a1.report.document import Block, Document, Figure, Missing, Section, Table, Text


class Leaves(Protocol):
    """How one kind of output writes text and pictures."""

    def blocks(self, markdown: str) -> Any:
        """Paragraphs, lists and tables in Markdown."""

    def inline(self, markdown: str) -> Any:
        """A sentence or two in Markdown."""

    def cell(self, text: str) -> Any:
        """Plain text with `code` in it."""

    def command(self, text: str) -> Any:
        """Something to type into a terminal."""

    def picture(self, figure: Figure) -> dict[str, Any]:
        """What a template needs to show a picture; `error`, a sentence, where there is none."""


def every_section(sections: Iterable[Section]) -> Iterator[Section]:
    """All sections, each before those below it."""
    for section in sections:
        yield section
        yield from every_section(section.sections)


def every_figure(document: Document) -> list[Figure]:
    """All figures, in their order."""
    blocks = [*document.summary, *(block for section in every_section(document.sections) for block in section.blocks)]
    return [block for block in blocks if isinstance(block, Figure)]


def tree(document: Document, leaves: Leaves) -> dict[str, Any]:
    """Dictionaries and lists, with numbered sections, figures and tables.

    Raises:
        ValueError: two sections have the same anchor, or a table has a row that is not as long as its header.
    """
    anchors = [section.anchor for section in every_section(document.sections)]
    for anchor in anchors:
        if anchors.count(anchor) > 1:
            raise ValueError(f"More than one section has the anchor {anchor}.")
    builder = _Builder(leaves)
    return {
        "title": document.title,
        "subtitle": document.subtitle,
        "summary": [builder.block(block) for block in document.summary],
        "sections": builder.sections(document.sections, ()),
    }


class _Builder:
    def __init__(self, leaves: Leaves) -> None:
        self.leaves = leaves
        self.figures = count(1)
        self.tables = count(1)

    def sections(self, sections: Sequence[Section], above: tuple[int, ...]) -> list[dict[str, Any]]:
        return [self.section(section, (*above, index)) for index, section in enumerate(sections, 1)]

    def section(self, section: Section, number: tuple[int, ...]) -> dict[str, Any]:
        return {
            "number": ".".join(map(str, number)),
            "depth": len(number),
            "title": section.title,
            "anchor": section.anchor,
            "blocks": [self.block(block) for block in section.blocks],
            "sections": self.sections(section.sections, number),
        }

    def block(self, block: Block) -> dict[str, Any]:
        match block:
            case Text():
                return {"kind": "text", "body": self.leaves.blocks(block.markdown)}
            case Table():
                return self.table(block)
            case Figure():
                return {
                    "kind": "figure",
                    "number": next(self.figures),
                    "caption": self.leaves.inline(block.caption),
                    "alt": block.alt,
                    "source": self.leaves.cell(block.source),
                    "picture": self.leaves.picture(block),
                }
            case Missing():
                return {
                    "kind": "missing",
                    "what": self.leaves.inline(block.what),
                    "command": self.leaves.command(block.command),
                }

    def table(self, table: Table) -> dict[str, Any]:
        for row in table.rows:
            if len(row) != len(table.header):
                raise ValueError(f"A row of {len(row)} cells stands in a table of {len(table.header)} columns: {row}")
        words = range(len(table.header))
        return {
            "kind": "table",
            "number": next(self.tables),
            "caption": self.leaves.inline(table.caption),
            "source": self.leaves.cell(table.source),
            "align": ["left" if column < table.text_columns else "right" for column in words],
            "header": [self.leaves.cell(cell) for cell in table.header],
            "rows": [[self.leaves.cell(cell) for cell in row] for row in table.rows],
        }
