"""Standardises pictures: the first layer of every network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Standardize(nn.Module):
    """Maps pictures in [0,1] to zero mean and unit variance: y = (x - mean) / std, channel by channel.

    Shapes: (N,C,H,W) -> (N,C,H,W). The constants are those of the training pictures and travel in the checkpoint.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or min(std) <= 0:
            raise ValueError(f"mean and std need one value a channel, std above 0; got mean={mean}, std={std}")
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Standardises pictures (N,C,H,W)."""
        return (pictures - self.mean) / self.std
