"""Hidden layers of a residual network: their receptive fields and their feature maps."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lit_a1.analysis.network import BATCH, Ints, TrainedNetwork, capture_outputs
from lit_a1.layers import MaxBlurPool2d
from lit_a1.models.residual import ResidualBlock, ResidualNet

MAX_BLOCKS = 6  # up to this many residual blocks, each is a layer of its own here


@dataclass(frozen=True)
class ReceptiveField:
    """Which pixels a unit sees: unit i of a row sees `size` pixels, from `start + i * stride` on.

    Norms over positions and squeeze-and-excitation, which see the whole image, are not counted.
    """

    size: int = 1  # height and width in pixels
    stride: int = 1  # pixels from one unit's field to the next one's
    start: int = 0

    def after(self, kernel_size: int, stride: int, padding: int) -> "ReceptiveField":
        """The field of a unit in the next layer."""
        size = self.size + (kernel_size - 1) * self.stride
        return ReceptiveField(size, self.stride * stride, self.start - padding * self.stride)

    def at(self, place: int) -> tuple[int, int]:
        """First pixel that a unit sees, and the one after its last; pixels outside the image are padding."""
        first = self.start + place * self.stride
        return first, first + self.size


def field_after(field: ReceptiveField, module: nn.Module) -> ReceptiveField:
    """The field of a unit in `module`'s output; for a residual block, the wider one through the convolutions.

    Layers other than convolutions, pooling, residual blocks and sequences of these are taken to work on each place
    alone.
    """
    match module:
        case ResidualBlock():
            return field_after(field, module.residual)
        case nn.Conv2d() | nn.MaxPool2d() | MaxBlurPool2d() | nn.AvgPool2d():
            sizes: tuple[Any, ...] = (module.kernel_size, module.stride, module.padding)
            return field.after(*(size[0] if isinstance(size, tuple) else size for size in sizes))
        case nn.Sequential():
            for part in module:
                field = field_after(field, part)
    return field


@dataclass(frozen=True)
class HiddenLayer:
    """The output of `module`, after its activation."""

    name: str  # `Stem`, `Stage 1`, `Stage 1, block 1`
    module: nn.Module
    field: ReceptiveField


def hidden_layers(net: ResidualNet, *, blocks: bool = True) -> list[HiddenLayer]:
    """The stem and the end of each stage, in order; and each residual block, if there are at most `MAX_BLOCKS`."""
    field = field_after(ReceptiveField(), net.stem)
    layers = [HiddenLayer("Stem", net.stem, field)]
    list_blocks = blocks and sum(isinstance(module, ResidualBlock) for module in net.modules()) <= MAX_BLOCKS
    for number, stage in enumerate(net.stages, 1):
        assert isinstance(stage, nn.Sequential)
        residual = [module for module in stage if isinstance(module, ResidualBlock)]
        for module in stage:
            field = field_after(field, module)
            if module is residual[-1] and not (list_blocks and len(residual) > 1):
                layers.append(HiddenLayer(f"Stage {number}", module, field))
            elif list_blocks and module in residual:
                layers.append(HiddenLayer(f"Stage {number}, block {residual.index(module) + 1}", module, field))
    return layers


def feature_maps(network: TrainedNetwork, rows: Ints, layers: Sequence[HiddenLayer]) -> Iterator[list[Tensor]]:
    """Yields the feature maps (n,C,H,W) of each layer, for each batch of unchanged images."""
    for start in range(0, len(rows), BATCH):
        with torch.inference_mode(), ExitStack() as stack:
            outputs = [stack.enter_context(capture_outputs(layer.module)) for layer in layers]
            network.net(network.standardize(network.prepared(rows[start : start + BATCH])))
        yield [maps for (maps,) in outputs]
