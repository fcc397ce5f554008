"""Digits drawn from a seed: they stand in for MNIST on a machine that has none."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE = 28  # pixels
BOX = 20.0  # pixels: the longer side of a digit is at most this, as in MNIST
SPACING = 0.03  # between two dots of a stroke, as a share of a digit's height: half a pixel

_ROWS, _COLUMNS = np.indices((SIDE, SIDE), dtype=np.float64).reshape(2, -1) - (SIDE - 1) / 2
_PIXELS = np.stack([_COLUMNS, _ROWS, _COLUMNS**2 + _ROWS**2, np.ones(SIDE * SIDE)]).astype(np.float32)


def draw_digits(n: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draws the ten digits in turn: a seed gives the same pictures, however many are asked for.

    White strokes on black, at most 20 pixels high and wide, with their centre of mass in the centre, as in MNIST.
    Shape, slant, turn, proportions, size, pen and pressure differ from picture to picture.

    Args:
        n: Number of pictures.
        seed: Of the drawing, 0 or above.

    Returns:
        Pictures (n,28,28) uint8, and labels (n,) int64: those of picture i are i mod 10.

    Raises:
        ValueError: `n` or `seed` is negative.
    """
    if n < 0 or seed < 0:
        raise ValueError(f"n and seed must be 0 or above; got {n} and {seed}")
    labels = np.arange(n, dtype=np.int64) % 10
    pictures = np.empty((n, SIDE, SIDE), dtype=np.uint8)
    for index, label in enumerate(labels):
        rng = np.random.default_rng([seed, index])
        glyphs = _GLYPHS[label]
        pictures[index] = _draw(glyphs[rng.integers(len(glyphs))], rng)
    return pictures, labels


class _Glyph(NamedTuple):
    """One way to write a digit."""

    points: NDArray[np.float64]
    """(P,2), the points (x,y) that its strokes go through, in units of the height, with y downwards."""
    weights: NDArray[np.float64]
    """(Q,P), each of Q evenly spaced dots along the strokes as a weighted sum of the points."""


def _glyph(drawing: str) -> _Glyph:
    """A glyph of smooth strokes, such as "50,0 50,100 / 25,100 75,100" (points x,y in hundredths of the height).

    Strokes that share a point stay joined, so that a corner is made of two. Each stroke is a Catmull-Rom spline:
    between the points b and c, with a and d beside them, it is at
    ((-t + 2t^2 - t^3) a + (2 - 5t^2 + 3t^3) b + (t + 4t^2 - 3t^3) c + (-t^2 + t^3) d) / 2 for t in [0,1].
    """
    strokes = [stroke.split() for stroke in drawing.split("/")]
    names = list(dict.fromkeys(name for stroke in strokes for name in stroke))
    points = np.array([name.split(",") for name in names], dtype=np.float64) / 100
    rows = []
    for stroke in strokes:
        place = [names.index(name) for name in stroke]
        ends = [place[0], *place, place[-1]]
        for i in range(len(place) - 1):
            around = ends[i : i + 4]
            length = np.linalg.norm(points[around[2]] - points[around[1]])
            for t in np.linspace(0, 1, round(length / SPACING), endpoint=i == len(place) - 2):
                row = np.zeros(len(points))
                np.add.at(row, around, np.array([1, t, t**2, t**3]) @ _CATMULL_ROM)
                rows.append(row)
    return _Glyph(points, np.array(rows))


_CATMULL_ROM = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2


def _draw(glyph: _Glyph, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture (28,28) of the glyph, as one hand would write it: a pixel is as bright as the nearest dot is near."""
    points = glyph.points - 0.5 + rng.normal(0, 0.045, glyph.points.shape)
    points += 0.1 * rng.standard_normal(2) * np.sin(3 * points[:, ::-1] + rng.uniform(0, 6.3, 2))  # bends the whole
    slant, angle = rng.normal(0.15, 0.25), rng.normal(0, 0.15)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    dots = glyph.weights @ (points @ ([[rng.uniform(0.6, 1.1), 0], [-slant, 1]] @ turn))
    radius, edge = rng.uniform(0.8, 1.75), rng.uniform(0.8, 1.4)  # of the pen, and the width over which it fades
    phase = np.linspace(0, rng.uniform(2, 8), len(dots)) + rng.uniform(0, 6.3)
    radii = radius * (1 + 0.2 * np.sin(phase))  # the pressure on the pen
    reach = 1.2 * (radius + edge / 2)  # of the ink, from a dot
    dots *= (rng.uniform(0.92, 1) * BOX - 2 * reach) / np.ptp(dots, axis=0).max()
    dots -= (dots.max(axis=0) + dots.min(axis=0)) / 2
    # squared distance of each pixel from each dot in radii, |p - q|^2 / r^2, is linear in (x, y, |p|^2, 1)
    terms = np.stack([-2 * dots[:, 0], -2 * dots[:, 1], np.ones(len(dots)), (dots**2).sum(1)], axis=1)
    nearest = ((terms / radii[:, None] ** 2).astype(np.float32) @ _PIXELS).min(axis=0)
    inside = (1 - np.sqrt(nearest.clip(0))) * radius / edge
    picture = (255 * (0.5 + inside).clip(0, 1)).astype(np.uint8)
    centre = (_PIXELS[1::-1] @ picture / picture.sum(dtype=np.float32)).round().astype(int)
    return np.roll(picture.reshape(SIDE, SIDE), -centre, axis=(0, 1))  # by whole pixels, within a margin of 4


_DRAWINGS = (  # of each digit, one or more
    (
        "59,2 34,5 17,31 16,66 32,93 57,99 78,81 86,48 76,15 53,0",
        "43,1 19,17 8,47 16,79 38,98 66,96 86,75 92,43 79,14 54,0",
    ),
    (
        "50,0 50,50 50,100",
        "51,0 50,50 49,100",
        "50,0 50,50 50,100 / 50,0 40,13 28,22",
        "50,0 50,50 50,100 / 50,0 40,13 28,22 / 22,100 50,100 78,100",
    ),
    (
        "15,25 28,6 52,0 76,12 78,30 60,58 35,82 12,100 / 12,100 50,97 88,100",
        "15,25 28,6 52,0 76,12 76,34 55,66 30,92 14,97 9,85 22,77 45,88 68,98 92,90",
    ),
    (
        "18,12 42,0 70,7 76,25 60,42 38,47 / 38,47 66,51 84,70 74,92 45,100 14,88",
        "15,3 48,2 80,2 / 80,2 60,22 40,44 / 40,44 66,51 84,70 74,92 45,100 14,88",
    ),
    (
        "22,2 17,30 15,55 / 15,55 50,54 88,50 / 76,0 73,50 69,100",
        "66,0 36,34 8,64 / 8,64 50,64 94,63 / 66,0 66,50 65,100",
    ),
    (
        "82,2 55,2 28,3 / 28,3 24,24 22,43 / 22,43 50,36 78,48 83,72 64,95 36,100 10,90",
        "84,2 52,2 31,12 26,33 50,44 76,58 76,82 48,100 14,92",
    ),
    (
        "68,0 40,22 20,52 16,78 32,97 58,98 78,82 74,62 50,54 28,66 17,84",
        "36,0 22,35 18,70 27,92 49,99 70,91 78,74 68,55 49,49 29,56 19,74",
    ),
    (
        "12,5 50,2 85,3 / 85,3 60,45 42,100",
        "12,20 16,4 50,7 85,3 / 85,3 60,45 42,100",
        "12,5 50,2 85,3 / 85,3 60,45 42,100 / 34,51 56,50 80,47",
    ),
    (
        "74,12 50,0 27,12 29,31 50,46 74,64 77,86 50,100 23,87 26,65 50,46 70,31 74,14",
        "50,46 32,39 25,23 32,7 50,0 68,7 75,23 68,39 50,46 / 50,46 72,54 81,73 72,92 50,100 28,92 19,73 28,54 50,46",
    ),
    (
        "76,16 58,0 33,4 18,22 26,42 48,48 70,36 76,16 / 76,16 74,55 68,100",
        "76,16 58,0 33,4 18,22 26,42 48,48 70,36 76,16 / 76,16 80,55 72,86 48,100 20,92",
    ),
)
_GLYPHS = [[_glyph(drawing) for drawing in drawings] for drawings in _DRAWINGS]
