"""Adam, and with decoupled weight decay AdamW."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from lit_a1.optim.base import GroupOptimizer, check_number, decay_weights


def adam_step(
    states: list[dict[str, Any]],
    params: list[Tensor],
    grads: list[Tensor],
    lr: float,
    betas: tuple[float, float],
    eps: float,
) -> None:
    """Updates `params` and their `states` (empty at first) in place by the formulas of `Adam`, without weight decay."""
    beta1, beta2 = betas
    for param, state in zip(params, states, strict=True):
        if not state:
            state.update(step=0, exp_avg=torch.zeros_like(param), exp_avg_sq=torch.zeros_like(param))
        state["step"] += 1
    means = [state["exp_avg"] for state in states]
    squares = [state["exp_avg_sq"] for state in states]
    # Each parameter has its own t: it lags behind if the parameter had no gradient for a while.
    step_sizes = [-lr / (1 - beta1 ** state["step"]) for state in states]
    root_corrections = [math.sqrt(1 - beta2 ** state["step"]) for state in states]

    torch._foreach_lerp_(means, grads, 1 - beta1)
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, grads, grads, 1 - beta2)
    denominators = torch._foreach_sqrt(squares)
    torch._foreach_div_(denominators, root_corrections)
    torch._foreach_add_(denominators, eps)
    torch._foreach_addcdiv_(params, means, denominators, step_sizes)


class Adam(GroupOptimizer):
    """Adam: steps scaled by running averages of the gradient and of its square.

    With gradient g, and t = 1 at a parameter's first update, after weight decay::

        m <- beta1 m + (1 - beta1) g          (m = 0 at first)
        v <- beta2 v + (1 - beta2) g^2        (v = 0 at first)
        p <- p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    Dividing by 1 - beta^t corrects for the averages' start at zero.

    Weight decay d is coupled or decoupled::

        g <- g + d p          or          p <- (1 - lr d) p

    Coupled decay is divided by sqrt(v) like any gradient, so the weights with the largest gradients are decayed least.
    Decoupled decay shrinks all weights alike.

    State of each parameter: `exp_avg` (m) and `exp_avg_sq` (v), of its shape, and `step` (t), an int.

    Args:
        params: parameters, or groups of them (dicts), each of which may have its own `lr`, `weight_decay` ...
        lr: learning rate, in [0, inf).
        betas: (beta1, beta2), each in [0, 1).
        eps: added to the denominator, in [0, inf).
        weight_decay: in [0, inf).
        decoupled: shrink the parameters themselves instead of adding to the gradient (AdamW).

    Raises:
        TypeError: a hyperparameter is not a number.
        ValueError: a hyperparameter is out of range, or `betas` are not two numbers.

    Sources: Kingma & Ba 2015, "Adam: a method for stochastic optimization"; Loshchilov & Hutter 2019, "Decoupled
    weight decay regularization".
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "decoupled": decoupled}
        super().__init__(params, defaults)

    def _check_group(self, group: dict[str, Any]) -> None:
        check_number("lr", group["lr"])
        check_number("eps", group["eps"])
        check_number("weight_decay", group["weight_decay"])
        if len(group["betas"]) != 2:
            raise ValueError(f"betas must be two numbers, got {group['betas']}")
        for name, beta in zip(("betas[0]", "betas[1]"), group["betas"], strict=True):
            check_number(name, beta, below=1.0)

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        states = [self.state[param] for param in params]
        adam_step(states, params, decay_weights(group, params, grads), group["lr"], group["betas"], group["eps"])
