"""Dropout of activations and of residual branches.

Both share one rule: dropped values become 0, and kept values are divided by 1 - p, so the expectation is unchanged
and evaluation needs no correction ("inverted" dropout). They differ in what is dropped together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lit_a1.layers.checks import check_probability

_part: tuple[int, int] | None = None  # set by `part_of_batch`


@contextmanager
def part_of_batch(start: int, total: int) -> Iterator[None]:
    """Inside the context, a batch counts as the rows from `start` on of a batch of `total` rows.

    Random numbers are drawn for all rows, and those of the part are used. So several devices, or several parts of a
    batch in turn, drop what one device drops in one pass, if the generator starts from the same state each time.
    """
    global _part
    outer_part, _part = _part, (start, total)
    try:
        yield
    finally:
        _part = outer_part


def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Drop each value on its own (Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html).

    With b_i ~ Bernoulli(1 - p)::

        y_i = b_i x_i / (1 - p)

    Args:
        x: Activations of any shape.
        p: Probability of dropping.
        training: Whether to drop at all; if not, `x` itself is returned.

    Returns:
        A tensor of the shape and dtype of `x`; all zeros if p is 1.

    Raises:
        ValueError: `p` is outside [0, 1].
    """
    return _drop(x, p, training, like=x)


def stochastic_depth(x: Tensor, p: float, training: bool = True, mode: str = "row") -> Tensor:
    """Drop a residual branch (Huang et al., 2016, https://arxiv.org/abs/1603.09382): the block becomes the identity.

    Args:
        x: Output of the branch, of shape (N, ...), before it is added to the shortcut.
        p: Probability of dropping the branch.
        training: Whether to drop at all.
        mode: "row" draws for each sample, "batch" once for all of them.

    Returns:
        A tensor of the shape and dtype of `x`.

    Raises:
        ValueError: `p` is outside [0, 1], or `mode` is neither "row" nor "batch".
    """
    is_once = _check_mode(mode) == "batch"
    rows = slice(1) if is_once else slice(None)
    return _drop(x, p, training, like=x[(rows, *[slice(1)] * (x.dim() - 1))], is_once=is_once)


class Dropout(nn.Module):
    """Drops each value with probability `p` in training; see `dropout` for formula and errors."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = check_probability(p)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`, of any shape, with values dropped in training."""
        return dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        """Name the arguments in the module's repr."""
        return f"p={self.p}"


class StochasticDepth(Dropout):
    """Drops a residual branch with probability `p` in training; see `stochastic_depth` for `mode` and errors.

    Used as `shortcut + StochasticDepth(p)(branch(x))`.
    """

    def __init__(self, p: float = 0.5, mode: str = "row") -> None:
        super().__init__(p)
        self.mode = _check_mode(mode)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` of shape (N, ...) with samples dropped in training."""
        return stochastic_depth(x, self.p, self.training, self.mode)

    def extra_repr(self) -> str:
        """Name the arguments in the module's repr."""
        return f"p={self.p}, mode={self.mode!r}"


def _drop(x: Tensor, p: float, training: bool, like: Tensor, is_once: bool = False) -> Tensor:
    """Zero `x` with probability `p` and scale the rest, with one draw for each entry of `like`, a part of `x`.

    `is_once` says that `like` is one row, which stands for all rows.
    """
    check_probability(p)
    if not training or p == 0:
        return x
    # Uniform numbers in [0, 1) are several times as fast as `bernoulli_` on a CPU; bfloat16 has too few of them.
    draws = torch.empty_like(like, dtype=torch.float32)
    if _part is None or is_once:
        draws.uniform_()
    else:
        start, total = _part
        shape = (total, *draws.shape[1:])
        draws = torch.empty_strided(shape, draws.stride(), device=x.device).uniform_()[start : start + len(x)]
    mask = draws >= p
    # A plain number, not a tensor in the dtype of `x`: 1 / (1 - p) rounded to bfloat16 would shift the expectation.
    return x * mask * (1 / (1 - p) if p < 1 else 0)


def _check_mode(mode: str) -> str:
    if mode not in ("row", "batch"):
        raise ValueError(f"mode must be 'row' or 'batch', but is {mode!r}.")
    return mode
