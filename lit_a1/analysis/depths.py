"""The depths of a residual network at which one looks at its feature maps, and how much of the picture each sees."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lit_a1.analysis.subject import BATCH, Subject, captured
from lit_a1.layers import WeightNormConv2d
from lit_a1.models.residual import ResidualBlock, ResidualNet

FEW = 6  # residual blocks up to which each is a depth of its own
SAMPLE = 500  # pictures that means are taken over


@dataclass(frozen=True)
class Field:
    """Which pixels a unit sees: the one at place i of a row sees `size` of them, from `start + i * stride` on.

    Places outside the picture are padding. Norms over positions and squeeze-and-excitation, which see the whole
    picture, are not counted.
    """

    size: int = 1
    """Height and width of the receptive field in pixels."""
    stride: int = 1
    """Pixels from one unit's field to the next one's."""
    start: int = 0

    def after(self, kernel_size: int, stride: int, padding: int) -> "Field":
        """The field of a unit of the layer that follows."""
        return Field(
            self.size + (kernel_size - 1) * self.stride, self.stride * stride, self.start - padding * self.stride
        )

    def at(self, place: int) -> tuple[int, int]:
        """First pixel that the unit at a place sees, and the one after the last."""
        first = self.start + place * self.stride
        return first, first + self.size


def field_after(field: Field, module: nn.Module) -> Field:
    """The field of a unit that comes out of `module`, by kernel sizes, strides and paddings.

    Of a residual block's two ways it is the wider one's, through the convolutions.

    Args:
        field: of what goes in.
        module: a convolution, a pooling, a residual block, or a sequence that holds such ones; a layer of another kind
            is taken to work on each place alone.
    """
    if isinstance(module, ResidualBlock):
        return field_after(field, module.residual)
    if isinstance(module, WeightNormConv2d):
        return field.after(module.weight_v.shape[-1], module.stride, module.padding)
    if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        sizes: tuple[Any, ...] = (module.kernel_size, module.stride, module.padding)
        return field.after(*(size[0] if isinstance(size, tuple) else size for size in sizes))
    if isinstance(module, nn.Sequential):
        for part in module:
            field = field_after(field, part)
    return field


@dataclass(frozen=True)
class Depth:
    """A place in the network where one looks at the feature maps: the output of `module`, after its activation."""

    name: str
    """`Stem`, `Stage 1`, `Stage 1, block 1`."""
    module: nn.Module
    field: Field


def depths(net: ResidualNet, *, blocks: bool = True) -> list[Depth]:
    """The stem and the end of each stage, from the picture on.

    Args:
        net: the network.
        blocks: whether each residual block is a depth of its own, if there are no more than `FEW` in all.
    """
    field = field_after(Field(), net.stem)
    found = [Depth("Stem", net.stem, field)]
    every = blocks and sum(isinstance(module, ResidualBlock) for module in net.modules()) <= FEW
    for number, stage in enumerate(net.stages, 1):
        assert isinstance(stage, nn.Sequential)
        residual = [module for module in stage if isinstance(module, ResidualBlock)]
        for module in stage:
            field = field_after(field, module)
            if module is residual[-1] and not (every and len(residual) > 1):
                found.append(Depth(f"Stage {number}", module, field))
            elif every and module in residual:
                found.append(Depth(f"Stage {number}, block {residual.index(module) + 1}", module, field))
    return found


def feature_maps(
    subject: Subject, rows: NDArray[np.int64], places: Sequence[Depth]
) -> Iterator[tuple[NDArray[np.int64], list[Tensor]]]:
    """Feature maps of pictures as they are (one view), batch by batch.

    Args:
        subject: the network and its pictures.
        rows: which pictures.
        places: depths of this network.

    Yields:
        The rows of the batch, and the maps (n,C,H,W) at each depth.
    """
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        with torch.inference_mode(), ExitStack() as stack:
            seen = [stack.enter_context(captured(place.module)) for place in places]
            subject.net(subject.standardize(subject.prepared(batch)))
        yield batch, [maps for (maps,) in seen]


def sample(subject: Subject, count: int = SAMPLE) -> NDArray[np.int64]:
    """Rows of at most `count` pictures, evenly spread over those of the subject."""
    pictures = len(subject.labels)
    return np.unique(np.linspace(0, pictures - 1, min(count, pictures)).round().astype(np.int64))
