"""Draws and images for the tests of augmentation."""

import torch
from torch import Tensor


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(count: int = 16, size: int = 32, width: int | None = None, channels: int = 3, seed: int = 0) -> Tensor:
    """Random images (N,C,H,W), uint8, in the layout they have on disk."""
    shape = (count, size, width or size, channels)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(seed)).permute(0, 3, 1, 2)
