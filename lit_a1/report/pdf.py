"""A report as a PDF, typeset by Typst: A4, numbered headings, contents with page numbers.

`report.typ` reads the report as JSON: text never becomes Typst source, so nothing needs escaping.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typst
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from lit_a1.data.files import replacing
from lit_a1.report import maths
from lit_a1.report.document import CELL, MARKDOWN, Block, Document
from lit_a1.report.images import EncodedImage, encode_all

TEMPLATE = Path(__file__).with_name("report.typ")
TEXT_WIDTH = 172.0  # millimetres, as in the template
FIGURE_HEIGHT, TALL = 54.0, 68.0  # likewise, at most; `TALL` if less than twice as wide as high
GUTTER = 6.0  # likewise, between figures side by side
ZERO_WIDTH_SPACE = "\u200b"
UNBROKEN = 24  # letters that fit a line without a place to break


def render(document: Document, path: Path, *, appendix: bool = False) -> None:
    """Writes the PDF of the answers or of the appendix atomically; the same document gives the same bytes.

    An image that can't be read is replaced by a sentence on why.
    """
    with tempfile.TemporaryDirectory() as name, replacing(path) as unfinished:
        folder = Path(name)
        summary = [] if appendix else document.summary
        sections = document.appendix if appendix else document.sections
        blocks = [*summary, *(block for section in sections for block in section.blocks)]
        anchors = [block.anchor for block in blocks if block.kind in ("table", "figure") and block.anchor]
        images = encode_all(blocks, printed=True)
        files = {file: _store(image, folder / str(number)) for number, (file, image) in enumerate(images.items())}
        content = {
            "title": f"{document.title}: appendix" if appendix else document.title,
            "front": [{"name": name, "words": _nodes(MARKDOWN.parseInline(words))} for name, words in document.front],
            "appendix": appendix,
            "anchors": [f"#{anchor}" for anchor in (*(section.anchor for section in sections), *anchors)],
            "summary": _blocks(summary, files),
            "sections": [asdict(section) | {"blocks": _blocks(section.blocks, files)} for section in sections],
        }
        (folder / "document.json").write_text(json.dumps(content), encoding="utf-8")
        source = Path(shutil.copy(TEMPLATE, folder))
        # only the fonts bundled with Typst: the same pages on every machine
        data = typst.compile(source, root=folder, ignore_system_fonts=True, format="pdf", timestamp=0)
        unfinished.write_bytes(data)


def _store(image: EncodedImage | str, path: Path) -> dict[str, Any]:
    """Writes an image for the template; returns its file name and width, or a sentence on why there is none."""
    if isinstance(image, str):
        return {"error": image}
    path = path.with_suffix("." + image.mime.removeprefix("image/"))
    path.write_bytes(image.data)
    shape = image.width / image.height
    width = min(TEXT_WIDTH, (FIGURE_HEIGHT if shape >= 2 else TALL) * shape, 25.4 * image.inches)
    return {"error": "", "file": path.name, "width": width}


def _blocks(blocks: Sequence[Block], images: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Blocks for the template; consecutive figures share a row if they fit."""
    items: list[dict[str, Any]] = []
    for block in blocks:
        item = _block(block, images)
        if block.kind != "figure":
            items.append(item)
            continue
        width = item["image"].get("width", TEXT_WIDTH)
        row = items[-1] if items and items[-1]["kind"] == "figures" else None
        if row and row["width"] + GUTTER + width <= TEXT_WIDTH:
            row["width"] += GUTTER + width
            row["figures"].append(item)
        else:
            items.append({"kind": "figures", "width": width, "figures": [item]})
    return items


def _block(block: Block, images: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A block for the template, with its texts as nodes."""
    tokens = MARKDOWN.parse(block.text) if block.kind == "text" else MARKDOWN.parseInline(block.text)
    return asdict(block) | {
        "text": _nodes(tokens),
        "source": _cell(block.source),
        "header": [_cell(cell) for cell in block.header],
        "rows": [[_cell(cell) for cell in row] for row in block.rows],
        "align": block.align,
        "markdown": _nodes(MARKDOWN.parse(block.markdown)),
        "image": images.get(block.path),
    }


def _cell(text: str) -> list[dict[str, Any]]:
    return _nodes(CELL.parseInline(text), longest=10) if text else []


def _nodes(tokens: Sequence[Token], longest: int = UNBROKEN) -> list[dict[str, Any]]:
    """For each node: its markdown-it type, its contents, and its attributes, such as `href` of a link."""

    def to_node(node: SyntaxTreeNode) -> dict[str, Any]:
        if node.type in ("code_block", "fence"):
            return {"kind": "listing", "text": node.content.rstrip(), "body": []}
        if node.type in ("math_inline", "math_block"):
            return {"kind": node.type, "text": "", "body": maths.nodes(node.content)}
        kind = "tight" if node.type == "paragraph" and node.hidden else node.type
        text = "" if node.children else breakable(node.content, longest)
        return {**node.attrs, "kind": kind, "text": text, "body": [to_node(child) for child in node.children]}

    return [to_node(child) for child in SyntaxTreeNode(tokens).children]


def breakable(text: str, longest: int = UNBROKEN) -> str:
    """Adds invisible break points to words of more than `longest` letters: after punctuation, or `UNBROKEN` letters."""

    def add_breaks(word: re.Match[str]) -> str:
        parts = re.sub(r"([_/=,:+]|[-.](?=[A-Za-z_]))(?=.)", rf"\1{ZERO_WIDTH_SPACE}", word[0])
        return re.sub(rf"[^\s{ZERO_WIDTH_SPACE}]{{{UNBROKEN}}}(?=\S)", rf"\g<0>{ZERO_WIDTH_SPACE}", parts)

    return re.sub(rf"\S{{{longest + 1},}}", add_breaks, text)
