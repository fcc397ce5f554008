"""PyTorch's convolution and max pooling, with backward passes that are faster on a CPU."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input

FEW_POSITIONS = 1600  # most positions N H W for which a matrix product is the faster weight gradient


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`, with its weight gradient as one matrix product for batches with few positions.

    oneDNN takes longer for it if wide layers have small maps: for 256 channels of 2x2 in float32, up to 2.8 times as
    long with AVX-512 and 3.6 times with AVX2.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `x` of shape (N, C, H, W)."""
        device, (count, _, height, width) = x.device.type, x.shape
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.weight.dtype
        sides = self.kernel_size
        keeps_size = all(side % 2 for side in sides) and self.padding == tuple(side // 2 for side in sides)
        plain = keeps_size and self.bias is None and self.groups == 1 and {*self.stride, *self.dilation} == {1}
        plain = plain and self.padding_mode == "zeros"
        learns = self.weight.requires_grad and torch.is_grad_enabled()
        if device == "cpu" and learns and plain and count * height * width <= FEW_POSITIONS:
            return _FewPositions.apply(x.to(dtype), self.weight.to(dtype))
        return super().forward(x)


def weight_gradient(x: Tensor, shape: torch.Size, grad: Tensor) -> Tensor:
    """The gradient (K, C, kh, kw) of the weights of a convolution of stride 1 that keeps the maps' size.

    It is G^T P, with the patches P (N H W, kh kw C) of the input x and the gradient G (N H W, K) of the output
    (Chellapilla et al., 2006, "High performance convolutional neural networks for document processing").
    """
    outputs, channels, kh, kw = shape
    padding = [0, 0, kw // 2, kw // 2, kh // 2, kh // 2]
    patches = F.pad(x.permute(0, 2, 3, 1), padding).unfold(1, kh, 1).unfold(2, kw, 1).permute(0, 1, 2, 4, 5, 3)
    product = grad.permute(0, 2, 3, 1).reshape(-1, outputs).T @ patches.reshape(-1, kh * kw * channels)
    return product.view(outputs, kh, kw, channels).permute(0, 3, 1, 2)


class _FewPositions(torch.autograd.Function):
    """A convolution of stride 1 that keeps the maps' size, with `weight_gradient`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, padding=(weight.shape[2] // 2, weight.shape[3] // 2))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad_x, grad_weight = None, None
        if ctx.needs_input_grad[0]:
            padding = (weight.shape[2] // 2, weight.shape[3] // 2)
            grad_x = conv2d_input(x.shape, weight, grad, padding=padding)
        if ctx.needs_input_grad[1]:
            grad_weight = weight_gradient(x, weight.shape, grad)
        return grad_x, grad_weight


class MaxPool2d(nn.MaxPool2d):
    """`torch.nn.MaxPool2d(2, ceil_mode=True)`: the largest of 2x2 values, or of fewer at an odd edge.

    Compiled on a CPU it is a maximum of slices. Its backward pass compares values, where torch's scatters; equal
    largest values then share the gradient.
    """

    def __init__(self) -> None:
        super().__init__(2, ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2))."""
        if not torch.compiler.is_compiling() or x.device.type != "cpu":
            return super().forward(x)
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), value=-torch.inf)
        rows = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])
