"""How test images are changed for a comparison: shifted, rotated, noisy."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import rotate

SHIFTS = (1, 2, 3, 4)  # pixels
ROTATIONS = (15, 30, 45)  # degrees
NOISES = (0.05, 0.1, 0.2, 0.3)  # standard deviations, as shares of white
KINDS = {"shift": SHIFTS, "rotation": ROTATIONS, "noise": NOISES}
UNITS = {"shift": " px", "rotation": "°", "noise": " std"}
DIRECTIONS = {"down": (1, 0), "up": (-1, 0), "right": (0, 1), "left": (0, -1)}
NOISE_SEED = 6135


def shifted(images: Tensor, dy: int, dx: int) -> Tensor:
    """Moves images (N,C,H,W) down and right by whole pixels; uncovered pixels become black."""
    return F.pad(images, (dx, -dx, dy, -dy))


def rotated(images: Tensor, degrees: float) -> Tensor:
    """Rotates images (N,C,H,W) about their centres, counter-clockwise, bilinearly; uncovered pixels become black."""
    return rotate(images, degrees, InterpolationMode.BILINEAR)


def noisy(images: Tensor, std: float) -> Tensor:
    """Adds Gaussian noise, the same at each call, to images (N,C,H,W) in [0,1], and clips the result to [0,1]."""
    generator = torch.Generator().manual_seed(NOISE_SEED)
    return (images + std * torch.randn(images.shape, generator=generator)).clamp_(0, 1)


def changes() -> dict[tuple[str, float, str], Callable[[Tensor], Tensor]]:
    """The changes of the test images: first none, then 16 shifts, rotations in both directions, and noise.

    Keys are kind (`none`, `shift`, `rotation`, `noise`), level (in pixels, degrees, shares of white) and direction.
    """
    found: dict[tuple[str, float, str], Callable[[Tensor], Tensor]] = {("none", 0, ""): Tensor.clone}
    for pixels in SHIFTS:
        for name, (dy, dx) in DIRECTIONS.items():
            found["shift", pixels, name] = partial(shifted, dy=dy * pixels, dx=dx * pixels)
    for degrees in ROTATIONS:
        found["rotation", degrees, "counter-clockwise"] = partial(rotated, degrees=degrees)
        found["rotation", degrees, "clockwise"] = partial(rotated, degrees=-degrees)
    return found | {("noise", std, ""): partial(noisy, std=std) for std in NOISES}


def ink_lost(images: NDArray[np.uint8], pixels: int) -> float:
    """The share of all white that a shift moves out of the images (N,28,28), as the mean over four directions."""
    values = torch.from_numpy(images)[:, None].float()
    remaining = [shifted(values, dy * pixels, dx * pixels).sum() for dy, dx in DIRECTIONS.values()]
    return 1 - float(torch.stack(remaining).mean() / values.sum())
