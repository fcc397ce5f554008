"""Shared by the layers of this package: argument checks and the precision of the arithmetic."""

import torch
from torch import Tensor


def working_dtype(x: Tensor) -> torch.dtype:
    """Return float32 for half-precision inputs; otherwise the input's own dtype, float32 or float64."""
    return torch.promote_types(x.dtype, torch.float32)


def check_channels(x: Tensor, channels: int) -> None:
    """Raise ValueError unless `x` has the shape (N, `channels`, H, W)."""
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(f"Expected an input of shape (N, {channels}, H, W), but it has shape {tuple(x.shape)}.")


def check_eps(eps: float) -> float:
    """Return `eps`, or raise ValueError when it is negative."""
    if not eps >= 0:
        raise ValueError(f"eps must not be negative, but is {eps}.")
    return eps
