"""Layer normalisation, over the last dimensions or over the channels of each position."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from lit_a1.layers.checks import check_channels, check_eps
from lit_a1.layers.standardize import per_channel, standardize


class LayerNorm(nn.Module):
    """Layer normalisation of each sample over its last dimensions (Ba et al., 2016, https://arxiv.org/abs/1607.06450).

    For each sample::

        y = gamma * (x - mean) / sqrt(var + eps) + beta

    with mean and biased variance taken over the dimensions of `normalized_shape`, in two passes and in float32 for
    half-precision inputs. It does the same in training and evaluation, for any batch size. Unlike in the other norms,
    gamma and beta have one value for each element, not for each channel.

    Args:
        normalized_shape: Sizes of the last dimensions; a single number means one dimension.
        eps: Added to the variance.
        affine: Whether to learn a scale `weight` (gamma) and a shift `bias` (beta), each of shape `normalized_shape`.

    Raises:
        ValueError: A size is not positive, or `eps` is negative; in `forward`, the input has other last dimensions.
    """

    def __init__(self, normalized_shape: int | Sequence[int], eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        if not shape or min(shape) < 1:
            raise ValueError(f"normalized_shape must hold positive sizes, but is {normalized_shape}.")
        self.normalized_shape = shape
        self.eps = check_eps(eps)
        self.weight = nn.Parameter(torch.ones(shape)) if affine else None
        self.bias = nn.Parameter(torch.zeros(shape)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` of shape (..., *normalized_shape)."""
        shape = self.normalized_shape
        if x.shape[-len(shape) :] != shape:
            sizes = ", ".join(map(str, shape))
            raise ValueError(f"Expected an input of shape (..., {sizes}), but it has {tuple(x.shape)}.")
        average = partial(_average, dims=tuple(range(-len(shape), 0)))
        return standardize(x, self.weight, self.bias, self.eps, (), average)[0]

    def extra_repr(self) -> str:
        """Name the arguments in the module's repr."""
        return f"{self.normalized_shape}, eps={self.eps}, affine={self.weight is not None}"


class LayerNorm2d(LayerNorm):
    """Layer normalisation of (N, C, H, W) over C at each position (Liu et al., 2022, https://arxiv.org/abs/2201.03545).

    Equal to `LayerNorm(C)` on (N, H, W, C), without moving the channels. Averaging over space too would be `GroupNorm`
    with one group.

    Args:
        num_channels: Number of channels C.
        eps: Added to the variance.
        affine: Whether to learn a scale `weight` and a shift `bias`, each of shape (C,).

    Raises:
        ValueError: `num_channels` is not positive, or `eps` is negative.
    """

    def __init__(self, num_channels: int, eps: float = 1e-6, affine: bool = True) -> None:
        super().__init__(num_channels, eps, affine)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` of shape (N, C, H, W)."""
        check_channels(x, *self.normalized_shape)
        average = partial(_average, dims=(1,))
        return standardize(x, per_channel(self.weight), per_channel(self.bias), self.eps, (), average)[0]


def _average(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    return x.mean(dims, keepdim=True)
