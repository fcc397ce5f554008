"""Brightness, contrast and saturation of a batch, each image with its own."""

import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow's and torchvision's greyscale


def colour(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Changes each image's brightness by b, then contrast by c, then saturation by s (1 leaves it unchanged).

    A pixel x has the luma L(x) = 0.299 R + 0.587 G + 0.114 B; m is its mean over the image. The three steps
    x -> b x, x -> c x + (1 - c) mean L(x) and x -> s x + (1 - s) L(x) together are

        y = b c s x + b c (1 - s) L(x) + b (1 - c) m,

    clamped to [0, 1] once, at the end. s = 0 makes a grey image. Images are (N, 3, H, W) floats in [0, 1], the
    factors (N,).
    """
    kernel = images.new_tensor(LUMA).view(1, 3, 1, 1).expand(3, 3, 1, 1)
    luma = F.conv2d(images, kernel)  # on all three channels, which avoids a slow broadcast along the innermost axis
    b, c, s = (factor.view(-1, 1, 1, 1) for factor in (brightness, contrast, saturation))
    mean = luma.mean((1, 2, 3), keepdim=True)
    return luma.mul_(b * c * (1 - s)).add_(b * (1 - c) * mean).addcmul_(images, b * c * s).clamp_(0, 1)
