"""Dropout of activations and of residual branches.

Both share one rule: dropped values become 0, and kept values are divided by 1 - p, so the expectation is unchanged
and evaluation needs no correction ("inverted" dropout). They differ in what is dropped together.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_part: tuple[int, int] | None = None  # set by `part_of_batch`


@contextmanager
def part_of_batch(start: int, total: int) -> Iterator[None]:
    """Inside the context, a batch is treated as the rows `start`, `start + 1`, ... of a batch of `total` rows.

    Random numbers are drawn for all rows, and those of the part are used. So several devices, or several parts of a
    batch in turn, drop what one device drops in one pass, if the generator starts from the same state each time.
    """
    global _part
    outer_part, _part = _part, (start, total)
    try:
        yield
    finally:
        _part = outer_part


class Dropout(nn.Module):
    """Drops each value on its own in training (Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html).

    With b_i ~ Bernoulli(1 - p)::

        y_i = b_i x_i / (1 - p)

    Args:
        p: Probability of dropping; if it is 1, all values become 0.

    Raises:
        ValueError: `p` is outside [0, 1].
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p must lie in [0, 1], but is {p}.")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` of shape (N, ...) with values dropped in training."""
        return _drop(x, self.p, like=x) if self.training and self.p else x

    def extra_repr(self) -> str:
        """Name the arguments in the module's repr."""
        return f"p={self.p}"


class StochasticDepth(Dropout):
    """Drops a residual branch with probability `p` in training, for each sample on its own; see `Dropout`.

    Used as `shortcut + StochasticDepth(p)(branch(x))`, which becomes the identity where the branch is dropped.

    Source: Huang et al., 2016, https://arxiv.org/abs/1603.09382.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` of shape (N, ...) with samples dropped in training."""
        one_a_sample = x[(slice(None), *[slice(1)] * (x.dim() - 1))]
        return _drop(x, self.p, like=one_a_sample) if self.training and self.p else x

    def extra_repr(self) -> str:
        """Name the arguments in the module's repr, as torchvision does: checkpoints name their layers by it."""
        return f"p={self.p}, mode='row'"


def _drop(x: Tensor, p: float, like: Tensor) -> Tensor:
    """Zero `x` with probability `p` and scale the rest, with one draw for each entry of `like`, a part of `x`."""
    start, total = _part or (0, len(x))
    # Uniform numbers in [0, 1) are several times as fast as `bernoulli_` on a CPU; bfloat16 has too few of them.
    draws = torch.rand((total, *like.shape[1:]), dtype=torch.float32, device=x.device)
    mask = draws[start : start + len(x)] >= p
    # A plain number, not a tensor in the dtype of `x`: 1 / (1 - p) rounded to bfloat16 would shift the expectation.
    return x * mask * (1 / (1 - p) if p < 1 else 0)
