"""A report as one HTML file that loads nothing from elsewhere."""

import base64
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

from lit_a1.report.document import Document, Figure
from lit_a1.report.markdown import MARKDOWN, parse, parse_inline, pieces
from lit_a1.report.pictures import Encoded, PictureError, encode
from lit_a1.report.tree import every_figure, tree

HERE = Path(__file__).parent
CONTENTS_DEPTH = 2  # levels of sections that the contents list
LONG_WORD = 30  # characters: a longer one is broken wherever the line ends
PIXELS_AN_INCH = 100  # of CSS: 6.4 inches are as wide as the text


def render(document: Document) -> str:
    """The whole file, UTF-8.

    A picture that can't be read is replaced by a sentence that says so.

    Raises:
        ValueError: two sections have the same anchor, or a table has a row that is not as long as its header.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell_class"] = cell_class
    return environment.get_template("report.html").render(
        document=tree(document, _Leaves(every_figure(document))),
        style=Markup((HERE / "style.css").read_text(encoding="utf-8")),
        script=Markup((HERE / "script.js").read_text(encoding="utf-8")),
        contents_depth=CONTENTS_DEPTH,
    )


class _Leaves:
    def __init__(self, figures: Sequence[Figure]) -> None:
        paths = sorted({figure.path for figure in figures})
        with ThreadPoolExecutor(2) as pool:
            self.pictures = dict(zip(paths, pool.map(_encoded, paths), strict=True))

    def blocks(self, markdown: str) -> Markup:
        return Markup(_RENDERER.render(parse(markdown), MARKDOWN.options, {}))

    def inline(self, markdown: str) -> Markup:
        return Markup(_RENDERER.render(parse_inline(markdown), MARKDOWN.options, {}))

    def cell(self, text: str) -> Markup:
        return Markup("").join(
            Markup("<code>{}</code>").format(piece) if code else escape(piece) for piece, code in pieces(text)
        )

    def command(self, text: str) -> Markup:
        return _unbroken(text)

    def picture(self, figure: Figure) -> dict[str, Any]:
        picture = self.pictures[figure.path]
        if isinstance(picture, str):
            return {"error": picture}
        return {
            "error": "",
            "uri": Markup(f"data:{picture.mime};base64,{base64.b64encode(picture.data).decode('ascii')}"),
            "width": picture.width,
            "height": picture.height,
            "shown": round(picture.inches * PIXELS_AN_INCH),
        }


def _encoded(path: Path) -> Encoded | str:
    try:
        return encode(path)
    except PictureError as error:
        return str(error)


def cell_class(text: str, align: str) -> str:
    """Of numbers, which stay in one line, and of text that is too long for a column of its shortest words."""
    if align == "right":
        return "number"
    return "longer" if len(text) > 60 else "long" if len(text) > 14 else ""


def _unbroken(code: str) -> Markup:
    """Code whose lines are broken between words only, not after the hyphens of `--option`."""
    pieces_of_code = re.split(r"(\s+)", code)
    return Markup("").join(
        Markup('<span class="word">{}</span>').format(piece) if 2 <= len(piece) <= LONG_WORD else escape(piece)
        for piece in pieces_of_code
    )


class _Renderer(RendererHTML):
    """Markdown-it's own, with tables in a box that they can be scrolled in."""

    def table_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>\n'

    def table_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return "</table></div>\n"

    def td_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        token = tokens[index]
        align = "right" if "right" in str(token.attrs.get("style", "")) else "left"
        kind = cell_class(tokens[index + 1].content, align)
        return f'<{token.tag} class="{kind}">' if kind else f"<{token.tag}>"

    th_open = td_open

    def code_block(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return f"<pre><code>{_unbroken(tokens[index].content.rstrip())}</code></pre>\n"

    def fence(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return self.code_block(tokens, index, options, env)


_RENDERER = _Renderer()
