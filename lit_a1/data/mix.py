"""Augmentations that put something else into an image: cutout, mixup and CutMix.

The weight map of what is put in is the outer product of a row part and a column part, both (N, S). A patch is ones
inside and zeros outside; a constant map has a constant column part. The map's mean is the product of the two parts'
means, and the map itself costs one pass.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Fill = Literal["zeros", "mean", "noise"]


def random_patches(heights: Tensor, widths: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rectangles centred on a random pixel and clipped at the image's border.

    `heights` and `widths` are (N,) whole numbers of pixels; 0 makes no patch.

    Returns:
        Row part and column part, both (N, size), of zeros and ones; pixel (i, j) is in the patch if
        `rows[i] * columns[j]` is 1.
    """
    sides = torch.stack([heights, widths])
    centre = torch.randint(size, sides.shape, generator=generator, device=sides.device)
    start = (centre - sides // 2)[..., None]
    pixel = torch.arange(size, device=sides.device)
    rows, columns = ((pixel >= start) & (pixel < start + sides[..., None])).float()
    return rows, columns


def outer(rows: Tensor, columns: Tensor, channels: int) -> Tensor:
    """Map (N, channels, S, S), channels-last: the outer product of row part and column part, both (N, S)."""
    innermost = columns.repeat_interleave(channels, 1)
    return (rows[:, :, None] * innermost[:, None]).unflatten(2, (-1, channels)).permute(0, 3, 1, 2)


def cutout(
    images: Tensor,
    side: float,
    generator: torch.Generator,
    *,
    ratio: tuple[float, float] = (1.0, 1.0),
    fill: Fill = "mean",
    probability: float = 1.0,
) -> Tensor:
    """Covers one patch of each image (DeVries & Taylor 2017, "Cutout", arXiv:1708.04552).

    The patch's centre is uniform over the pixels, and the patch is clipped at the border, as in the paper. With another
    `ratio`, "noise" and a probability below 1, it is random erasing of one size, except that Zhong et al. (2020,
    arXiv:1708.04896) keep the patch inside the image.

    Args:
        images: (N, C, S, S) floats, square.
        side: side of the patch as a share of S; if the patch is not square, that of the square of equal area.
        generator: on the images' device.
        ratio: width over height, log-uniform between these two.
        fill: "zeros" (black), "mean" (the image's own mean colour; closest to Cutout, whose zeros come after the
            dataset's mean was subtracted) or "noise" (uniform in [0, 1] for each pixel and channel).
        probability: probability that an image is covered.
    """
    count, channels, size, _ = images.shape
    shape, chance = torch.rand((2, count), generator=generator, device=images.device)
    low, high = map(math.log, ratio)
    root = torch.exp((low + (high - low) * shape) / 2)
    is_covered = chance < probability
    heights, widths = ((size * side * stretch).round().long() * is_covered for stretch in (1 / root, root))
    rows, columns = random_patches(heights, widths, size, generator)
    if fill == "zeros":
        cover = torch.zeros((), device=images.device)
    elif fill == "mean":
        line = images.mean((2, 3)).repeat(1, size).view(count, 1, size, channels)
        cover = line.expand(-1, size, -1, -1).permute(0, 3, 1, 2)
    else:
        cover = torch.empty_like(images).uniform_(generator=generator)
    return images.lerp(cover, outer(rows, columns, channels))


def sample_beta(alpha: Tensor, generator: torch.Generator) -> Tensor:
    """Draws one number from Beta(a, a) for each a of `alpha`, in its shape and in float32, which every device has.

    With u and v uniform in [0, 1), s = u^(1/a) and c = cos(2 pi v), the number is

        1/2 + c / 2 * sqrt((1 - s) / (s + (1 - s) c^2)).

    Source: Devroye 1996, "Random variate generation in one line of code", after Bailey 1994, "Polar generation of
    random variates with the t-distribution" (`torch.distributions` takes no generator, and gammas of a small `a`
    underflow in float32).
    """
    u, v = torch.rand((2, *alpha.shape), generator=generator, device=alpha.device)
    exponent = (u.log() / alpha).clamp_min_(-80)  # keeps s above 0, even if u is 0
    rest = -torch.expm1(exponent)  # 1 - s, which is small for a large `a`
    cosine = torch.cos(2 * math.pi * v)
    deviation = cosine * (rest / (exponent.exp() + rest * cosine.square())).sqrt()
    return (0.5 + 0.5 * deviation).clamp(0, 1)  # against rounding errors


def mix(
    images: Tensor,
    labels: Tensor,
    *,
    num_classes: int,
    generator: torch.Generator,
    mixup: float = 0.0,
    cutmix: float = 0.0,
    probability: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Mixes each image x_a, and its label, with another image x_b of the batch.

        x = (1 - W) * x_a + W * x_b,        t = (1 - mean W) onehot(a) + mean W onehot(b).

    In mixup (Zhang et al. 2018, arXiv:1710.09412) W is the number 1 - lambda. In CutMix (Yun et al. 2019,
    arXiv:1905.04899) W is 1 in a patch of that area, centred anywhere and clipped, and 0 elsewhere. `mean W` is the
    actual share of x_b, after clipping. Every image has its own lambda (the papers draw one per batch), so a batch
    holds all degrees of mixing. Partners are a random permutation of the batch.

    Args:
        images: (N, C, S, S) floats, square.
        labels: (N,) int64 in [0, num_classes).
        num_classes: K.
        generator: on the images' device.
        mixup: alpha of mixup, 0 for none.
        cutmix: alpha of CutMix, likewise; not both are 0, and if neither is, each image takes either with even odds.
        probability: probability that an image is mixed at all.

    Returns:
        Mixed images, and soft targets (N, K) float32, each row summing to one.
    """
    count, channels, size, _ = images.shape
    partners = torch.randperm(count, generator=generator, device=images.device)
    chance = torch.rand((2, count, 1), generator=generator, device=images.device)
    is_mixed = chance[0] < probability
    is_cut = chance[1] < (cutmix > 0) / ((cutmix > 0) + (mixup > 0))
    partner_share = 1 - sample_beta(torch.where(is_cut, cutmix, mixup), generator)
    sides = (size * partner_share.squeeze(1).sqrt()).long()
    rows, columns = random_patches(sides, sides, size, generator)
    rows = rows.where(is_cut, 1.0)
    columns = columns.where(is_cut, partner_share) * is_mixed
    weight = rows.mean(1, keepdim=True) * columns.mean(1, keepdim=True)
    targets = F.one_hot(labels, num_classes).float()
    return (
        images.lerp(images[partners], outer(rows, columns, channels)),
        targets.lerp(targets[partners], weight),
    )
