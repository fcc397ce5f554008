"""Formulas: TeX in Markdown, between `$...$`, becomes MathML for the HTML, and nodes of MathML for the PDF."""

from html import escape
from typing import Any
from xml.etree import ElementTree

from latex2mathml import exceptions
from latex2mathml.converter import convert

_TEX_ERRORS: tuple[type[Exception], ...] = (
    ElementTree.ParseError,
    *(each for each in vars(exceptions).values() if isinstance(each, type) and issubclass(each, Exception)),
)
_BAR = '<mo stretchy="false">&#x0007C;'  # of |x|: browsers would add space around it, as around an operator
_CHILDREN = {"mfrac": 2, "msub": 2, "msup": 2, "msubsup": 3, "munder": 2, "mover": 2, "munderover": 3}  # how many


def mathml(tex: str, options: dict[str, Any] | None = None) -> str:
    """A formula as MathML, or as typed if it is not TeX; `options` are those of markdown-it's plugin."""
    display = "block" if options and options["display_mode"] else "inline"
    try:
        markup = convert(tex.strip(), display=display).replace(_BAR, _BAR.replace(">", ' lspace="0" rspace="0">', 1))
        valid = all(len(e) == _CHILDREN.get(_name(e), len(e)) for e in ElementTree.fromstring(markup).iter())
    except _TEX_ERRORS:
        valid = False
    return markup if valid else f'<math display="{display}"><mtext>{escape(tex)}</mtext></math>'


def nodes(tex: str) -> list[dict[str, Any]]:
    """The elements of a formula's MathML: name without namespace, text and children of each."""

    def to_node(element: ElementTree.Element) -> dict[str, Any]:
        name, text = _name(element), element.text or ""
        text = text if name == "mtext" else text.strip()
        return {"kind": name, "text": text, "body": [to_node(child) for child in element]}

    return [to_node(ElementTree.fromstring(mathml(tex)))]


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
