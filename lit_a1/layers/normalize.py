"""The forward and backward arithmetic shared by batch, layer, group and instance normalisation."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_a1.layers.checks import working_dtype


def normalize(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    space: tuple[int, ...],
    average: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Bring sets of values to mean 0 and variance 1, then scale and shift them.

    For each set::

        mean = E[x]          var = E[(x - mean)^2]          y = gamma (x - mean) / sqrt(var + eps) + beta

    where E averages over a set. The norms differ only in their sets: a set is a slice of `x` along the dimensions
    `space`, or several slices joined by `average`. The statistics take two passes, in float32 for half-precision
    inputs: E[x^2] - E[x]^2 would cancel if the mean is large.

    Args:
        x: Activations of any shape.
        weight: The scale gamma, constant along `space`, broadcast against `x`.
        bias: The shift beta, of the same shape as `weight`.
        eps: Added to the variance.
        space: Dimensions to average over first; they are kept, with size 1.
        average: Maps these means to the mean of each set, broadcast against `x`. It must be linear and self-adjoint,
            since the backward pass applies it to gradients.

    Returns:
        y in the shape and dtype of `x`; mean and var as `average` returns them, in float32 or float64. Gradients flow
        through y only.
    """
    return _Normalize.apply(x, weight, bias, eps, space, average)


class _Normalize(torch.autograd.Function):
    """The derivative of `normalize`.

    With xhat = (x - mean) / sqrt(var + eps) and g = dL/dy, the gradients of gamma and beta are the sums of g xhat
    and of g over all values that share them, and::

        dL/dx = (gamma g - E[gamma g] - xhat E[gamma g xhat]) / sqrt(var + eps)
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        space: tuple[int, ...],
        average: Callable[[Tensor], Tensor],
    ) -> tuple[Tensor, Tensor, Tensor]:
        work = x.to(working_dtype(x))
        mean = average(_mean(work, space))
        centred = work - mean if work.dtype == x.dtype else work.sub_(mean)  # in the memory of `work` if it is a copy
        squares = centred.square()  # this memory, still in the cache, will hold the result
        var = average(_mean(squares, space))
        inv_std = (var + eps).rsqrt()
        if space:
            y = scale_and_shift(centred, inv_std * weight, bias, out=squares)
        else:  # the product would be as large as x
            y = scale_and_shift(centred * inv_std, weight, bias, out=squares)
        # Stored in the input's dtype: half the memory under bfloat16, and no more rounding than the input's own.
        ctx.save_for_backward(centred.to(x.dtype), inv_std, weight)
        ctx.space, ctx.average = space, average
        ctx.mark_non_differentiable(mean, var)
        # A copy if compiled: in torch 2.11 an output that `to` does not change gets the gradient 0.
        return y.to(x.dtype, copy=torch.compiler.is_compiling()), mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        centred, inv_std, weight = ctx.saved_tensors
        grad, centred = grad_y.to(inv_std.dtype), centred.to(inv_std.dtype)
        product = centred * grad
        mean_grad, mean_product = _mean(grad, ctx.space), _mean(product, ctx.space) * inv_std
        size = grad.numel() // mean_grad.numel()
        grad_bias = mean_grad.sum_to_size(weight.shape) * size
        grad_weight = mean_product.sum_to_size(weight.shape) * size
        mean_grad, mean_product = mean_grad * weight, mean_product * weight
        if ctx.space:
            scale = inv_std * weight
        else:  # means over no dimensions: `mean_grad` is gamma g itself
            grad, scale = mean_grad, inv_std
        by_centred = -inv_std.square() * ctx.average(mean_product)
        grad_x = scale_and_shift(centred, by_centred, -inv_std * ctx.average(mean_grad), out=product)
        grad_x.addcmul_(grad, scale)
        return grad_x.to(grad_y.dtype), grad_weight, grad_bias, None, None, None


def scale_and_shift(x: Tensor, scale: Tensor, shift: Tensor, out: Tensor | None = None) -> Tensor:
    """Return `x * scale + shift`, with scale and shift broadcast against `x`, in the memory of `out` if given."""
    if torch.compiler.is_compiling():
        out = None  # a compiler plans memory itself
    shift = shift.to(x.dtype)
    innermost = x.stride().index(min(x.stride()))
    if scale.expand_as(x).stride(innermost) == 0:
        # On a CPU `addcmul` is not vectorised if scale and shift are constant along memory: two passes are faster.
        return torch.mul(x, scale, out=out).add_(shift)
    return torch.addcmul(shift, x, scale, out=out)


def per_channel(parameter: Tensor) -> Tensor:
    """View a parameter of shape (C,) as (1, C, 1, 1)."""
    return parameter.view(1, -1, 1, 1)


def _mean(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Average over `dims`, if any; `Tensor.mean` would take no dimensions as all of them."""
    return x.mean(dims, keepdim=True) if dims else x
