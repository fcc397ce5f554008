"""Learning rate schedules: pure functions of the step, so a resumed run cannot lose its place."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from torch.optim import Optimizer

from lit_a1.optim.base import check_number

ScheduleName = Literal["constant", "cosine", "linear", "one_cycle"]
SCHEDULES: tuple[str, ...] = get_args(ScheduleName)
ONE_CYCLE_START = 1 / 25  # fast.ai's and torch's default


@dataclass(frozen=True)
class Schedule:
    """The learning rate of each step, as a factor of the peak rate.

    With step s = 0, 1, ..., T total steps, W warm-up steps and final factor f::

        name          s < W                       W <= s < T, with u = (s - W) / (T - W)
        constant      (s + 1) / W                 1
        linear        (s + 1) / W                 1 + (f - 1) u
        cosine        (s + 1) / W                 cos(1, f, u)
        one_cycle     cos(1/25, 1, s / (W - 1))   cos(1, f, (s - W + 1) / (T - W))

        cos(a, b, u) = b + (a - b) (1 + cos(pi u)) / 2, which goes smoothly from a (u = 0) to b (u = 1)

    The first step never has rate zero, which would waste it. From step T on the factor is f, or 1 for `constant`.
    `one_cycle` is the two-phase form of fast.ai, and of torch's OneCycleLR without its cycle of the momentum (there f
    is 4e-6 by default): at step W - 1 it is 1, at step T - 1 it is f. It needs a long warm-up, about 30% of the steps;
    the others need only a few percent.

    Args:
        name: one of the names above.
        total_steps: T, optimiser steps of the whole run, at least 1.
        warmup_steps: W, in [0, T]; at least 1 for `one_cycle`.
        final_factor: f, in [0, 1); `constant` does not use it.

    Raises:
        TypeError: a number of steps is not an int, or `final_factor` is not a number.
        ValueError: the name is unknown or a number is out of range.

    Sources: Goyal et al. 2017, "Accurate, large minibatch SGD" (warm-up); Loshchilov & Hutter 2017, "SGDR: stochastic
    gradient descent with warm restarts" (cosine, here without restarts); Smith & Topin 2018, "Super-convergence: very
    fast training of neural networks using large learning rates" (one cycle, there piecewise linear); Howard & Gugger
    2020, "fastai: a layered API for deep learning" (its two cosine phases).
    """

    name: str
    total_steps: int
    warmup_steps: int = 0
    final_factor: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {self.name!r}")
        for field in ("total_steps", "warmup_steps"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{field} must be an int, got {value!r}")
        if self.total_steps < 1:
            raise ValueError(f"total_steps must be at least 1, got {self.total_steps}")
        least = 1 if self.name == "one_cycle" else 0
        if not least <= self.warmup_steps <= self.total_steps:
            raise ValueError(
                f"warmup_steps of {self.name} must be in [{least}, total_steps={self.total_steps}], "
                f"got {self.warmup_steps}"
            )
        check_number("final_factor", self.final_factor, below=1.0)

    def __call__(self, step: int) -> float:
        """Returns the factor, in [0, 1], of update number `step`, counted from 0.

        Raises:
            ValueError: `step` is negative.
        """
        if step < 0:
            raise ValueError(f"step must be at least 0, got {step}")
        total, warmup, final = self.total_steps, self.warmup_steps, self.final_factor
        if step >= total:
            return 1.0 if self.name == "constant" else final
        if self.name == "one_cycle":
            if step < warmup - 1:
                return _cosine(ONE_CYCLE_START, 1.0, step / (warmup - 1))
            # At W = T the rate never falls: the last step is the peak.
            return _cosine(1.0, final, (step - warmup + 1) / max(total - warmup, 1))
        if step < warmup:
            return (step + 1) / warmup
        if self.name == "constant":
            return 1.0
        progress = (step - warmup) / (total - warmup)
        return _cosine(1.0, final, progress) if self.name == "cosine" else 1.0 + (final - 1.0) * progress


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * progress)) / 2.0


def set_learning_rate(optimizer: Optimizer, factor: float) -> None:
    """Sets the rate of each parameter group to `factor` times its own peak rate.

    The peak is the group's rate at the first call. It is kept as `initial_lr` (torch's name for it) and saved in the
    optimiser's state dict.

    Args:
        optimizer: any optimiser, or Lightning's wrapper around one.
        factor: the value of a `Schedule` for the next step.
    """
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
