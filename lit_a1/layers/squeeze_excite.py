"""Squeeze-and-excitation: feature maps weighted by the content of the whole image."""

import torch
from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """Weights each feature map by a gate that sees all of them (Hu et al., 2018, https://arxiv.org/abs/1709.01507).

    With z_c the mean of map c over space::

        s = sigmoid(W_2 relu(W_1 z + b_1) + b_2)          y_c = s_c x_c

    It adds next to no multiply-adds, as it works on one value a map.

    Shapes: (N, C, H, W) -> (N, C, H, W).

    Args:
        channels: Number of channels C.
        reduction: The hidden layer has max(8, C / reduction) units.

    Raises:
        ValueError: `channels` or `reduction` is not positive.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        if channels < 1 or reduction < 1:
            raise ValueError(f"channels and reduction must be positive, but are {channels} and {reduction}.")
        hidden = max(8, channels // reduction)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Weight `x` of shape (N, C, H, W)."""
        gate = self.excite(torch.relu(self.squeeze(x.mean((2, 3))))).sigmoid()
        return x * gate[:, :, None, None]
