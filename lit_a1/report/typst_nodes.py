"""Markdown as plain data, which the Typst template sets: no text ever becomes Typst source, so none is escaped."""

import re
from collections.abc import Collection, Sequence
from typing import Any

from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from lit_a1.report.markdown import parse, parse_inline, pieces

Nodes = list[dict[str, Any]]
ZERO_WIDTH_SPACE = "\u200b"
UNBROKEN = 24  # letters that a line has room for without a place to break


def block_nodes(markdown: str, anchors: Collection[str] = ()) -> Nodes:
    """Paragraphs, lists and tables.

    Args:
        markdown: see `lit_a1.report.markdown`.
        anchors: the document's, which links may lead to.
    """
    return _blocks(_children(parse(markdown)), anchors)


def inline_nodes(markdown: str, anchors: Collection[str] = ()) -> Nodes:
    """A sentence or two.

    Args:
        markdown: see `lit_a1.report.markdown`.
        anchors: the document's, which links may lead to.
    """
    return [node for block in _children(parse_inline(markdown)) for node in _inline(block.children, anchors)]


def cell_nodes(text: str) -> Nodes:
    """Plain text with `code` in it, for a narrow column."""
    return [_words("code" if code else "text", breakable(piece, 10)) for piece, code in pieces(text)]


def breakable(text: str, longest: int = UNBROKEN) -> str:
    """Adds invisible places to break at within long words: after punctuation, and where there is none anywhere.

    Args:
        text: plain.
        longest: letters of a word that is left alone.
    """

    def broken(word: re.Match[str]) -> str:
        parts = re.sub(r"([_/=,:+]|[-.](?=[A-Za-z_]))(?=.)", rf"\1{ZERO_WIDTH_SPACE}", word[0])
        return re.sub(rf"[^\s{ZERO_WIDTH_SPACE}]{{{UNBROKEN}}}(?=\S)", rf"\g<0>{ZERO_WIDTH_SPACE}", parts)

    return re.sub(rf"\S{{{longest + 1},}}", broken, text)


def _children(tokens: Sequence[Token]) -> Sequence[SyntaxTreeNode]:
    return SyntaxTreeNode(tokens).children


def _words(kind: str, text: str) -> dict[str, Any]:
    return {"kind": kind, "text": text}


def _blocks(nodes: Sequence[SyntaxTreeNode], anchors: Collection[str]) -> Nodes:
    return [_block(node, anchors) for node in nodes]


def _block(node: SyntaxTreeNode, anchors: Collection[str]) -> dict[str, Any]:
    match node.type:
        case "paragraph":
            body = [part for child in node.children for part in _inline(child.children, anchors)]
            return {"kind": "tight" if node.hidden else "paragraph", "body": body}
        case "bullet_list" | "ordered_list":
            items = [_blocks(item.children, anchors) for item in node.children]
            start = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
            return {"kind": "list", "start": start, "items": items}
        case "blockquote":
            return {"kind": "quote", "body": _blocks(node.children, anchors)}
        case "code_block" | "fence":
            return {"kind": "listing", "text": node.content.rstrip()}
        case "hr":
            return {"kind": "line"}
        case "table":
            head, *bodies = node.children
            rows = [[_cell(cell, anchors) for cell in row.children] for body in bodies for row in body.children]
            columns = head.children[0].children
            align = [str(cell.attrs.get("style", "text-align:left")).removeprefix("text-align:") for cell in columns]
            return {
                "kind": "table",
                "align": align,
                "header": [_cell(cell, anchors) for cell in columns],
                "rows": rows,
            }
    raise ValueError(f"A report has no place for the Markdown block {node.type}.")


def _cell(node: SyntaxTreeNode, anchors: Collection[str]) -> Nodes:
    return [part for child in node.children for part in _inline(child.children, anchors)]


def _inline(nodes: Sequence[SyntaxTreeNode], anchors: Collection[str]) -> Nodes:
    return [part for node in nodes for part in _span(node, anchors)]


def _span(node: SyntaxTreeNode, anchors: Collection[str]) -> Nodes:
    match node.type:
        case "text":
            return [_words("text", breakable(node.content))] if node.content else []
        case "code_inline":
            return [_words("code", breakable(node.content))]
        case "softbreak":
            return [_words("text", " ")]
        case "hardbreak":
            return [{"kind": "break"}]
        case "em" | "strong":
            return [{"kind": node.type, "body": _inline(node.children, anchors)}]
        case "link":
            return _link(str(node.attrs["href"]), _inline(node.children, anchors), anchors)
    raise ValueError(f"A report has no place for the Markdown span {node.type}.")


def _link(target: str, body: Nodes, anchors: Collection[str]) -> Nodes:
    if target.startswith("#"):
        return [{"kind": "reference", "anchor": target[1:], "body": body}] if target[1:] in anchors else body
    return [{"kind": "link", "target": target, "body": body}] if target else body
