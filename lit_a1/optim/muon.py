"""Muon: momentum steps on weights, with singular values brought near one by Newton-Schulz iterations."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.optimizer import ParamsT

from lit_a1.optim.adam import adam_step
from lit_a1.optim.base import decay_weights, is_matrix
from lit_a1.optim.sgd import SGD

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Jordan's a, b, c: the steepest at zero of those that keep singular values between about 0.7 and 1.2."""
ITERATIONS = 5
VECTOR_RATE = 0.1  # Adam's rate for biases and norms, as a share of the rate for weights
VECTOR_BETA2 = 0.999
EPS = 1e-7
LARGE = 128  # side of a matrix from which oneDNN is the faster


def orthogonalize(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Pulls the singular values of matrices towards one; their singular vectors stay unchanged.

    For each matrix M, starting from X_0 = M / |M| (the Frobenius norm), five times::

        X <- a X + b (X X^T) X + c (X X^T)^2 X

    Together these steps multiply X_0 from the left by a polynomial of X_0 X_0^T, a matrix as small as the shorter side.
    All products are computed at that size; only the first and last involve the long side. For a 3x3 convolution that
    keeps its channels, whose matrix is nine times as long as wide, this takes a third of the arithmetic. Squared
    singular values need single precision. On a GPU, starting a small product takes longer than computing it, so there
    the matrices are padded with zeros and stacked.

    Args:
        matrices: each (K,L), all float32 or all float64, on one device.

    Returns:
        Each (K,L), singular values about 0.7 to 1.2; those that were below a thousandth of the norm stay smaller.

    Raises:
        ValueError: a matrix does not have two dimensions.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks",
        kellerjordan.github.io/posts/muon.
    """
    for matrix in matrices:
        if matrix.ndim != 2:
            raise ValueError(f"each matrix must have two dimensions, got {matrix.ndim}")
    if not matrices:
        return []
    # squares of large numbers would overflow; small numbers keep their size relative to `EPS`
    scales = [largest.clamp(min=1) for largest in torch._foreach_max(torch._foreach_abs(list(matrices)))]
    scaled = torch._foreach_div(list(matrices), scales)
    wides = [matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T for matrix in scaled]
    with torch.autocast(wides[0].device.type, enabled=False):  # the trainer may run steps in half precision
        grams = [_times_transposed(wide, wide) for wide in wides]
        if wides[0].device.type == "cpu":
            factors = map(_orthogonal_factor, grams)
        else:
            side = max(map(len, wides))
            factors = iter(_orthogonal_factor(torch.stack([_padded(gram, side) for gram in grams])))
        pairs = zip(wides, factors, strict=True)
        results = [_times_transposed(factor[: len(wide), : len(wide)], wide.T) for wide, factor in pairs]
    return [result if wide is matrix else result.T for result, wide, matrix in zip(results, wides, scaled, strict=True)]


def _padded(square: Tensor, side: int) -> Tensor:
    """Pads (N,N) with zeros below and to the right to (side,side)."""
    padding = side - len(square)
    return F.pad(square, (0, padding, 0, padding)) if padding else square


def _times_transposed(a: Tensor, b: Tensor) -> Tensor:
    """A B^T of (...,N,K) and (...,M,K).

    Large products on a CPU go through oneDNN, which uses AVX-512 on processors of all makers. MKL, torch's choice, does
    not on AMD's, and takes twice as long there.
    """
    large = a.device.type == "cpu" and a.ndim == 2 and a.dtype == torch.float32 and min(*a.shape, len(b)) >= LARGE
    if large and torch.backends.mkldnn.is_available():
        return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    return a @ b.mT


def _orthogonal_factor(gram: Tensor) -> Tensor:
    """The Gram matrix (...,N,N) of a matrix M -> the factor (...,N,N) that multiplies M from the left."""
    a, b, c = QUINTIC
    norm = gram.diagonal(dim1=-2, dim2=-1).sum(-1).sqrt()[..., None, None] + EPS
    gram = gram / norm.square()
    identity = a * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    product = gram
    for iteration in range(ITERATIONS):  # symmetric polynomials of one matrix commute, and are their own transposes
        factor = torch.add(identity, gram, alpha=b).add_(_times_transposed(gram, gram), alpha=c)
        product = _times_transposed(factor, product) if iteration else factor
        if iteration + 1 < ITERATIONS:
            gram = _times_transposed(_times_transposed(factor, gram), factor)
    return product / norm


def _channels_last(weight: Tensor) -> bool:
    return weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)


def _to_matrix(weight: Tensor) -> Tensor:
    """A weight (K,...) as a matrix (K,L); columns are in the order of memory, so nothing is copied."""
    return (weight.permute(0, 2, 3, 1) if _channels_last(weight) else weight).flatten(1)


def _from_matrix(matrix: Tensor, weight: Tensor) -> Tensor:
    """The opposite of `_to_matrix(weight)`."""
    if not _channels_last(weight):
        return matrix.view(weight.shape)
    return matrix.view(weight.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)


class Muon(SGD):
    """Muon on weights, Adam on biases and norms.

    A weight, including those of the first and last layer, is treated as a matrix (K,L): K outputs, L all else. With
    gradient g, momentum m and decay d::

        b <- m b + g                             (b = 0 at first)
        s = g + m b (Nesterov) or b
        p <- (1 - lr d) p - lr sqrt(max(1, K / L)) orthogonalize(s)

    A gradient has few large singular values, but the step is equally long in all directions. Its length depends on the
    rate, not on the gradient's size, so rates differ from SGD's: 0.02 to 0.04. Parameters with one number for each
    output are not matrices: Adam updates them, without decay, at a tenth of the rate.

    State of each parameter: `momentum_buffer`, or the state of `Adam`.

    Args:
        params: parameters, or groups of them (dicts), each of which may have its own `lr`, `weight_decay` ...
        lr: learning rate, in [0, inf).
        momentum: in [0, 1); also the first beta of Adam.
        nesterov: look ahead along the momentum; needs `momentum` > 0.
        weight_decay: decoupled, in [0, inf).

    Raises:
        TypeError: a hyperparameter is not a number.
        ValueError: a hyperparameter is out of range, or `nesterov` comes without momentum.

    Sources: Jordan et al. 2024, see `orthogonalize`; Liu et al. 2025, arXiv:2502.16982 (decay).
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.02,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, momentum, nesterov, weight_decay, decoupled=True)

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        pairs = list(zip(params, grads, strict=True))
        if weights := [pair for pair in pairs if is_matrix(pair[0])]:
            self._update_weights(group, *map(list, zip(*weights, strict=True)))
        if vectors := [pair for pair in pairs if not is_matrix(pair[0])]:
            vector_params, grads = map(list, zip(*vectors, strict=True))
            states = [self.state[param] for param in vector_params]
            adam_step(states, vector_params, grads, VECTOR_RATE * group["lr"], (group["momentum"], VECTOR_BETA2), EPS)

    def _update_weights(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        buffers = self._momentum_buffers(params, grads, group["momentum"])
        steps = torch._foreach_add(grads, buffers, alpha=group["momentum"]) if group["nesterov"] else buffers
        decay_weights(group, params, grads)
        directions = orthogonalize([_to_matrix(step) for step in steps])
        for param, step, direction in zip(params, steps, directions, strict=True):
            scale = max(1.0, direction.shape[0] / direction.shape[1]) ** 0.5
            param.add_(_from_matrix(direction, step), alpha=-group["lr"] * scale)
