"""A report as one HTML file that loads nothing from elsewhere."""

import base64
import re
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it.token import Token
from markupsafe import Markup, escape

from lit_a1.report.document import CELL, MARKDOWN, Document
from lit_a1.report.images import encode_all

HERE = Path(__file__).parent
LONG_WORD = 30  # characters: a longer word can break anywhere
PIXELS_PER_INCH = 100  # CSS pixels: a figure of 6.4 inches is as wide as the text


def render(document: Document) -> str:
    """The whole file, UTF-8; an image that can't be read is replaced by a sentence on why."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "blocks": lambda markdown: Markup(MARKDOWN.render(markdown)),
        "inline": lambda markdown: Markup(MARKDOWN.renderInline(markdown)),
        "cell": lambda text: Markup(CELL.renderInline(text)),
        "cell_class": _cell_class,
        "in_a_row": lambda blocks: [(kind, list(group)) for kind, group in groupby(blocks, attrgetter("kind"))],
        "unbroken": _unbroken,
        "base64": lambda data: base64.b64encode(data).decode("ascii"),
    }
    return environment.get_template("report.html").render(
        document=document,
        images=encode_all(document.blocks),
        pixels_per_inch=PIXELS_PER_INCH,
        style=Markup((HERE / "style.css").read_text(encoding="utf-8")),
        script=Markup((HERE / "script.js").read_text(encoding="utf-8")),
    )


def _cell_class(text: str, align: str) -> str:
    """The CSS class of a cell: numbers stay on one line, long text gets a wider column."""
    if align == "right":
        return "number"
    return "longer" if len(text) > 60 else "long" if len(text) > 14 else ""


def _unbroken(code: str) -> Markup:
    """Code that breaks only between words, not after the hyphens of `--option`."""
    return Markup("").join(
        Markup('<span class="word">{}</span>').format(word) if 2 <= len(word) <= LONG_WORD else escape(word)
        for word in re.split(r"(\s+)", code)
    )


def _cell_open(tokens: Sequence[Token], index: int, *_: Any) -> str:
    token = tokens[index]
    align = "right" if "right" in str(token.attrs.get("style", "")) else "left"
    kind = _cell_class(tokens[index + 1].content, align)
    return f'<{token.tag} class="{kind}">' if kind else f"<{token.tag}>"


def _listing(tokens: Sequence[Token], index: int, *_: Any) -> str:
    return f"<pre><code>{_unbroken(tokens[index].content.rstrip())}</code></pre>\n"


MARKDOWN.renderer.rules |= {  # type: ignore[attr-defined]
    "table_open": lambda *_: '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>\n',
    "table_close": lambda *_: "</table></div>\n",
    **{"td_open": _cell_open, "th_open": _cell_open, "code_block": _listing, "fence": _listing},
}
