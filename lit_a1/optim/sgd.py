"""Stochastic gradient descent with momentum, Nesterov's variant and weight decay."""

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from lit_a1.optim.base import GroupOptimizer, check_number, decay_weights


class SGD(GroupOptimizer):
    """Stochastic gradient descent.

    With parameters p, gradient g, momentum m and decay d::

        g <- g + d p                             coupled decay,
        p <- (1 - lr d) p                        or decoupled decay (SGDW)
        b <- m b + g                             momentum (b = 0 at first)
        s = g + m b (Nesterov), b (momentum) or g (neither)
        p <- p - lr s

    This is torch's form, in which the rate multiplies the whole step. In Sutskever's form the rate enters the buffer,
    so the two differ while the rate changes. A constant gradient moves a parameter by lr g / (1 - m) a step, so a rate
    that suits `momentum=0` is about ten times too high for `momentum=0.9`. As in torch's AdamW, decoupled decay follows
    the learning rate, schedule included.

    State of each parameter: `momentum_buffer`, of its shape.

    Args:
        params: parameters, or groups of them (dicts), each of which may have its own `lr`, `weight_decay` ...
        lr: learning rate, in [0, inf).
        momentum: in [0, 1).
        nesterov: look ahead along the momentum; needs `momentum` > 0.
        weight_decay: in [0, inf).
        decoupled: shrink the parameters themselves instead of adding to the gradient.

    Raises:
        TypeError: a hyperparameter is not a number.
        ValueError: a hyperparameter is out of range, or `nesterov` comes without momentum.

    Sources: Polyak 1964 (momentum); Sutskever, Martens, Dahl & Hinton 2013, "On the importance of initialization and
    momentum in deep learning"; Loshchilov & Hutter 2019, "Decoupled weight decay regularization".
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "nesterov": nesterov}
        super().__init__(params, defaults | {"weight_decay": weight_decay, "decoupled": decoupled})

    def _check_group(self, group: dict[str, Any]) -> None:
        check_number("lr", group["lr"])
        check_number("momentum", group["momentum"], below=1.0)
        check_number("weight_decay", group["weight_decay"])
        if group["nesterov"] and group["momentum"] == 0:
            raise ValueError("nesterov=True needs a momentum above 0, got momentum=0")

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        momentum = group["momentum"]
        grads = decay_weights(group, params, grads)
        if momentum == 0:
            torch._foreach_add_(params, grads, alpha=-group["lr"])
            return
        buffers = self._momentum_buffers(params, grads, momentum)
        if group["nesterov"]:  # two steps need no memory for their sum
            torch._foreach_add_(params, grads, alpha=-group["lr"])
            torch._foreach_add_(params, buffers, alpha=-group["lr"] * momentum)
        else:
            torch._foreach_add_(params, buffers, alpha=-group["lr"])

    def _momentum_buffers(self, params: list[Tensor], grads: list[Tensor], momentum: float) -> list[Tensor]:
        """Updates b and returns it: the state's own tensors, of the parameters' shapes."""
        states = [self.state[param] for param in params]
        for param, state in zip(params, states, strict=True):
            if not state:
                state["momentum_buffer"] = torch.zeros_like(param)
        buffers = [state["momentum_buffer"] for state in states]
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, grads)
        return buffers
