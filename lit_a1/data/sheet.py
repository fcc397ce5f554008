"""A contact sheet: small pictures with captions, in groups, under headings."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

WIDTH = 1240
MARGIN = 20
CELL = 96  # a picture's height and width on the sheet
CAPTION = 32
GAP = 8
PAPER, BOX, INK, FAINT, LOST = "white", (238, 238, 234), (30, 30, 34), (110, 110, 116), (200, 190, 188)


@dataclass(frozen=True)
class Tile:
    """One picture of the sheet."""

    pixels: NDArray[np.uint8] | None
    """(H,W,3) uint8, or None for a picture that can't be read."""
    name: str
    note: str


@dataclass(frozen=True)
class Section:
    """A heading, a line that explains it, and groups of tiles that belong together."""

    title: str
    meaning: str
    groups: list[list[Tile]]


def contact_sheet(title: str, sections: list[Section]) -> Image.Image:
    """Draws the sections below each other, on a sheet as high as they need; without any, it says so."""
    height = _lay_out(title, sections, None)
    sheet = Image.new("RGB", (WIDTH, height), PAPER)
    _lay_out(title, sections, sheet)
    return sheet


def _lay_out(title: str, sections: list[Section], sheet: Image.Image | None) -> int:
    """Draws everything, or on no sheet only measures; returns the height."""
    draw = None if sheet is None else ImageDraw.Draw(sheet)
    y = MARGIN
    y = _text(draw, MARGIN, y, title, 20, INK, WIDTH - 2 * MARGIN)
    if not sections:
        y = _text(draw, MARGIN, y + GAP, "Nothing was found.", 14, FAINT, WIDTH - 2 * MARGIN)
    for section in sections:
        y = _text(draw, MARGIN, y + 2 * GAP, section.title, 17, INK, WIDTH - 2 * MARGIN)
        y = _text(draw, MARGIN, y, section.meaning, 13, FAINT, WIDTH - 2 * MARGIN) + GAP
        x = MARGIN
        for group in section.groups:
            for start in range(0, len(group), _columns()):
                row = group[start : start + _columns()]
                wide = len(row) * (CELL + GAP) + GAP
                if x > MARGIN and x + wide > WIDTH - MARGIN:
                    x, y = MARGIN, y + _row_height() + GAP
                if sheet is not None and draw is not None:
                    draw.rounded_rectangle((x, y, x + wide, y + _row_height()), radius=6, fill=BOX)
                    for column, tile in enumerate(row):
                        _tile(sheet, draw, x + GAP + column * (CELL + GAP), y + GAP, tile)
                x += wide + GAP
        y += _row_height()
    return y + MARGIN


def _tile(sheet: Image.Image, draw: ImageDraw.ImageDraw, x: int, y: int, tile: Tile) -> None:
    if tile.pixels is None:
        draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), fill=LOST)
        draw.line((x, y, x + CELL, y + CELL), fill=PAPER, width=2)
        draw.line((x, y + CELL, x + CELL, y), fill=PAPER, width=2)
    else:
        sheet.paste(Image.fromarray(tile.pixels).resize((CELL, CELL), Image.Resampling.BICUBIC), (x, y))
        draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), outline=LOST)
    below = _text(draw, x, y + CELL + 2, tile.name, 11, INK, CELL)
    _text(draw, x, below, tile.note, 11, FAINT, CELL)


def _text(
    draw: ImageDraw.ImageDraw | None, x: int, y: int, text: str, size: int, colour: tuple[int, ...], width: int
) -> int:
    """One line, cut to `width`; returns the y below it."""
    if draw is not None:
        font = ImageFont.load_default(size)
        text = text.encode(errors="replace").decode()  # a file's name may hold what no font has
        if font.getlength(text) > width:
            while text and font.getlength(text + "...") > width:
                text = text[:-1]
            text += "..."
        draw.text((x, y), text, fill=colour, font=font)
    return y + round(1.35 * size)


def _columns() -> int:
    return (WIDTH - 2 * MARGIN - GAP) // (CELL + GAP)


def _row_height() -> int:
    return CELL + CAPTION + 2 * GAP
