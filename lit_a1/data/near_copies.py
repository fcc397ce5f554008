"""Finds images that show the same photo in another size or compression."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

SIDE = 10  # pixels a side, for the comparison
MIN_CORRELATION = 0.95  # correlation from which two images count as one photo
CHUNK = 1000  # images at a time


def near_copies(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of `images` (N,H,W,3) show the same photo as one of `others` (M,H,W,3), as (N,) bools.

    Both are shrunk to 10x10 grey pixels; images that correlate by 0.95 or more count as one photo. This finds photos
    that were resized, compressed or moved by a pixel. Other photos are seldom taken for copies.
    """
    other_thumbnails = _thumbnails(others)
    chunks = _thumbnails(images).split(CHUNK)
    return torch.cat([(chunk @ other_thumbnails.T >= MIN_CORRELATION).any(1) for chunk in chunks]).numpy()


def _thumbnails(images: NDArray[np.uint8]) -> Tensor:
    """One vector an image, (N,100), of length one, so products are correlations; of length zero if all is one grey."""
    chunks = [torch.zeros(0, SIDE * SIDE)]
    for start in range(0, len(images), CHUNK):
        grey = torch.from_numpy(np.array(images[start : start + CHUNK])).float().mean(3)
        small = F.adaptive_avg_pool2d(grey, SIDE).flatten(1)
        # rounded, or the rounding errors of a blank image would be scaled up
        centred = (small - small.mean(1, keepdim=True)).round(decimals=2)
        chunks.append(F.normalize(centred))
    return torch.cat(chunks)
