"""Sharpness-aware minimisation: takes the gradient where the loss is highest nearby."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lit_a1.optim.base import check_number
from lit_a1.optim.gradients import gradient_norm


@contextmanager
def sam_perturbation(net: nn.Module, radius: float) -> Iterator[None]:
    """Moves the weights of `net` uphill along their gradient while the context lasts.

    The step is w <- w + radius g / (|g| + 1e-12), with the norm of all gradients as one vector. To first order, it
    leads to the highest loss within the distance `radius`. The optimiser then steps from the old weights with the
    gradient taken there, which leads to minima that are flat as well as low::

        loss(net(x)).backward()              # gradients at w
        with sam_perturbation(net, radius):
            optimizer.zero_grad()
            loss(net(x)).backward()          # gradients uphill of w
        optimizer.step()                     # from w

    After the context, even after an error, parameters and buffers are restored bit for bit (the second pass moved the
    running statistics). Gradients are left as they are.

    Args:
        net: has gradients; parameters without one stay where they are.
        radius: the distance, in [0, inf).

    Raises:
        TypeError: `radius` is not a number.
        ValueError: `radius` is negative, infinite or NaN.

    Source: Foret et al. 2021, "Sharpness-aware minimization for efficiently improving generalization"
    (arXiv:2010.01412), equations 2 and 3; p = 2.
    """
    check_number("radius", radius)
    params: list[Tensor] = [param for param in net.parameters() if param.grad is not None]
    tensors = [*params, *net.buffers()]
    with torch.no_grad():
        copies = [tensor.detach().clone() for tensor in tensors]
        if params:
            grads = [param.grad for param in params if param.grad is not None]
            torch._foreach_add_(params, list(torch._foreach_mul(grads, radius / (gradient_norm(params) + 1e-12))))
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, old in zip(tensors, copies, strict=True):
                tensor.copy_(old)
