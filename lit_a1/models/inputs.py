"""How a network gets its images: standardised, and for evaluation in several views."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lit_a1.data.resample import resize, shift

Views = Literal["one", "flip", "shift", "scale"]
CACHED = 50 * 64 * 64  # pixels of images whose activations about fit in a CPU's cache
VIEWS: tuple[str, ...] = get_args(Views)


class Standardize(nn.Module):
    """Maps images in [0,1] to zero mean and unit variance: y = (x - mean) / std, channel by channel.

    Shapes: (N,C,H,W) -> (N,C,H,W). The constants are those of the training images, and are saved in the checkpoint.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        valid = len(mean) == len(std) > 0 and all(0.001 <= value < 1000 for value in std)
        if not valid or not all(abs(value) < 1000 for value in mean):
            expected = "mean and std need one value per channel, of images in [0,1], and std 0.001 or more"
            raise ValueError(f"{expected}; got mean={list(mean)}, std={list(std)}")
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Standardises images (N,C,H,W)."""
        return (images - self.mean) / self.std


def tta_views(images: Tensor, views: Views, scaled: Callable[[Tensor, int], Tensor] = resize) -> list[Tensor]:
    """The views of images to average a prediction over (test-time augmentation).

    `one`: the image itself. `flip`: the image and its mirror image. `shift`: the image, also shifted by a 32nd of its
    side in each direction (five views, none mirrored). `scale`: the image and its mirror image, also at seven eighths
    of the size (four views). `scaled` resizes whole images.

    Shapes: (N,C,H,W) -> a list of (N,C,H',W'), the images themselves first.

    Sources: Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks" (shifts and
    mirror images); Simonyan and Zisserman 2015, arXiv:1409.1556 (several sizes).
    """
    side = images.shape[-1]
    if views == "shift":
        step = max(1, round(side / 32))
        return [images, *(shift(images, dy, dx) for dy, dx in ((-step, 0), (step, 0), (0, -step), (0, step)))]
    unflipped = [images, scaled(images, round(side * 7 / 8))] if views == "scale" else [images]
    return unflipped if views == "one" else unflipped + [view.flip(3) for view in unflipped]


def forward_in_parts(net: nn.Module, images: Tensor) -> Tensor:
    """Images (N,C,H,W) -> logits (N,K); on a CPU a few at a time, so that activations stay in the cache."""
    count = CACHED // math.prod(images.shape[2:]) if images.device.type == "cpu" else len(images)
    return torch.cat([net.forward(part) for part in images.split(max(1, count))])  # evaluation is never compiled
