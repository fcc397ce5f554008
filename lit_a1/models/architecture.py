"""What a network is made of: its layers, their parameters, and what they cost."""

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lit_a1.layers import (
    BatchNorm2d,
    GroupNorm,
    InstanceNorm2d,
    LayerNorm,
    LayerNorm2d,
    WeightNormConv2d,
    WeightNormLinear,
)

CONVOLUTIONS = (nn.Conv2d, WeightNormConv2d)
LINEAR = (nn.Linear, WeightNormLinear)
NORMS = (BatchNorm2d, GroupNorm, InstanceNorm2d, LayerNorm, LayerNorm2d)
POOLS = (nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


class Layer(NamedTuple):
    """A layer of a network, for one image."""

    name: str  # as in the network's state dict
    kind: str  # the class
    filter: tuple[int, int] | None  # height and width of the kernel or the pooled window; None for other layers
    stride: tuple[int, int] | None
    shape: tuple[int, ...]  # of the output: (C,H,W), or (K,)
    parameters: int  # without those that it shares with an earlier layer
    multiply_adds: int


class Architecture(NamedTuple):
    """The layers of a network in the order in which an image meets them, and their totals."""

    layers: list[Layer]
    parameters: int
    multiply_adds: int


def layers_of(net: nn.Module, shape: tuple[int, int, int]) -> Architecture:
    """Lists the layers that have parameters or pool, by running a copy of the network on one black image.

    A multiply-add is one product and one sum. A convolution of a kernel of height k and width l takes
    H' W' C' k l C / groups of them for an output (C',H',W'), padding included; a linear layer, fan_in fan_out for each
    vector. Biases, norms, activations, pools and means over positions count none, nor does what weight normalisation
    does to weights, which is the same for any number of images.

    `shape` is (C,H,W) of an image. The network stays as it is: weights, buffers, mode and hooks.

    Raises:
        ValueError: a layer with parameters is of a kind whose multiply-adds are not known here, or is not used.
    """
    net = copy.deepcopy(net).cpu().eval()
    rows: dict[str, Layer] = {}
    counted: set[int] = set()

    def note(name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        cost = _multiply_adds(module, x, y)
        if name in rows:  # a layer that is used twice costs twice
            rows[name] = rows[name]._replace(multiply_adds=rows[name].multiply_adds + cost)
            return
        own = [parameter for parameter in module.parameters(recurse=False) if id(parameter) not in counted]
        counted.update(map(id, own))
        parameters, shape = sum(parameter.numel() for parameter in own), tuple(y.shape[1:])
        rows[name] = Layer(name, type(module).__name__, *_window(module), shape, parameters, cost)

    for name, module in net.named_modules():
        has_parameters = any(True for _ in module.parameters(recurse=False))
        if has_parameters and not isinstance(module, CONVOLUTIONS + LINEAR + NORMS):
            kind = type(module).__name__
            raise ValueError(f"the multiply-adds of {name or 'the network'}, a {kind}, are not known here")
        if has_parameters or isinstance(module, POOLS):
            module.register_forward_hook(lambda module, inputs, y, name=name: note(name, module, inputs[0], y))
    with torch.no_grad():
        net(torch.zeros(1, *shape))
    layers, parameters = list(rows.values()), sum(parameter.numel() for parameter in net.parameters())
    if (listed := sum(layer.parameters for layer in layers)) != parameters:
        raise ValueError(f"{parameters - listed:,} of {parameters:,} parameters are in layers that no image meets")
    return Architecture(layers, parameters, sum(layer.multiply_adds for layer in layers))


def _multiply_adds(module: nn.Module, x: Tensor, y: Tensor) -> int:
    if isinstance(module, LINEAR):
        return y.numel() * x.shape[-1]
    if isinstance(module, CONVOLUTIONS):
        weight = module.weight if isinstance(module, nn.Conv2d) else module.weight_v
        return y.numel() * math.prod(weight.shape[1:])  # (C', C / groups, k, l)
    return 0


def _window(module: nn.Module) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Kernel and stride."""
    if isinstance(module, WeightNormConv2d):
        return _pair(module.weight_v.shape[2:]), _pair(module.stride)
    if isinstance(module, nn.Conv2d | nn.AvgPool2d | nn.MaxPool2d):
        return _pair(module.kernel_size), _pair(module.stride)
    return None, None


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
