"""TrivialAugment: one random change of each image, of random strength.

A change maps images (N,3,S,S) in [0,1] and their strengths (N,) in [-1,1] to images of the same form.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_a1.data.colour import colour
from lit_a1.data.resample import rotate, warp

SHEAR, TURN, FACTOR = 0.99, 135.0, 0.99  # largest shear, angle in degrees, and distance of a factor from 1
SHIFT = 2 / 7  # 32 of 224 pixels, where the image's side is 2
FEWEST_BITS = 2


def _affine_change(row: int, column: int, largest: float) -> Callable[[Tensor, Tensor], Tensor]:
    """A change of one element of the map from output to input."""

    def change(images: Tensor, strength: Tensor) -> Tensor:
        theta = torch.eye(2, 3, device=images.device).repeat(len(images), 1, 1)
        theta[:, row, column] += largest * strength
        return warp(images, theta)

    return change


def _colour_change(index: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A change of one of brightness, contrast and saturation."""

    def change(images: Tensor, strength: Tensor) -> Tensor:
        factors = [torch.ones_like(strength) for _ in range(3)]
        factors[index] += FACTOR * strength
        return colour(images, *factors)

    return change


def _per_image(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def sharpen(images: Tensor, strength: Tensor) -> Tensor:
    """Moves the pixels away from a smoothed image, or towards it; those at the border stay."""
    channels = images.shape[1]
    kernel = images.new_tensor([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smooth = images.clone()
    smooth[..., 1:-1, 1:-1] = F.conv2d(images, kernel.expand(channels, 1, 3, 3), groups=channels)
    return smooth.lerp(images, _per_image(1 + FACTOR * strength)).clamp(0, 1)


def posterize(images: Tensor, strength: Tensor) -> Tensor:
    """Keeps 8 to 2 bits of each value."""
    step = 2 ** _per_image((strength.abs() * (8 - FEWEST_BITS)).round())
    return ((images * 255).round() / step).floor() * step / 255


def solarize(images: Tensor, strength: Tensor) -> Tensor:
    """Inverts the values from a threshold on."""
    return torch.where(images >= _per_image(1 - strength.abs()), 1 - images, images)


def stretch_contrast(images: Tensor, strength: Tensor) -> Tensor:
    """Maps the least value of each channel to 0 and the largest to 1; has no strength."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low), images)


def equalize(images: Tensor, strength: Tensor) -> Tensor:
    """Spreads the values of each channel evenly over [0, 1], as Pillow's `ImageOps.equalize`; has no strength."""
    values = (images * 255).round().long().flatten(2)
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    cumulative = counts.cumsum(2)
    last = counts.gather(2, values.amax(2, keepdim=True))  # pixels of the largest value
    step = (values.shape[2] - last) // 255
    new = ((cumulative - counts + step // 2) // step.clamp_min(1)).clamp_max(255).gather(2, values)
    return torch.where(step > 0, new, values).view(images.shape) / 255


CHANGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "none": lambda images, strength: images,
    "shear_x": _affine_change(0, 1, SHEAR),
    "shear_y": _affine_change(1, 0, SHEAR),
    "shift_x": _affine_change(0, 2, SHIFT),
    "shift_y": _affine_change(1, 2, SHIFT),
    "rotate": lambda images, strength: rotate(images, TURN * strength),
    "brightness": _colour_change(0),
    "contrast": _colour_change(1),
    "saturation": _colour_change(2),
    "sharpen": sharpen,
    "posterize": posterize,
    "solarize": solarize,
    "stretch_contrast": stretch_contrast,
    "equalize": equalize,
}


def trivial_augment(images: Tensor, generator: torch.Generator, probability: float = 1.0) -> Tensor:
    """Changes each image in one way of `CHANGES`, with a strength uniform in [-1, 1].

    Ways and ranges are the wide ones of Müller & Hutter 2021, "TrivialAugment: tuning-free yet state-of-the-art data
    augmentation" (arXiv:2103.10158), whose strengths are 31 steps.

    Args:
        images: (N, 3, S, S) floats in [0, 1].
        generator: on the images' device.
        probability: probability that an image takes part.
    """
    device, count = images.device, len(images)
    chance, strength = torch.rand((2, count), generator=generator, device=device)
    choice = torch.randint(len(CHANGES), (count,), generator=generator, device=device) * (chance < probability)
    changed = images.clone()
    sizes = choice.bincount(minlength=len(CHANGES)).tolist()
    for change, rows in zip(CHANGES.values(), choice.argsort().split(sizes), strict=True):
        if len(rows):
            changed[rows] = change(images[rows], 2 * strength[rows] - 1)
    return changed
