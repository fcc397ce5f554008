"""Max pooling without aliasing, by hand."""

import torch
from torch import Tensor, nn

TAPS = {-1: 0.25, 0: 0.5, 1: 0.25}  # the binomial filter "Tri-3", by its places from the centre


def blur_matrix(length: int, like: Tensor) -> Tensor:
    """The filter at every other one of `length` places, as a matrix (length // 2 + 1, length) of `like`'s kind.

    Beyond an edge, the value at the edge repeats (the paper's code reflects).
    """
    places = torch.arange(length, device=like.device)
    centres = 2 * torch.arange(length // 2 + 1, device=like.device)[:, None]
    taps = [weight * (places == (centres + tap).clamp(0, length - 1)).to(like.dtype) for tap, weight in TAPS.items()]
    return torch.stack(taps).sum(0)


class MaxBlurPool2d(nn.Module):
    """The largest of 2x2 values at every position, then a blur, of which every other position is kept.

    A 2x2 max pooling that halves the maps keeps changes too fast for the new grid; a shift of the image by one pixel
    then changes the result. The blur removes them first. It is a product with a constant matrix along each side.

    Shapes: (N,C,H,W) -> (N,C,ceil(H/2),ceil(W/2)), H and W at least 2. Source: Zhang 2019, "Making convolutional
    networks shift-invariant again" (arXiv:1904.11486), with the filter Tri-3.

    Raises:
        ValueError: in `forward`, H or W is less than 2.
    """

    kernel_size, stride, padding = 4, 2, 1  # of the window that an output depends on

    def forward(self, x: Tensor) -> Tensor:
        """Map (N,C,H,W) to (N,C,ceil(H/2),ceil(W/2))."""
        if min(x.shape[2:]) < 2:
            raise ValueError(f"The maps must have at least 2x2 values, but have {x.shape[2]}x{x.shape[3]}.")
        x = torch.maximum(x[:, :, 1:], x[:, :, :-1])
        x = torch.maximum(x[..., 1:], x[..., :-1]).permute(0, 2, 3, 1)
        _, height, width, channels = x.shape
        rows = (blur_matrix(height, x) @ x.flatten(2)).unflatten(2, (width, channels))
        return (blur_matrix(width, x) @ rows).permute(0, 3, 1, 2)
