"""Optimisers by name, and their parameter groups."""

from typing import Any, Literal, get_args

from torch import nn
from torch.optim.optimizer import ParamsT

from lit_a1.optim.adam import Adam
from lit_a1.optim.base import GroupOptimizer, is_matrix
from lit_a1.optim.muon import Muon
from lit_a1.optim.sgd import SGD

OptimizerName = Literal["sgd", "sgdw", "adam", "adamw", "muon"]
OPTIMIZERS: tuple[str, ...] = get_args(OptimizerName)


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Splits the trainable parameters of `module` into those with and without weight decay.

    Biases and the scales and shifts of norms (all with one number for each output) have none: decay does not regularise
    them, it only moves them.

    Args:
        module: the network.
        weight_decay: of the first group.

    Returns:
        Two groups for an optimiser, the decayed first, each in the order of `module.parameters()`; one may be empty.

    Raises:
        ValueError: `module` has no trainable parameter.

    Sources: Goyal et al. 2017, "Accurate, large minibatch SGD"; He et al. 2019, "Bag of tricks for image
    classification with convolutional neural networks".
    """
    params = [param for param in module.parameters() if param.requires_grad]
    if not params:
        raise ValueError(f"{type(module).__name__} has no trainable parameter")
    return [
        {"params": [param for param in params if is_matrix(param)], "weight_decay": weight_decay},
        {"params": [param for param in params if not is_matrix(param)], "weight_decay": 0.0},
    ]


def make_optimizer(
    name: str,
    params: ParamsT,
    lr: float,
    *,
    momentum: float = 0.9,
    nesterov: bool = True,
    weight_decay: float = 0.0,
) -> GroupOptimizer:
    """Builds an optimiser from plain numbers and strings.

    Args:
        name: "sgd" or "adam", whose weight decay is coupled, or "sgdw", "adamw" or "muon", whose decay is decoupled.
        params: parameters, or groups of them, see `parameter_groups`.
        lr: learning rate.
        momentum: for "sgd", "sgdw" and "muon"; the first beta of the others, whose second is 0.999.
        nesterov: for "sgd", "sgdw" and "muon".
        weight_decay: for groups without their own.

    Raises:
        TypeError: a hyperparameter is not a number.
        ValueError: the name is unknown or a hyperparameter is out of range.
    """
    if name in ("sgd", "sgdw"):
        return SGD(params, lr, momentum, nesterov, weight_decay, decoupled=name == "sgdw")
    if name == "muon":
        return Muon(params, lr, momentum, nesterov, weight_decay)
    if name in ("adam", "adamw"):
        return Adam(params, lr, (momentum, 0.999), weight_decay=weight_decay, decoupled=name == "adamw")
    raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {name!r}")
