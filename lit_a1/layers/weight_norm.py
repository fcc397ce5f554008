"""Weight normalisation: the length of each unit's weight vector is learnt separately from its direction."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_a1.layers.checks import working_dtype


def weight_norm(v: Tensor, g: Tensor) -> Tensor:
    """Return weights with given directions and lengths (Salimans & Kingma, 2016, https://arxiv.org/abs/1602.07868).

    For each output channel::

        w = g v / |v|

    The norm is Euclidean, over all but the first dimension, computed in float32 for half-precision weights.

    Args:
        v: Directions, of shape (out, ...), none of them zero.
        g: Lengths, of shape (out, 1, ...) with as many dimensions as `v`.

    Returns:
        Weights of the shape and dtype of `v`.

    Raises:
        ValueError: `g` does not have the shape (out, 1, ...).
    """
    expected = (v.shape[0], *[1] * (v.dim() - 1))
    if g.shape != expected:
        raise ValueError(f"g must have the shape {expected} for v of shape {tuple(v.shape)}, but has {tuple(g.shape)}.")
    return (v * (g / _norm(v))).to(v.dtype)


class _WeightNorm(nn.Module):
    """The parameters `weight_v`, `weight_g` and `bias` of the layers below, drawn as `nn.Conv2d` and `nn.Linear` do."""

    def __init__(self, weight_shape: tuple[int, ...], bias: bool) -> None:
        super().__init__()
        if min(weight_shape) < 1:
            raise ValueError(f"All sizes must be positive, but the weights would have the shape {weight_shape}.")
        bound = 1 / math.sqrt(math.prod(weight_shape[1:]))
        weight = torch.empty(weight_shape).uniform_(-bound, bound)
        self.weight_v, self.weight_g = nn.Parameter(weight), nn.Parameter(_norm(weight))
        self.bias = nn.Parameter(torch.empty(weight_shape[0]).uniform_(-bound, bound)) if bias else None


class WeightNormConv2d(_WeightNorm):
    """A convolution with weight normalisation; see `weight_norm`.

    Unlike the other norms of this package it does not change the activations, costs next to nothing, and replaces
    `nn.Conv2d` instead of following it.

    Args:
        in_channels: Channels of the input (N, in, H, W).
        out_channels: Channels of the output (N, out, H', W').
        kernel_size: Height and width of the kernel.
        stride: Step of the kernel.
        padding: Zeros added on each side.
        dilation: Distance between the values that a kernel sees.
        groups: Number of groups of channels, each of which is convolved separately.
        bias: Whether to learn a shift a channel.

    Raises:
        ValueError: A size is not positive, or `groups` does not divide both numbers of channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(f"groups must divide {in_channels} and {out_channels} channels, but is {groups}.")
        super().__init__((out_channels, in_channels // groups, kernel_size, kernel_size), bias)
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `x` of shape (N, in, H, W)."""
        weight = weight_norm(self.weight_v, self.weight_g)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """Name the arguments in the module's repr."""
        out_channels, in_channels, kernel_size, _ = self.weight_v.shape
        return (
            f"{in_channels * self.groups}, {out_channels}, kernel_size={kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}"
        )


class WeightNormLinear(_WeightNorm):
    """A linear layer with weight normalisation; see `weight_norm`.

    Args:
        in_features: Size of the input (N, in).
        out_features: Size of the output (N, out).
        bias: Whether to learn a shift for each output.

    Raises:
        ValueError: A size is not positive.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__((out_features, in_features), bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` of shape (N, in) to (N, out)."""
        return F.linear(x, weight_norm(self.weight_v, self.weight_g), self.bias)

    def extra_repr(self) -> str:
        """Name the arguments in the module's repr."""
        out_features, in_features = self.weight_v.shape
        return f"{in_features}, {out_features}, bias={self.bias is not None}"


def _norm(v: Tensor) -> Tensor:
    """Return the Euclidean norm over all but the first dimension; the others are kept, with size 1."""
    v = v.to(working_dtype(v))
    return v.square().sum(tuple(range(1, v.dim())), keepdim=True).sqrt()
