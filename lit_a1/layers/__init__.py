"""Hand-written layers and losses: nothing here is built on PyTorch's own norms, dropout or losses."""

from math import gcd
from typing import Literal, get_args

from torch import nn

from lit_a1.layers.batch_norm import BatchNorm2d, recompute_statistics
from lit_a1.layers.blur_pool import MaxBlurPool2d
from lit_a1.layers.convolution import Conv2d, MaxPool2d
from lit_a1.layers.dropout import Dropout, StochasticDepth, part_of_batch
from lit_a1.layers.group_norm import GroupNorm, InstanceNorm2d
from lit_a1.layers.layer_norm import LayerNorm2d
from lit_a1.layers.loss import cross_entropy
from lit_a1.layers.squeeze_excite import SqueezeExcite
from lit_a1.layers.weight_norm import WeightNormConv2d, weight_norm

__all__ = [
    "NORMS",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "GroupNorm",
    "InstanceNorm2d",
    "LayerNorm2d",
    "MaxBlurPool2d",
    "MaxPool2d",
    "Norm",
    "SqueezeExcite",
    "StochasticDepth",
    "WeightNormConv2d",
    "cross_entropy",
    "make_norm",
    "part_of_batch",
    "recompute_statistics",
    "weight_norm",
]

Norm = Literal["batch", "layer", "group", "instance", "weight", "none"]
NORMS: tuple[str, ...] = get_args(Norm)


def make_norm(name: str, channels: int) -> nn.Module:
    """Build the normalisation that follows a convolution.

    Args:
        name: "batch", "layer" (`LayerNorm2d`), "group" (8 groups, or as many as divide both 8 and `channels`) or
            "instance". "none" and "weight" give the identity: weight normalisation is in the convolution itself
            (`WeightNormConv2d`).
        channels: Number of channels of the (N, C, H, W) activations.

    Returns:
        A module that keeps the shape of its input.

    Raises:
        ValueError: `name` is none of these, or `channels` is not positive.
    """
    match name:
        case "none" | "weight":
            return nn.Identity()
        case "batch":
            return BatchNorm2d(channels)
        case "layer":
            return LayerNorm2d(channels)
        case "group":
            return GroupNorm(gcd(8, channels), channels)
        case "instance":
            return InstanceNorm2d(channels)
    raise ValueError(f"The norm must be one of {', '.join(NORMS)}, but is {name!r}.")
