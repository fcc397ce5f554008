"""Layer normalisation of images, over the channels of each position."""

import torch
from torch import Tensor, nn

from lit_a1.layers.checks import check_channels, check_eps
from lit_a1.layers.normalize import normalize, per_channel


class LayerNorm2d(nn.Module):
    """Layer normalisation of (N, C, H, W) over C at each position (Ba et al., 2016, https://arxiv.org/abs/1607.06450).

    For each image and position, and channel c::

        y_c = gamma_c (x_c - mean) / sqrt(var + eps) + beta_c

    with mean and biased variance taken over the channels (Liu et al., 2022, https://arxiv.org/abs/2201.03545), in two
    passes and in float32 for half-precision inputs. The parameters, gamma in `weight` and beta in `bias`, have the
    shape (C,). It does the same in training and evaluation, for any batch size. Averaging over space too would be
    `GroupNorm` with one group.

    Args:
        num_channels: Number of channels C.
        eps: Added to the variance.

    Raises:
        ValueError: `num_channels` is not positive, or `eps` is negative; in `forward`, the input has another shape.
    """

    def __init__(self, num_channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        if num_channels < 1:
            raise ValueError(f"num_channels must be positive, but is {num_channels}.")
        self.num_channels = num_channels
        self.eps = check_eps(eps)
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` of shape (N, C, H, W), in any memory format, which the result keeps."""
        check_channels(x, self.num_channels)
        return normalize(x, per_channel(self.weight), per_channel(self.bias), self.eps, (), _average_channels)[0]

    def extra_repr(self) -> str:
        """Name the arguments in the module's repr, as torch does: checkpoints name their layers by it."""
        return f"({self.num_channels},), eps={self.eps}, affine=True"


def _average_channels(x: Tensor) -> Tensor:
    return x.mean(1, keepdim=True)
