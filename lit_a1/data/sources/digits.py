"""Digits drawn from a seed: they stand in for MNIST on a machine that has none."""

import functools

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIDE = 28  # pixels
BOX = 20  # pixels: the longer side of a digit is at most this, as in MNIST
PAGE = 96  # pixels: side of the page that a digit is typed on, before it is distorted


def draw_digits(n: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draws the ten digits in turn: a seed gives the same pictures, however many are asked for.

    White on black, at most 20 pixels high and wide, with their centre of mass in the centre, as in MNIST. They are
    typed; turn, slant, perspective, proportions, size and weight differ from picture to picture.

    Args:
        n: number of pictures.
        seed: of the drawing, 0 or above.

    Returns:
        Pictures (n,28,28) uint8, and labels (n,) int64: those of picture i are i mod 10.

    Raises:
        ValueError: `n` or `seed` is negative.
    """
    if n < 0 or seed < 0:
        raise ValueError(f"n and seed must be 0 or above; got {n} and {seed}")
    labels = np.arange(n, dtype=np.int64) % 10
    pictures = np.empty((n, SIDE, SIDE), dtype=np.uint8)
    for index, label in enumerate(labels.tolist()):
        pictures[index] = _draw(label, np.random.default_rng([seed, index]))
    return pictures, labels


def _draw(label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    angle, slant = rng.normal(0, 0.15), rng.normal(0.15, 0.25)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) + rng.uniform(-0.2, 0.2, (4, 2))
    corners = (0.8 * corners @ turn @ [[1, 0], [slant, 1]] + 1) * PAGE / 2
    typed = _typed(label, int(rng.integers(3)))
    distorted = typed.transform(typed.size, Image.Transform.QUAD, corners.ravel().tolist(), Image.Resampling.BILINEAR)
    digit = distorted.crop(distorted.getbbox())
    shape = np.array(digit.size) * [rng.uniform(0.7, 1.1), 1]
    width, height = (shape * rng.uniform(0.92, 1) * BOX / shape.max()).round().astype(int).clip(2).tolist()
    ink = np.asarray(digit.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float64)
    centre = [(ink.sum(1 - axis) @ np.arange(len(ink.sum(1 - axis)))) / ink.sum() for axis in (0, 1)]
    top, left = ((SIDE - 1) / 2 - np.array(centre)).round().astype(int).tolist()
    picture = np.zeros((SIDE, SIDE), dtype=np.uint8)
    picture[top : top + height, left : left + width] = 255 * ink / ink.max()
    return picture


@functools.cache
def _typed(label: int, weight: int) -> Image.Image:
    page = Image.new("L", (PAGE, PAGE))
    font = ImageFont.load_default(PAGE * 0.7)
    place = (PAGE / 2, PAGE / 2)
    ImageDraw.Draw(page).text(place, str(label), 255, font, anchor="mm", stroke_width=weight)
    return page
