"""The views of a picture that a prediction is averaged over."""

from typing import Literal, get_args

from torch import Tensor

from lit_a1.data.resample import resize, shift

Views = Literal["one", "flip", "shift", "scale"]
VIEWS: tuple[str, ...] = get_args(Views)


def views_of(pictures: Tensor, views: Views) -> list[Tensor]:
    """Shows pictures in several ways that leave the answer as it is.

    Args:
        pictures: (N,C,H,W).
        views: `one` (as it is), `flip` (and its mirror image), `shift` (these two, and both shifted by two pixels in
            each direction: ten views) or `scale` (these two, and both at seven eighths of the size: four views).

    Returns:
        Batches (N,C,H',W'), the pictures themselves first.

    Sources: Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks" (shifts and
    mirror images); Simonyan and Zisserman 2015, arXiv:1409.1556 (several sizes).
    """
    shown = [pictures]
    if views == "shift":
        shown += [shift(pictures, dy, dx) for dy in (-2, 2) for dx in (-2, 2)]
    if views == "scale":
        shown.append(resize(pictures, round(pictures.shape[-1] * 7 / 8)))
    return shown if views == "one" else shown + [view.flip(3) for view in shown]
