"""A contact sheet: small images with captions, in groups, under headings."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
COLUMNS = 11
CELL, GAP, MARGIN = 96, 6, 20  # pixels: an image's height and width, the space around it, and the sheet's margin
STEP, ROW = CELL + 2 * GAP, CELL + 32 + 3 * GAP  # from one image to the next, to the right and down
TITLE, HEADING = 32, 64  # heights
LINE = COLUMNS * STEP
WIDTH = LINE + 2 * MARGIN
BOXES = ((238, 238, 234), (218, 226, 234))  # backgrounds of alternating groups
PAPER, INK, FAINT, LOST = (255, 255, 255), (30, 30, 34), (110, 110, 116), (200, 190, 188)


@dataclass(frozen=True)
class Tile:
    """An image, (H,W) or (H,W,3) uint8 or None if unreadable, and two lines of text."""

    pixels: NDArray[np.uint8] | None
    name: str
    note: str


@dataclass(frozen=True)
class Section:
    """A heading, a line that explains it, and groups of tiles that belong together."""

    title: str
    meaning: str
    groups: list[list[Tile]]


def contact_sheet(title: str, sections: list[Section]) -> Image.Image:
    """Draws the sections one below the other, on a sheet as high as they need. Without sections, it says so."""
    heights = [HEADING + ROW * -(-sum(map(len, section.groups)) // COLUMNS) for section in sections]
    sheet = Image.new("RGB", (WIDTH, 2 * MARGIN + TITLE + sum(heights)), PAPER)
    _text(sheet, MARGIN, MARGIN, title, 20, INK)
    y = MARGIN + TITLE
    if not sections:
        _text(sheet, MARGIN, y, "Nothing was found.", 14, FAINT)
    for section, height in zip(sections, heights, strict=True):
        _text(sheet, MARGIN, y + HEADING - 48, section.title, 17, INK)
        _text(sheet, MARGIN, y + HEADING - 24, section.meaning, 13, FAINT)
        tiles = [(tile, BOXES[number % 2]) for number, group in enumerate(section.groups) for tile in group]
        for place, (tile, box) in enumerate(tiles):
            row, column = divmod(place, COLUMNS)
            _tile(sheet, MARGIN + column * STEP, y + HEADING + row * ROW, tile, box)
        y += height
    return sheet


def tile_grid(tiles: list[Tile], columns: int) -> Image.Image:
    """Draws tiles alone, `columns` a line."""
    sheet = Image.new("RGB", (min(columns, len(tiles)) * STEP, -(-len(tiles) // columns) * ROW - GAP), PAPER)
    for place, tile in enumerate(tiles):
        _tile(sheet, place % columns * STEP, place // columns * ROW, tile, BOXES[0], 13)
    return sheet


def _tile(sheet: Image.Image, x: int, y: int, tile: Tile, box: Colour, size: int = 11) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((x, y, x + STEP - 1, y + ROW - GAP - 1), fill=box)
    left, top, right, bottom = x + GAP, y + GAP, x + GAP + CELL - 1, y + GAP + CELL - 1
    if tile.pixels is None:
        draw.rectangle((left, top, right, bottom), fill=LOST)
        draw.line((left, top, right, bottom), fill=PAPER, width=2)
        draw.line((left, bottom, right, top), fill=PAPER, width=2)
    else:
        sheet.paste(Image.fromarray(tile.pixels).resize((CELL, CELL), Image.Resampling.BICUBIC), (left, top))
        draw.rectangle((left, top, right, bottom), outline=LOST)
    _text(sheet, left, bottom + 2, tile.name, size, INK, CELL)
    _text(sheet, left, bottom + 16, tile.note, size, FAINT, CELL)


def _text(sheet: Image.Image, x: int, y: int, text: str, size: int, colour: Colour, width: int = LINE) -> None:
    """Writes one line of text, cut to `width`."""
    font = ImageFont.load_default(size)
    text = text.encode(errors="replace").decode()  # a file's name may contain characters that no font has
    if font.getlength(text) > width:
        while text and font.getlength(text + "...") > width:
            text = text[:-1]
        text += "..."
    ImageDraw.Draw(sheet).text((x, y), text, fill=colour, font=font)
