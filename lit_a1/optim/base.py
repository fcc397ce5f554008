"""Shared by the hand-written optimisers: the step over parameter groups, and argument checks."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def check_number(name: str, value: float, below: float = math.inf) -> None:
    """Refuses a `value` outside [0, below).

    Raises:
        TypeError: `value` is not a real number.
        ValueError: `value` is out of range, infinite or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not 0 <= value < below:
        raise ValueError(f"{name} must be in [0, {below:g}), got {value}")


def is_matrix(param: Tensor) -> bool:
    """Whether a parameter has several numbers for each output; biases and gains have one, (K,) or (K,1,1,1)."""
    return param.ndim > 1 and param.numel() > param.shape[0]


class GroupOptimizer(Optimizer, ABC):
    """An optimiser that updates all the tensors of a parameter group at once (`torch._foreach_*`).

    On a GPU one kernel then updates many tensors, where a loop would launch several for each tensor.
    A subclass defines `_check_group` and `_update`. Parameters without a gradient keep their value and state.
    """

    @abstractmethod
    def _check_group(self, group: dict[str, Any]) -> None:
        """Raises TypeError or ValueError if a hyperparameter of `group` is out of range."""

    @abstractmethod
    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        """Updates `params` in place from `grads`, which it must not change."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group of parameters, which may have its own hyperparameters.

        Raises:
            TypeError: a hyperparameter has the wrong type.
            ValueError: a hyperparameter is out of range, or a parameter is already in another group.
        """
        self._check_group(self.defaults | param_group)
        super().add_param_group(param_group)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resumes from a `state_dict`, hyperparameters included.

        Raises:
            TypeError: a hyperparameter has the wrong type.
            ValueError: a hyperparameter is out of range, or a parameter's state has another shape than the parameter.
        """
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            self._check_group(group)
            check_number("steps_taken", group.get("steps_taken", 0))
        for param, state in self.state.items():
            for name, value in state.items():
                if isinstance(value, Tensor) and value.ndim and value.shape != param.shape:
                    raise ValueError(f"{name} has the shape {tuple(value.shape)}, its parameter {tuple(param.shape)}")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Performs one update.

        Args:
            closure: clears the gradients, computes the loss, backpropagates and returns the loss; optional.

        Returns:
            What the closure returned, or None without one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            pairs = [(param, param.grad) for param in group["params"] if param.grad is not None]
            if pairs:
                params, grads = map(list, zip(*pairs, strict=True))
                self._update(group, params, grads)
        return loss


def decay_weights(group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> list[Tensor]:
    """Applies the weight decay d of `group`, coupled or decoupled.

    Coupled (an L2 penalty): g <- g + d p, in new tensors, so `.grad` stays unchanged. Decoupled (Loshchilov &
    Hutter 2019): p <- (1 - lr d) p, in place.

    Returns:
        The gradients to use from here on.
    """
    decay = group["weight_decay"]
    if decay == 0:
        return grads
    if group["decoupled"]:
        torch._foreach_mul_(params, 1 - group["lr"] * decay)
        return grads
    return list(torch._foreach_add(grads, params, alpha=decay))
