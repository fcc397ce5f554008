"""What a report is made of, before it is HTML or PDF: sections of text, tables, figures, and what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Text:
    """Paragraphs, lists and tables in Markdown (CommonMark with tables); no headings, no HTML."""

    markdown: str


@dataclass(frozen=True)
class Table:
    """A table; its cells are plain text, but for `code` in backquotes."""

    caption: str
    """A sentence in Markdown."""
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    """Each as long as `header`."""
    source: str = ""
    """Where the numbers are from: run, seed, commit, machine, or a file."""
    text_columns: int = 1
    """How many of the first columns hold words, which are set to the left; the others hold numbers."""


@dataclass(frozen=True)
class Figure:
    """A picture on disk."""

    path: Path
    """A PNG, made for a page 6 to 10 inches wide at 200 dots an inch."""
    caption: str
    """A sentence or two in Markdown."""
    alt: str
    """What can be seen in it, for those who can't see it; plain text."""
    source: str = ""


@dataclass(frozen=True)
class Missing:
    """Something that has not been run, or can't be read."""

    what: str
    """A sentence in Markdown: what is missing, and why where that is known."""
    command: str = ""
    """What makes it, as typed into a terminal."""


Block = Text | Table | Figure | Missing


@dataclass
class Section:
    """A heading and what stands below it."""

    title: str
    """Plain text."""
    anchor: str
    """Identifies the section within the document: lower-case letters, digits and hyphens."""
    blocks: list[Block] = field(default_factory=list)
    sections: list["Section"] = field(default_factory=list)


@dataclass
class Document:
    """A report."""

    title: str
    subtitle: str
    """A line of plain text: when, on what machine, from what commit."""
    summary: list[Block]
    """What stands before the first section."""
    sections: list[Section]
