"""Formulas: `$...$` in Markdown holds TeX, which becomes MathML for the HTML, and nodes of it for the PDF."""

from typing import Any
from xml.etree import ElementTree

from latex2mathml.converter import convert


def mathml(tex: str, options: dict[str, Any] | None = None) -> str:
    """A formula as MathML; what TeX does not know is shown as typed. `options` are those of markdown-it's plugin."""
    display = "block" if options and options["display_mode"] else "inline"
    return convert(tex.strip(), display=display)


def nodes(tex: str) -> list[dict[str, Any]]:
    """The elements of a formula's MathML: the name of each without its namespace, its text, and what it holds."""

    def described(element: ElementTree.Element) -> dict[str, Any]:
        text = (element.text or "").strip() if element.tag != "mtext" else element.text or ""
        kind = element.tag.rpartition("}")[2]
        return {"kind": kind, "text": text, "body": [described(child) for child in element]}

    return [described(ElementTree.fromstring(mathml(tex)))]
