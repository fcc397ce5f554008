"""What pictures are like, measured on their pixels alone: brightness, contrast, sharpness, share of foreground."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601
LEVELS = 64  # of the histogram that a picture is divided by
_AT_ONCE = 500  # pictures


class Measures(NamedTuple):
    """Of N pictures, (N,) float64 each."""

    brightness: NDArray[np.float64]
    """Mean luma, 0 (black) to 1 (white)."""
    contrast: NDArray[np.float64]
    """Standard deviation of luma over the picture, 0 to 0.5."""
    sharpness: NDArray[np.float64]
    """Variance of the Laplacian of luma."""
    foreground: NDArray[np.float64]
    """Share of the pixels whose colour is unlike the border's."""


def measure(pictures: NDArray[np.uint8]) -> Measures:
    """Measures pictures (N,H,W,C) of one channel or three, at least 3 pixels high and wide.

    The Laplacian is that of the four neighbours, away from the edge (Pech-Pacheco et al. 2000 take its variance for a
    measure of focus).
    """
    parts = []
    for start in range(0, len(pictures), _AT_ONCE):
        some = pictures[start : start + _AT_ONCE] / 255
        luma = some @ np.array(LUMA) if some.shape[-1] == 3 else some[..., 0]
        laplacian = (
            luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:] - 4 * luma[:, 1:-1, 1:-1]
        )
        parts.append((luma.mean((1, 2)), luma.std((1, 2)), laplacian.var((1, 2)), foreground_share(some)))
    return Measures(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def foreground_share(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share (N,) of the pixels of pictures (N,H,W,C) in [0,1] that differ from the border.

    The distance of each pixel's colour from the median colour of the outermost pixels is cut in two by Otsu's
    threshold, picture by picture; the share is that of the pixels above it, 0 where all are equal. A proxy for the
    size of what is shown: it takes any pixel unlike the border for foreground, and is misled where the background is
    not plain or where the object reaches the border.
    """
    border = np.concatenate([pictures[:, 0], pictures[:, -1], pictures[:, 1:-1, 0], pictures[:, 1:-1, -1]], 1)
    around = np.median(border, 1)[:, None, None]
    distances = np.linalg.norm(pictures - around, axis=-1).reshape(len(pictures), -1)
    largest = distances.max(1, keepdims=True)
    scaled = np.divide(distances, largest, out=np.zeros_like(distances), where=largest > 0)
    levels = np.minimum((scaled * LEVELS).astype(np.int64), LEVELS - 1)
    return (levels > otsu(levels)[:, None]).mean(1)


def otsu(levels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The last level (N,) of the darker of the two groups that pixels (N,P) of `LEVELS` levels are best cut into.

    It makes the variance between the groups largest; the first such level where there are several, and 0 where all
    pixels are of one level. Source: Otsu 1979, "A threshold selection method from gray-level histograms", equation 18.
    """
    count = len(levels)
    offsets = np.arange(count)[:, None] * LEVELS
    histogram = np.bincount((levels + offsets).ravel(), minlength=count * LEVELS).reshape(count, LEVELS)
    shares = histogram / levels.shape[1]
    below = shares.cumsum(1)  # omega(k)
    mean = (shares * np.arange(LEVELS)).cumsum(1)  # mu(k)
    spread = below * (1 - below)
    between = np.divide((mean[:, -1:] * below - mean) ** 2, spread, out=np.zeros_like(below), where=spread > 1e-9)
    return between.argmax(1)
