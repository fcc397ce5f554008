"""Finds images that show the same photo in another size or compression."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

SIDE = 10  # pixels a side, for the comparison
ALIKE = 0.95  # correlation from which two images count as one photo
CHUNK = 1000  # images at a time


def near_copies(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of `images` (N,H,W,3) show the same photo as one of `others` (M,H,W,3), as (N,) bools.

    Both are shrunk to 10x10 grey pixels; images that correlate by 0.95 or more count as one photo. This finds photos
    that were resized, compressed or moved by a pixel. Of the course's training photos, one in some 20,000 looks that
    much like a test photo by chance.
    """
    theirs = _outlines(others)
    found = [(_outlines(images[at : at + CHUNK]) @ theirs.T >= ALIKE).any(1) for at in range(0, len(images), CHUNK)]
    return torch.cat(found).numpy() if found else np.zeros(0, np.bool_)


def _outlines(images: NDArray[np.uint8]) -> Tensor:
    """One vector an image, (N,100), of length one, so products are correlations; of length zero if all is one grey."""
    parts = []
    for at in range(0, len(images), CHUNK):
        grey = torch.from_numpy(np.array(images[at : at + CHUNK])).float().mean(3)
        small = F.adaptive_avg_pool2d(grey, SIDE).flatten(1)
        parts.append(F.normalize((small - small.mean(1, keepdim=True)).round(decimals=2)))
    return torch.cat(parts) if parts else torch.zeros(0, SIDE * SIDE)
