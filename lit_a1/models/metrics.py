"""What a stage measures."""

import torch
from torch import Tensor
from torchmetrics import Metric


class Mean(Metric):
    """The weighted mean of numbers, over batches and devices; NaN where one of them is.

    torchmetrics' `MeanMetric` leaves NaN out, so that the loss of a network that diverges in the middle of an epoch
    would be that of the batches before; and to look for NaN it makes the host wait for the device.
    """

    full_state_update = False
    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "weight"):
            self.add_state(name, torch.zeros(()), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: float = 1.0) -> None:
        """Adds a number of shape (); nothing, which may be the mean of no images, where it weighs nothing."""
        if weight:
            self.total += value.float() * weight
            self.weight += weight

    def compute(self) -> Tensor:
        """The mean of all that was added, of shape ()."""
        return self.total / self.weight
