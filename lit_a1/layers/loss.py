"""Cross-entropy from logits, with hard, soft and smoothed targets."""

import torch
from torch import Tensor

from lit_a1.layers.checks import working_dtype


def cross_entropy(logits: Tensor, target: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Compare logits with targets by the negative log-likelihood of their softmax, averaged over the samples.

    For the target distribution q of a sample, smoothed by s towards the uniform one (Szegedy et al., 2016,
    https://arxiv.org/abs/1512.00567)::

        loss = -sum_k ((1 - s) q_k + s / K) log p_k          log p_k = z_k - max z - log sum_j exp(z_j - max z)

    Subtracting the maximum keeps every exponential in (0, 1], so no logit overflows. The logits are the network's raw
    outputs: the softmax is included here.

    Args:
        logits: Scores z of shape (N, K), N and K positive.
        target: Classes as int64 of shape (N,), with q one-hot, or distributions q as floats of shape (N, K), used as
            they are (mixup and cutmix produce them).
        label_smoothing: The fraction s in [0, 1].

    Returns:
        A scalar. Half-precision logits give a float32 loss.

    Raises:
        TypeError: `target` holds neither int64 nor floating-point numbers, or the logits are not floating-point.
        ValueError: A shape or `label_smoothing` is not as above, or a class lies outside [0, K). Classes are checked on
            the CPU only: an accelerator would make the program wait for the check.
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in [0, 1], but is {label_smoothing}.")
    _check_tensors(logits, target)
    logits = logits.to(working_dtype(logits))
    # The gradient through the maximum is zero, since the loss does not change when all logits move together.
    shifted = logits - logits.amax(1, keepdim=True).detach()
    log_p = shifted - shifted.exp().sum(1, keepdim=True).log()
    soft = target.is_floating_point()
    loss = -((target * log_p).sum(1) if soft else log_p.gather(1, target.unsqueeze(1)).squeeze(1))
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - label_smoothing * log_p.mean(1)
    return loss.mean()


def _check_tensors(logits: Tensor, target: Tensor) -> None:
    if not logits.is_floating_point():
        raise TypeError(f"Logits must be floating-point numbers, but are {logits.dtype}.")
    if logits.dim() != 2 or not logits.numel():
        raise ValueError(f"Logits must have a shape (N, K) without zeros, but have {tuple(logits.shape)}.")
    if target.is_floating_point():
        if target.shape != logits.shape:
            raise ValueError(
                f"Soft targets must have the shape {tuple(logits.shape)} of the logits, but have {tuple(target.shape)}."
            )
        return
    if target.dtype != torch.int64:
        raise TypeError(f"Targets must be int64 classes or floating-point distributions, but are {target.dtype}.")
    samples, classes = logits.shape
    if target.shape != (samples,):
        raise ValueError(
            f"Classes must have the shape ({samples},) for {samples} rows of logits, but have {tuple(target.shape)}."
        )
    if target.device.type == "cpu" and not torch.compiler.is_compiling():
        low, high = (int(bound) for bound in target.aminmax())
        if low < 0 or high >= classes:
            raise ValueError(f"Classes must lie in [0, {classes}), but range from {low} to {high}.")
