"""The layers of a network, their parameters, and what they cost."""

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lit_a1.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    GroupNorm,
    InstanceNorm2d,
    LayerNorm2d,
    MaxBlurPool2d,
    MaxPool2d,
    SqueezeExcite,
    StochasticDepth,
    WeightNormConv2d,
)
from lit_a1.models.residual import ResidualBlock, ResidualNet

CONVOLUTIONS: dict[type[nn.Module], str] = {
    nn.Conv2d: "convolution",
    Conv2d: "convolution",
    WeightNormConv2d: "weight-normalised convolution",
}
LINEAR: dict[type[nn.Module], str] = {nn.Linear: "linear layer"}
NORMS: dict[type[nn.Module], str] = {
    BatchNorm2d: "batch norm", GroupNorm: "group norm", InstanceNorm2d: "instance norm", LayerNorm2d: "layer norm",
}  # fmt: skip
POOLS: dict[type[nn.Module], str] = {
    nn.AvgPool2d: "average pooling", nn.MaxPool2d: "max pooling", nn.AdaptiveAvgPool2d: "average pooling",
    nn.AdaptiveMaxPool2d: "max pooling", MaxPool2d: "max pooling", MaxBlurPool2d: "blurred max pooling",
}  # fmt: skip
WITHOUT_WEIGHTS: dict[type[nn.Module], str] = {
    nn.ReLU: "ReLU", nn.LeakyReLU: "leaky ReLU", nn.GELU: "GELU", nn.SiLU: "SiLU", Dropout: "dropout",
    StochasticDepth: "stochastic depth",
}  # fmt: skip
LAYER_NAMES = CONVOLUTIONS | LINEAR | NORMS | POOLS | WITHOUT_WEIGHTS
"""The usual names of the layer classes."""
SUM, MEAN = "sum", "mean over all positions"  # computed by no module: sum of block and shortcut; mean of each channel


class Layer(NamedTuple):
    """A layer of a network, for one image."""

    place: str  # `stage 2, block 1`, with `, shortcut` or `, gate` beside the main path; `stem`, `head`; or empty
    kind: str  # as in `LAYER_NAMES`: `convolution`
    is_handwritten: bool  # whether it is written in this project, not PyTorch's
    filter: tuple[int, int] | None  # height and width of the kernel or the pooled window; None for other layers
    stride: tuple[int, int] | None
    padding: tuple[int, int] | None
    shape: tuple[int, ...]  # of the output: (C,H,W) or (K,)
    parameters: int  # without parameters shared with an earlier layer
    multiply_adds: int

    @property
    def words(self) -> str:
        """`convolution 3x3`."""
        return self.kind if self.filter is None else f"{self.kind} {self.filter[0]}x{self.filter[1]}"

    @property
    def name(self) -> str:
        """`stage 2, block 1, convolution 3x3`."""
        return f"{self.place}, {self.words}" if self.place else self.words

    @property
    def on_side_path(self) -> bool:
        """Whether it is in a shortcut or a gate, beside the main path."""
        return self.place.endswith(("shortcut", "gate"))


class Architecture(NamedTuple):
    """The layers of a network, in the order in which an image passes them, and their totals."""

    layers: list[Layer]
    parameters: int
    multiply_adds: int


def layers_of(net: nn.Module, shape: tuple[int, int, int]) -> Architecture:
    """Lists the layers of a network, by running a copy of it on one black image.

    A multiply-add is one product and one sum. A convolution with a kernel of height k and width l takes
    H' W' C' k l C / groups of them for an output (C',H',W'), padding included. A linear layer takes fan_in fan_out for
    each vector. Biases, norms, activations, pools, sums and means over positions count as none. Weight normalisation's
    work on weights is not counted either, as it is the same for any number of images.

    `shape` is (C,H,W) of an image. The network stays unchanged: weights, buffers, mode and hooks.

    Raises:
        ValueError: a layer with parameters is of a kind whose multiply-adds are unknown, or is not used.
    """
    net = copy.deepcopy(net).cpu().eval()
    rows: dict[str, Layer] = {}
    counted: set[int] = set()

    def note(name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        cost, kind = _multiply_adds(module, x, y), LAYER_NAMES[type(module)]
        if name in rows and type(module) not in WITHOUT_WEIGHTS:  # a layer that is used twice costs twice
            rows[name] = rows[name]._replace(multiply_adds=rows[name].multiply_adds + cost)
            return
        new_parameters = [parameter for parameter in module.parameters(recurse=False) if id(parameter) not in counted]
        counted.update(map(id, new_parameters))
        written_here = type(module).__module__.startswith("lit_a1.") and type(module) not in (Conv2d, MaxPool2d)
        fields = (_place(net, name), kind, written_here, *_window(module), tuple(y.shape[1:]))
        key = f"{name} {len(rows)}" if name in rows else name
        rows[key] = Layer(*fields, sum(parameter.numel() for parameter in new_parameters), cost)

    def note_operation(kind: str, name: str, x: Tensor) -> None:
        place = _place(net, name)
        rows[f"{name} {kind}"] = Layer(place, kind, False, None, None, None, tuple(x.shape[1:]), 0, 0)

    for name, module in net.named_modules():
        has_parameters = any(True for _ in module.parameters(recurse=False))
        if has_parameters and not isinstance(module, tuple(CONVOLUTIONS | LINEAR | NORMS)):
            kind = type(module).__name__
            raise ValueError(f"the multiply-adds of {name or 'the network'}, a {kind}, are not known here")
        if type(module) in LAYER_NAMES:
            module.register_forward_hook(lambda module, inputs, y, name=name: note(name, module, inputs[0], y))
    for name, module in net.named_modules():
        if isinstance(module, ResidualBlock):  # the output of `depth` is added to the shortcut
            module.depth.register_forward_hook(lambda _, inputs, y, name=name: note_operation(SUM, name, y))
        if isinstance(module, ResidualNet):  # the input of `dropout` is the mean over positions
            module.dropout.register_forward_pre_hook(lambda _, inputs: note_operation(MEAN, "dropout", inputs[0]))
    with torch.no_grad():
        net(torch.zeros(1, *shape))
    layers, parameters = list(rows.values()), sum(parameter.numel() for parameter in net.parameters())
    if (listed := sum(layer.parameters for layer in layers)) != parameters:
        raise ValueError(f"{parameters - listed:,} of {parameters:,} parameters are in layers that no image meets")
    return Architecture(layers, parameters, sum(layer.multiply_adds for layer in layers))


def _place(net: nn.Module, name: str) -> str:
    """Where in a residual network a module is, `stage 2, block 1`; empty in any other network."""
    first, *rest = name.split(".")
    if not isinstance(net, ResidualNet):
        return ""
    if first != "stages":
        return "stem" if first == "stem" else "head"
    place = f"stage {int(rest[0]) + 1}"
    blocks = [isinstance(module, ResidualBlock) for module in net.get_submodule(f"stages.{rest[0]}").children()]
    if not blocks[int(rest[1])]:
        return place
    place += f", block {sum(blocks[: int(rest[1]) + 1])}"
    if rest[2:3] in (["pool"], ["project"]):
        return f"{place}, shortcut"
    return f"{place}, gate" if isinstance(net.get_submodule(name.rpartition(".")[0]), SqueezeExcite) else place


def _multiply_adds(module: nn.Module, x: Tensor, y: Tensor) -> int:
    if isinstance(module, tuple(LINEAR)):
        return y.numel() * x.shape[-1]
    if isinstance(module, nn.Conv2d):
        return y.numel() * module.in_channels // module.groups * math.prod(module.kernel_size)
    return 0


def _window(module: nn.Module) -> tuple[tuple[int, int] | None, tuple[int, int] | None, tuple[int, int] | None]:
    """Kernel, stride and padding."""
    if isinstance(module, nn.Conv2d | nn.AvgPool2d | nn.MaxPool2d | MaxBlurPool2d):
        return _pair(module.kernel_size), _pair(module.stride), _pair(module.padding)  # type: ignore[arg-type]
    return None, None, None


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
