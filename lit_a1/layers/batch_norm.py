"""Batch normalisation, on one process or synchronised over several."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lit_a1.layers.checks import check_channels, check_eps, working_dtype
from lit_a1.layers.normalize import normalize, per_channel, scale_and_shift


class BatchNorm2d(nn.Module):
    """Batch normalisation of (N, C, H, W) activations (Ioffe & Szegedy, 2015, https://arxiv.org/abs/1502.03167).

    In training, with m = N H W values per channel::

        mean = sum(x) / m          var = sum((x - mean)^2) / m          y = gamma (x - mean) / sqrt(var + eps) + beta

    The running statistics move towards the mean and the unbiased var m / (m - 1) by the fraction `momentum`. In
    evaluation they replace mean and var. Statistics take two passes (mean, then squared deviations), in float32 for
    half-precision inputs, because E[x^2] - E[x]^2 cancels if the mean is large.

    The parameters, gamma in `weight` and beta in `bias`, have the shape (C,). They and the buffers have the names of
    `torch.nn.BatchNorm2d`, so state dicts are interchangeable. The other norms of this package use no statistics of
    other images, so they do the same in training and evaluation: `InstanceNorm2d` averages over space,
    `GroupNorm` over space and the channels of a group, `LayerNorm2d` over channels.

    Args:
        num_features: Number of channels C.
        eps: Added to the variance.
        momentum: Weight of the latest batch in the running statistics.
        sync: Whether the batches of all processes of the default process group count as one in training. They may
            differ in size. Without such a group, or in a group of one, it changes nothing.

    Raises:
        ValueError: `num_features` is not positive, `eps` is negative, or `momentum` is outside [0, 1]; in `forward`,
            the input has another shape, or only one value per channel in training.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, sync: bool = False) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features must be positive, but is {num_features}.")
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must lie in [0, 1], but is {momentum}.")
        self.num_features = num_features
        self.eps = check_eps(eps)
        self.momentum = momentum
        self.sync = sync
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` of shape (N, C, H, W), in any memory format; in training also update the running statistics."""
        check_channels(x, self.num_features)
        weight, bias = per_channel(self.weight), per_channel(self.bias)
        if not self.training:
            mean = self.running_mean.to(working_dtype(x)).view(1, -1, 1, 1)
            scale = (self.running_var.to(mean.dtype) + self.eps).rsqrt().view_as(mean) * weight
            return scale_and_shift(x.to(scale.dtype), scale, bias - mean * scale).to(x.dtype)
        count, average = _count_values(x, self.sync and _world_size() > 1)
        y, mean, var = normalize(x, weight, bias, self.eps, (0, 2, 3), average)
        unbiased_var = var * (count / (count - 1))
        self.running_mean.lerp_(mean.flatten().to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased_var.flatten().to(self.running_var.dtype), self.momentum)
        self.num_batches_tracked.add_(1)
        return y

    def extra_repr(self) -> str:
        """Name the arguments in the module's repr, as torch does: checkpoints name their layers by it."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine=True, sync={self.sync}"


@torch.no_grad()
def recompute_statistics(net: nn.Module, batches: Iterable[Tensor]) -> None:
    """Recomputes the running statistics of every batch norm in `net`, as plain means over `batches`.

    The statistics from training describe augmented images of the training size, under weights that were still changing.
    Recomputing them is the "precise" batch norm of Wu and Johnson (2021, "Rethinking 'Batch' in BatchNorm",
    arXiv:2105.07576). Everything else, such as weights and gradients, stays unchanged. A net without batch norm is left
    alone.

    Args:
        net: any network, in evaluation mode.
        batches: inputs of the net, such as images (N, C, H, W); all batches have the same weight. Each of several
            processes computes the statistics from the same batches.
    """
    norms = [module for module in net.modules() if isinstance(module, BatchNorm2d)]
    if not norms:
        return
    states = [(norm.training, norm.momentum, norm.sync, norm.num_batches_tracked.clone()) for norm in norms]
    for count, batch in enumerate(batches, start=1):
        for norm in norms:
            norm.training, norm.momentum, norm.sync = True, 1 / count, False
        net.forward(batch)  # not `net(batch)`: compiling it for a few batches does not pay
    for norm, (training, momentum, sync, batches_tracked) in zip(norms, states, strict=True):
        norm.training, norm.momentum, norm.sync = training, momentum, sync
        norm.num_batches_tracked.copy_(batches_tracked)


def _count_values(x: Tensor, sync: bool) -> tuple[float | Tensor, Callable[[Tensor], Tensor]]:
    """Return the number of values per channel in the whole batch, and a function that averages this process's means."""
    values = x.numel() / x.shape[1]
    if values < (1 if sync else 2):
        raise ValueError(f"Training needs more than one value per channel, but the input has shape {tuple(x.shape)}.")
    if not sync:
        return values, _identity
    count = torch.full((1,), values, dtype=working_dtype(x), device=x.device)
    dist.all_reduce(count)
    return count, partial(_average_processes, share=values / count)


def _world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _average_processes(mean: Tensor, share: Tensor) -> Tensor:
    """Average over all processes, each weighted by its share of the values."""
    total = mean * share
    dist.all_reduce(total)
    return total


def _identity(mean: Tensor) -> Tensor:
    return mean
