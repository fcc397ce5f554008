"""Group normalisation, and instance normalisation, its case of one channel per group."""

from functools import partial

import torch
from torch import Tensor, nn

from lit_a1.layers.checks import check_channels, check_eps
from lit_a1.layers.normalize import normalize, per_channel


class GroupNorm(nn.Module):
    """Group normalisation of (N, C, H, W) activations (Wu & He, 2018, https://arxiv.org/abs/1803.08494).

    For image n, group g and channel c::

        y = gamma_c (x - mean_ng) / sqrt(var_ng + eps) + beta_c

    with mean and biased variance taken over the C/G channels of the group and over space, in two passes and in float32
    for half-precision inputs. The parameters, gamma in `weight` and beta in `bias`, have one value per channel, not per
    group. It does the same in training and evaluation, for any batch size. With one group it is layer normalisation
    over (C, H, W); with C groups it is `InstanceNorm2d`.

    Args:
        num_groups: Number of groups G of neighbouring channels.
        num_channels: Number of channels C, a multiple of G.
        eps: Added to the variance.

    Raises:
        ValueError: `num_groups` does not divide `num_channels`, either is not positive, or `eps` is negative; in
            `forward`, the input has another shape.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        if num_groups < 1 or num_channels < 1 or num_channels % num_groups:
            raise ValueError(
                f"num_groups must divide the number of channels, but {num_groups} does not divide {num_channels}."
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = check_eps(eps)
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` of shape (N, C, H, W), in any memory format, which the result keeps."""
        check_channels(x, self.num_channels)
        average = partial(_average_groups, num_groups=self.num_groups)
        return normalize(x, per_channel(self.weight), per_channel(self.bias), self.eps, (2, 3), average)[0]

    def extra_repr(self) -> str:
        """Name the arguments in the module's repr, as torch does: checkpoints name their layers by it."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine=True"


class InstanceNorm2d(GroupNorm):
    """Instance normalisation: each feature map of each image has its own mean and variance.

    Ulyanov et al., 2016, https://arxiv.org/abs/1607.08022. It is `GroupNorm` with one channel per group, and removes
    the contrast of each image. It learns a scale and a shift, so it can replace `BatchNorm2d`.

    Args:
        num_channels: Number of channels C.
        eps: Added to the variance.

    Raises:
        ValueError: `num_channels` is not positive, or `eps` is negative; in `forward`, a map has a single value.
    """

    def __init__(self, num_channels: int, eps: float = 1e-5) -> None:
        super().__init__(num_channels, num_channels, eps)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` of shape (N, C, H, W) with H x W > 1."""
        check_channels(x, self.num_channels)
        if x.shape[2] * x.shape[3] == 1:
            raise ValueError(f"Each feature map needs more than one value, but the input has shape {tuple(x.shape)}.")
        return super().forward(x)

    def extra_repr(self) -> str:
        """Name the arguments in the module's repr, as torch does: checkpoints name their layers by it."""
        return f"{self.num_channels}, eps={self.eps}, affine=True"


def _average_groups(x: Tensor, num_groups: int) -> Tensor:
    """Average the channels (N, C, 1, 1) of each group, by a product: compiled, an expanded view is slow to read."""
    if (size := x.shape[1] // num_groups) == 1:
        return x
    averaging = torch.block_diag(*[x.new_full((size, size), 1 / size)] * num_groups)
    with torch.autocast(x.device.type, enabled=False):
        return (x.flatten(1) @ averaging).view_as(x)
