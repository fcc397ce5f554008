"""A report as a PDF, set by Typst: A4, numbered headings, contents with page numbers."""

import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import typst

from lit_a1.data.files import replacing
from lit_a1.report.document import Document, Figure
from lit_a1.report.pictures import PictureError, encode
from lit_a1.report.tree import every_figure, every_section, tree
from lit_a1.report.typst_nodes import Nodes, block_nodes, cell_nodes, inline_nodes

TEMPLATE = Path(__file__).with_name("report.typ")
TEXT_WIDTH = 160.0  # millimetres, as in the template
FIGURE_HEIGHT = 190.0  # likewise, at most: the caption must find room below it
MILLIMETRES = 25.4  # in an inch


def render(document: Document, path: Path) -> None:
    """Writes the PDF, whole or not at all; the same document gives the same bytes.

    A picture that can't be read is replaced by a sentence that says so.

    Args:
        document: what it says.
        path: of the file, `.pdf`.

    Raises:
        ValueError: two sections have the same anchor, or a table has a row that is not as long as its header.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        content = tree(document, _Leaves(document, folder))
        (folder / "document.json").write_text(json.dumps(content), encoding="utf-8")
        shutil.copy(TEMPLATE, folder / TEMPLATE.name)
        with replacing(path) as unfinished:
            # only the fonts that Typst brings along: the same pages on every machine
            data = typst.compile(
                folder / TEMPLATE.name, root=folder, ignore_system_fonts=True, format="pdf", timestamp=0
            )
            unfinished.write_bytes(data)


class _Leaves:
    def __init__(self, document: Document, folder: Path) -> None:
        self.anchors = {section.anchor for section in every_section(document.sections)}
        paths = sorted({figure.path for figure in every_figure(document)})
        with ThreadPoolExecutor(2) as pool:
            stored = pool.map(lambda numbered: _stored(numbered[1], folder, numbered[0]), enumerate(paths))
            self.pictures = dict(zip(paths, stored, strict=True))

    def blocks(self, markdown: str) -> Nodes:
        return block_nodes(markdown, self.anchors)

    def inline(self, markdown: str) -> Nodes:
        return inline_nodes(markdown, self.anchors)

    def cell(self, text: str) -> Nodes:
        return cell_nodes(text)

    def command(self, text: str) -> str:
        return text

    def picture(self, figure: Figure) -> dict[str, Any]:
        return self.pictures[figure.path]


def _stored(path: Path, folder: Path, number: int) -> dict[str, Any]:
    try:
        picture = encode(path, printed=True)
    except PictureError as error:
        return {"error": str(error)}
    name = f"{number}.{picture.mime.removeprefix('image/')}"
    (folder / name).write_bytes(picture.data)
    tallest = FIGURE_HEIGHT * picture.width / picture.height
    return {"error": "", "file": name, "width": min(TEXT_WIDTH, tallest, picture.inches * MILLIMETRES)}
