"""Cats, dogs and digits drawn from a seed, for machines without the photos or MNIST."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Colour = tuple[int, ...]
Drawn = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images and labels
Draw = Callable[[int, np.random.Generator], NDArray[np.uint8]]
Points = Sequence[Sequence[float]] | NDArray[np.float64]
FURS = ((226, 144, 62), (150, 150, 155), (66, 62, 64), (240, 232, 220), (176, 126, 84), (112, 78, 54), (216, 190, 150))
CAT_EYES = ((170, 205, 70), (235, 190, 50), (95, 175, 215), (90, 180, 110))
PINK, TONGUE, BLACK, WHITE = (232, 150, 155), (228, 95, 110), (28, 24, 26), (250, 248, 244)
SIDE = 28  # pixels: height and width of a digit's image
BOX = 20  # pixels: the longer side of a digit is at most this, as in MNIST
PAGE = 64  # pixels: side of the page on which a digit is typed, before it is distorted
_TURN = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


def draw_cats_and_dogs(n: int, seed: int, size: int = 64) -> Drawn:
    """Draws cats (0) and dogs (1) in turn. A seed gives the same images, whatever their number.

    Colours, backgrounds, poses, noise, blur and occlusion come from the same distributions for both. Only shapes tell
    them apart: ears, pupils, snout, whiskers, tongue. Images are (n, size, size, 3) uint8, RGB, and labels (n,) int64.
    """
    return _draw_in_turn(n, seed, 2, (size, size, 3), lambda label, rng: _draw_animal(bool(label), rng, size))


def draw_digits(n: int, seed: int) -> Drawn:
    """Draws the ten digits in turn, likewise: images (n,28,28) uint8, and labels (n,) int64.

    White on black, at most 20 pixels high and wide, centred by their centre of mass, as in MNIST. They are typed;
    rotation, slant, perspective, proportions, size and weight differ from image to image.
    """
    return _draw_in_turn(n, seed, 10, (SIDE, SIDE), _draw_digit)


def _draw_in_turn(n: int, seed: int, classes: int, shape: tuple[int, ...], draw: Draw) -> Drawn:
    labels = np.arange(n, dtype=np.int64) % classes
    images = np.empty((n, *shape), dtype=np.uint8)
    for index, label in enumerate(labels.tolist()):
        images[index] = draw(label, np.random.default_rng([seed, index]))
    return images, labels


# animals


def _draw_animal(dog: bool, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    image = _background(rng, 2 * size)  # drawn at twice the size, for smooth edges
    pen = _Pen(image, rng)
    fur = _vary(_shade(FURS[rng.integers(len(FURS))], rng.uniform(0.75, 1.15)), 9, rng)
    (_dog if dog else _cat)(pen, fur, rng)
    if rng.random() < 1 / 3:  # something in front of it
        _blot(image, rng, [-0.1, -0.1, 0.1, 0.1], [0.9, 0.9, 0.3, 0.3])
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.5) * size / 64))
    pixels = np.asarray(image.reduce(2), dtype=np.float32)
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * rng.uniform(2, 16)
    return ((pixels - 128) * rng.uniform(0.7, 1.1) + 128 + rng.uniform(-25, 25) + noise).clip(0, 255).astype(np.uint8)


class _Pen:
    """Draws in an animal's own coordinates: the face is about one unit in radius, turned, scaled, shifted, mirrored."""

    def __init__(self, image: Image.Image, rng: np.random.Generator) -> None:
        self.draw = ImageDraw.Draw(image)
        side = image.width
        angle, mirror = np.deg2rad(rng.normal(0, 18)), rng.choice([-1, 1])
        self.unit = side * rng.uniform(0.2, 0.34)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        self.matrix = turn * self.unit * np.array([[mirror * rng.uniform(0.9, 1.1)], [1.0]])
        self.centre = side * (0.5 + rng.uniform(-0.18, 0.18, 2))

    def polygon(self, points: Points, fill: Colour, both: bool = False) -> None:
        """A polygon; `both` also draws its mirror image, here and in the methods below."""
        for places in self._places(points, both):
            self.draw.polygon(places, fill=fill)

    def line(self, points: Points, fill: Colour, width: float, both: bool = False) -> None:
        for places in self._places(points, both):
            self.draw.line(places, fill=fill, width=max(1, round(width * self.unit)), joint="curve")

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, fill: Colour, lean: float = 0.0, both: bool = False
    ) -> None:
        """An ellipse around (x,y); `lean` turns it clockwise, in radians."""
        cos, sin = np.cos(lean), np.sin(lean)
        self.polygon(_CIRCLE * [rx, ry] @ [[cos, sin], [-sin, cos]] + [x, y], fill, both)

    def _places(self, points: Points, both: bool) -> list[list[float]]:
        sides = (-1, 1) if both else (1,)
        return [(np.multiply(points, [side, 1]) @ self.matrix + self.centre).ravel().tolist() for side in sides]


def _cat(pen: _Pen, fur: Colour, rng: np.random.Generator) -> None:
    dark, light = _shade(fur, 0.72), _shade(fur, 1.25)
    tail = rng.uniform(0.9, 1.5)
    pen.line([(0.6, 2.1), (1.15, 2.0), (1.45, 1.5), (tail, 0.95)], dark, 0.26)
    pen.ellipse(0, 1.9, 0.85, 1.2, fur)
    pen.ellipse(0, 1.7, 0.45, 0.8, light)
    height, spread = rng.uniform(1.35, 1.75), rng.uniform(0.7, 0.95)
    pen.polygon([(0.98, -0.25), (spread, -height), (0.1, -0.75)], fur, both=True)
    pen.polygon([(0.82, -0.5), (spread * 0.95, -height + 0.25), (0.32, -0.75)], PINK, both=True)
    pen.ellipse(0, 0, 1.1, 0.92, fur)
    if rng.random() < 0.6:  # a tabby
        for x in (-0.25, 0, 0.25):
            pen.line([(x, -0.88), (x * 0.7, -0.5)], dark, 0.09)
        pen.line([(1.02, 0.05), (0.72, 0.12)], dark, 0.09, both=True)
    pen.ellipse(0.2, 0.42, 0.3, 0.24, light, both=True)
    eye, pupil = CAT_EYES[rng.integers(len(CAT_EYES))], rng.uniform(0.05, 0.13)
    if rng.random() < 0.08:  # asleep
        pen.line([(0.68, -0.1), (0.45, 0.0), (0.22, -0.1)], BLACK, 0.07, both=True)
    else:
        pen.ellipse(0.45, -0.08, 0.31, 0.23, BLACK, lean=-0.25, both=True)
        pen.ellipse(0.45, -0.08, 0.26, 0.19, eye, lean=-0.25, both=True)
        pen.ellipse(0.45, -0.08, pupil, 0.19, BLACK, both=True)
        for x in (-0.38, 0.52):  # light from one side
            pen.ellipse(x, -0.15, 0.05, 0.05, WHITE)
    pen.polygon([(-0.13, 0.22), (0.13, 0.22), (0, 0.37)], PINK)
    pen.line([(-0.28, 0.5), (-0.12, 0.56), (0, 0.38), (0.12, 0.56), (0.28, 0.5)], BLACK, 0.05)
    whisker = WHITE if sum(fur) < 400 else dark
    for slope in (-0.16, 0.0, 0.16):
        pen.line([(0.38, 0.42 + slope / 3), (1.35, 0.42 + slope * 1.6)], whisker, 0.035, both=True)


def _dog(pen: _Pen, fur: Colour, rng: np.random.Generator) -> None:
    dark, light = _shade(fur, 0.66), _shade(fur, 1.25)
    tail = rng.uniform(0.9, 1.5)
    pen.line([(0.6, 2.1), (1.15, 1.8), (tail, 1.15)], fur, 0.26)
    pen.ellipse(0, 1.95, 0.9, 1.2, fur)
    pen.ellipse(0, 1.75, 0.5, 0.8, light)
    if rng.random() < 0.4:  # a collar
        pen.line([(-0.6, 1.08), (0, 1.24), (0.6, 1.08)], _vary((200, 60, 60), 55, rng), 0.16)
    pen.ellipse(0, 0, 0.92, 1.05, fur)
    if rng.random() < 0.35:  # a patch
        pen.ellipse(0.38, -0.2, 0.36, 0.42, dark)
    length, swing = rng.uniform(0.62, 0.85), rng.uniform(-0.1, 0.3)
    ear = dark if rng.random() < 0.7 else fur
    pen.ellipse(0.98, 0.02, 0.34, length, _shade(ear, 0.8), lean=-swing, both=True)
    pen.ellipse(0.98, 0.02, 0.28, length - 0.06, ear, lean=-swing, both=True)
    if rng.random() < 0.08:  # asleep
        pen.line([(0.55, -0.2), (0.38, -0.12), (0.22, -0.2)], BLACK, 0.07, both=True)
    else:
        pen.ellipse(0.38, -0.22, 0.2, 0.21, WHITE, both=True)
        pen.ellipse(0.37, -0.2, 0.155, 0.165, (70, 42, 26), both=True)
        pen.ellipse(0.37, -0.2, 0.1, 0.11, BLACK, both=True)
        for x in (-0.31, 0.43):
            pen.ellipse(x, -0.27, 0.05, 0.05, WHITE)
        pen.line([(0.58, -0.52), (0.3, -0.58)], dark, 0.08, both=True)
    if rng.random() < 0.6:
        reach = rng.uniform(0.8, 1.3)
        pen.ellipse(0, reach, 0.2, 0.3, TONGUE)
        pen.line([(0, 0.7), (0, reach + 0.1)], _shade(TONGUE, 0.8), 0.05)
    pen.ellipse(0, 0.52, 0.52, 0.42, light)
    pen.line([(-0.36, 0.7), (-0.15, 0.8), (0, 0.62), (0.15, 0.8), (0.36, 0.7)], BLACK, 0.055)
    pen.ellipse(0, 0.32, 0.24, 0.17, BLACK)
    pen.ellipse(-0.06, 0.26, 0.07, 0.04, (120, 115, 118))


def _background(rng: np.random.Generator, side: int) -> Image.Image:
    """Two colours that blend into each other, some blots, and sometimes a floor."""
    corners = rng.integers(30, 236, (2, 2, 3), dtype=np.uint8)
    image = Image.fromarray(corners).resize((side, side), Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        floor = (0, side * rng.uniform(0.55, 0.85), side, side)
        ImageDraw.Draw(image).rectangle(floor, fill=_random_colour(rng))
    for _ in range(rng.integers(0, 7)):
        _blot(image, rng, [-0.2, -0.2, 0.08, 0.08], [1, 1, 0.4, 0.4])
    return image.filter(ImageFilter.BoxBlur(side * rng.uniform(0, 0.03)))


def _blot(image: Image.Image, rng: np.random.Generator, low: list[float], high: list[float]) -> None:
    """An ellipse or a rectangle; left, top, width and height lie between `low` and `high`, as shares of the image."""
    x, y, width, height = image.width * rng.uniform(low, high)
    draw = ImageDraw.Draw(image)
    shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
    shape((x, y, x + width, y + height), fill=_random_colour(rng))


def _random_colour(rng: np.random.Generator) -> Colour:
    return tuple(rng.integers(20, 240, 3).tolist())


def _vary(colour: Colour, by: int, rng: np.random.Generator) -> Colour:
    return tuple(np.clip(np.array(colour) + rng.integers(-by, by + 1, 3), 0, 255).tolist())


def _shade(colour: Colour, factor: float) -> Colour:
    return tuple(min(255, round(channel * factor)) for channel in colour)


# digits


def _draw_digit(label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    angle, slant = rng.normal(0, 0.15), rng.normal(0.15, 0.25)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) + rng.uniform(-0.2, 0.2, (4, 2))
    corners = (0.8 * corners @ turn @ [[1, 0], [slant, 1]] + 1) * PAGE / 2
    typed = _typed(label, int(rng.integers(3)))
    distorted = typed.transform(typed.size, Image.Transform.QUAD, corners.ravel().tolist(), Image.Resampling.BILINEAR)
    digit = distorted.crop(distorted.getbbox())
    shape = np.array(digit.size) * [rng.uniform(0.7, 1.1), 1]
    return centred(digit, *(shape * rng.uniform(0.92, 1) * BOX / shape.max()).tolist())


def centred(digit: Image.Image, width: float, height: float) -> NDArray[np.uint8]:
    """A digit, white on black, cropped, scaled to this size and centred by its centre of mass as in MNIST, (28,28)."""
    size = [max(2, round(side)) for side in (width, height)]
    ink = np.asarray(digit.resize((size[0], size[1]), Image.Resampling.BILINEAR), dtype=np.float64)
    centre = [(ink * place).sum() / ink.sum() for place in np.indices(ink.shape)]
    top, left = (
        min(max(0, round((SIDE - 1) / 2 - place)), SIDE - side) for place, side in zip(centre, ink.shape, strict=True)
    )
    image = np.zeros((SIDE, SIDE), dtype=np.uint8)
    image[top : top + size[1], left : left + size[0]] = 255 * ink / ink.max()
    return image


@functools.cache
def _typed(label: int, weight: int) -> Image.Image:
    page = Image.new("L", (PAGE, PAGE))
    font = ImageFont.load_default(PAGE * 0.7)
    place = (PAGE / 2, PAGE / 2)
    ImageDraw.Draw(page).text(place, str(label), 255, font, anchor="mm", stroke_width=weight)
    return page
