"""The metric of all stages."""

import torch
from torch import Tensor
from torchmetrics import Metric


class Mean(Metric):
    """The weighted mean of numbers, over batches and devices; NaN if one of them is NaN.

    torchmetrics' `MeanMetric` skips NaN, so if a network diverges in the middle of an epoch, it would report the loss
    of the batches before. It also makes the host wait for the device to look for NaN.
    """

    full_state_update = False
    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "weight"):
            self.add_state(name, torch.zeros(()), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: float = 1.0) -> None:
        """Adds a number of shape (), unless its weight is 0: it may then be the mean of no images."""
        if weight:
            self.total += value.float() * weight
            self.weight += weight

    def compute(self) -> Tensor:
        """The mean of all that was added, of shape ()."""
        return self.total / self.weight
