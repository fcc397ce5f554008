"""Watch it learn: the numpy network from zero, normal and Glorot weights, side by side and frame by frame."""

import functools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lit_a1.data.errors import DataError
from lit_a1.data.mnist import load_mnist
from lit_a1.data.sources.drawn import SIDE, draw_digits
from lit_a1.data.sources.mnist import find_mnist
from lit_a1.demo.pictures import BLUE, ORANGE, html, tinted
from lit_a1.mlp.files import to_pixels
from lit_a1.mlp.functions import INITIALIZATIONS
from lit_a1.mlp.network import NN

POINTS, DIGITS = 400, 2000  # examples of a toy set, and of the digits
REACH = 1.5  # toy sets lie within -REACH and REACH
GRID, PANEL = 48, 240  # decisions are taken on GRID x GRID places; pixels of a panel
FRAMES, PAUSE = 50, 0.1  # frames of a training; fewest seconds between two frames
FRAME_EPOCHS = {True: 4, False: 1}  # by whether the data are a toy set
CHART_TOP = 10.0  # highest top of the chart: normal weights may start far above
UNITS = 9  # units whose weights are shown
COLOURS = dict(zip(INITIALIZATIONS, ("#CC79A7", "#E69F00", "#009E73"), strict=True))


@dataclass
class Training:
    """A network in training, and its progress: mean loss after each frame, and the share of errors."""

    net: NN
    losses: list[float] = field(default_factory=list)
    error: float = math.nan

    def advance(self, x: NDArray[Any], y: NDArray[Any], epochs: int) -> None:
        """Trains and measures; a network that has diverged stays as it is."""
        if self.losses and not math.isfinite(self.losses[-1]):
            return
        with np.errstate(all="ignore"):  # divergence is shown
            if self.losses:
                for _ in range(epochs):
                    self.net.train(x, y)
            loss, self.error = self.net.test(x, y)
        self.losses.append(loss)


def _moons(rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    labels = np.arange(POINTS) % 2
    angle = np.pi * (rng.random(POINTS) + labels)
    x = np.stack([np.cos(angle) + labels - 0.5, np.sin(angle) + 0.5 * labels - 0.25], 1)
    return 0.8 * x + rng.normal(0, 0.08, x.shape), labels


def _circles(rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    labels, angle = np.arange(POINTS) % 2, 2 * np.pi * rng.random(POINTS)
    radius = 0.45 + 0.65 * labels
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return x + rng.normal(0, 0.08, x.shape), labels


def _spirals(rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    labels, along = np.arange(POINTS) % 2, np.sqrt(rng.random(POINTS))
    angle = 3 * np.pi * along + np.pi * labels
    x = 1.3 * along[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return x + rng.normal(0, 0.03, x.shape), labels


TOYS = {"moons": _moons, "circles": _circles, "spirals": _spirals}


def choices() -> tuple[str, ...]:
    """The data to train on: toy sets, and MNIST if all of it is on this machine, else drawn digits."""
    try:
        return (*TOYS, "MNIST" if find_mnist() else "drawn digits")
    except (DataError, OSError):  # the page needs no data
        return (*TOYS, "drawn digits")


@functools.cache
def examples(data: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Examples (N,inputs) and classes (N,); raises as `load_mnist`."""
    if data in TOYS:
        x, y = TOYS[data](np.random.default_rng(0))
        return x.astype(np.float32), y
    images, labels = load_mnist("real").train if data == "MNIST" else draw_digits(DIGITS, 0)
    return to_pixels(images[:DIGITS], "float32"), labels[:DIGITS]


def train(data: str, lr: float, width: int, depth: int, nonlinearity: str) -> Iterator[str]:
    """Trains three networks that differ only in their initial weights; yields the page's picture of each frame."""
    (x, y), toy = examples(data), data in TOYS
    shape: dict[str, Any] = {"input_dim": x.shape[1], "n_classes": 2 if toy else 10, "parameter_range": (1, 10**7)}
    shape |= {"hidden_dims": (width,) * depth, "n_hidden": depth, "batch_size": 32}
    options: dict[str, Any] = {"lr": lr, "nonlinearity": nonlinearity, "momentum": 0.9}
    trainings = {name: Training(NN(initialization=name, **shape, **options)) for name in INITIALIZATIONS}
    for frame in range(FRAMES + 1):
        started = time.monotonic()
        for training in trainings.values():
            training.advance(x, y, FRAME_EPOCHS[toy])
        panels = {name: _regions(t.net, x, y) if toy else _weights(t.net) for name, t in trainings.items()}
        chart = _chart(trainings, frame, toy)
        yield html("learning", trainings=trainings, panels=panels, colours=COLOURS, toy=toy, **chart)
        time.sleep(max(0.0, PAUSE - (time.monotonic() - started)))


def _regions(net: NN, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.uint8]:
    """The network's predictions all over the plane, orange for class 1, with the examples on it."""
    coordinates = ((np.arange(GRID) + 0.5) / GRID * 2 - 1).astype(np.float32) * REACH
    points = np.stack(np.meshgrid(coordinates, -coordinates), -1).reshape(-1, 2)
    with np.errstate(all="ignore"):
        probabilities = np.nan_to_num(net.softmax(net.forward(points))[:, 1], nan=0.5).reshape(GRID, GRID)
    certainty = 2 * probabilities - 1
    tint = tinted(certainty, opacity=0.6 * np.abs(certainty).max())
    image = Image.fromarray(tint).resize((PANEL, PANEL), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    for (right, up), label in zip((x / REACH * [1, -1] + 1) * PANEL / 2, y, strict=True):
        draw.circle((right, up), 3, fill=ORANGE if label else BLUE, outline="white")
    return np.asarray(image)


def _weights(net: NN) -> NDArray[np.uint8]:
    """The weights from the pixels to the first units, orange above 0 and blue below, in rows of three."""
    weights = np.nan_to_num(net.weights[0].T[:UNITS])
    tiles = [
        np.pad(tinted(unit.reshape(SIDE, SIDE)), ((1, 1), (1, 1), (0, 0)), constant_values=255) for unit in weights
    ]
    tiles += [np.full_like(tiles[0], 255)] * (UNITS - len(tiles))
    return np.concatenate([np.concatenate(tiles[start : start + 3], 1) for start in range(0, UNITS, 3)])


def _chart(trainings: dict[str, Training], frame: int, toy: bool) -> dict[str, Any]:
    """The lines of the losses in a chart of 100 by 100 with a logarithmic y-axis, and its ticks."""
    finite = [loss for training in trainings.values() for loss in training.losses if math.isfinite(loss) and loss > 0]
    low = 10.0 ** math.floor(math.log10(max(1e-3, min(finite))))
    high = min(CHART_TOP, 10.0 ** math.ceil(math.log10(max(finite))))

    def height(loss: float) -> float:
        return 100 * math.log10(high / min(max(loss, low), high)) / max(math.log10(high / low), 1e-9)

    lines = {
        name: " ".join(
            f"{100 * k / FRAMES:.1f},{height(loss):.1f}" for k, loss in enumerate(training.losses) if loss == loss
        )
        for name, training in trainings.items()
    }
    ticks = [(f"{value:g}", height(value)) for value in (0.001, 0.01, 0.1, 1.0, 10.0) if low <= value <= high]
    return {"lines": lines, "ticks": ticks, "epoch": frame * FRAME_EPOCHS[toy], "epochs": FRAMES * FRAME_EPOCHS[toy]}
