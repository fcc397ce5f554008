"""What travels from the data modules to the models."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """A batch of pictures.

    Attributes:
        pictures: (N,C,H,W); uint8 as read from disk, float32 in [0,1] once augmented or resized on the device.
        targets: (N,) int64 classes, or (N,K) float32 soft targets after mixup or cutmix; -1 where there is no label.
        indices: (N,) int64, which picture of its data set each one is.
    """

    pictures: Tensor
    targets: Tensor
    indices: Tensor
