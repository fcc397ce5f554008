"""The Markdown of a report: CommonMark with tables, but without what would reach outside or change the outline."""

import re

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

NO_BREAK_SPACE = "\u00a0"
# A picture could be fetched from anywhere, a heading would be missing from the contents, and a definition of a link
# would vanish from the text: all are shown as they are typed.
NOT_MARKDOWN = ["heading", "lheading", "image", "reference"]


def _bind(state: StateCore) -> None:
    """Keeps `98.71 ± 0.06 %` in one line."""
    for token in state.tokens:
        for word in token.children or []:
            if word.type == "text":
                word.content = re.sub(r"(?<=\d) (?=[%±])|(?<=±) (?=\d)", NO_BREAK_SPACE, word.content)


MARKDOWN = MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}).enable("table").disable(NOT_MARKDOWN)
MARKDOWN.core.ruler.push("bind", _bind)


def parse(text: str) -> list[Token]:
    """The blocks of a text."""
    return MARKDOWN.parse(text)


def parse_inline(text: str) -> list[Token]:
    """What stands in a single line: one token, `inline`, whose children are the words."""
    return MARKDOWN.parseInline(text)


def pieces(text: str) -> list[tuple[str, bool]]:
    """Splits plain text at `code` in backquotes.

    Returns:
        What is not empty, each with whether it is code.
    """
    return [(piece, bool(index % 2)) for index, piece in enumerate(re.split(r"`([^`]+)`", text)) if piece]
