"""The global norm of the gradients, and clipping by it."""

from collections.abc import Iterable

import torch
from torch import Tensor

from lit_a1.optim.base import check_number


def _gradients(params: Iterable[Tensor]) -> list[Tensor]:
    return [param.grad for param in params if param.grad is not None]


@torch.no_grad()
def gradient_norm(params: Iterable[Tensor]) -> Tensor:
    """Computes the L2 norm of all gradients taken as one vector, sqrt(sum of all |g|^2).

    Args:
        params: parameters on one device; those without a gradient are skipped.

    Returns:
        A tensor of shape () on the gradients' device, so the host need not wait; a zero on the CPU if there are no
        gradients.
    """
    grads = _gradients(params)
    if not grads:
        return torch.zeros(())
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))


@torch.no_grad()
def clip_gradient_norm_(params: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scales all gradients in place by min(1, max_norm / (|g| + 1e-6)), which keeps their direction.

    A norm that is infinite or NaN leaves useless gradients, zero or NaN: check the returned norm if that may happen.

    Args:
        params: parameters on one device; those without a gradient are skipped.
        max_norm: the bound, in [0, inf).

    Returns:
        The norm before clipping, as from `gradient_norm`.

    Raises:
        TypeError: `max_norm` is not a number.
        ValueError: `max_norm` is negative, infinite or NaN.

    Source: Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural networks".
    """
    check_number("max_norm", max_norm)
    params = list(params)
    norm = gradient_norm(params)
    if grads := _gradients(params):
        # Multiplying by 1 costs less than asking the device whether the norm is too large.
        torch._foreach_mul_(grads, (max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm
