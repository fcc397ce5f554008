"""Weight normalisation: the length of each unit's weight vector is learnt separately from its direction."""

from typing import Any

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


class WeightNormConv2d(nn.Conv2d):
    """`nn.Conv2d` with the same initial weights, and weight normalisation; see `weight_norm`.

    Unlike the other norms of this package it does not change the activations, costs next to nothing, and replaces the
    convolution instead of following it.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        weight = self.weight.detach()
        del self.weight
        self.weight_v, self.weight_g = nn.Parameter(weight), nn.Parameter(_norm(weight))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `x` of shape (N, C, H, W)."""
        return self._conv_forward(x, weight_norm(self.weight_v, self.weight_g), self.bias)


def _norm(v: Tensor) -> Tensor:
    """Return the Euclidean norm over all but the first dimension; the others are kept, with size 1."""
    v = v.to(working_dtype(v))
    return v.square().sum(tuple(range(1, v.dim())), keepdim=True).sqrt()
