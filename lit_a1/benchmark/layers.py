"""Each hand-written norm and optimiser against PyTorch's own, at the shapes of `configs/catsdogs.yaml`."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from lit_a1.benchmark.recipe import Recipe
from lit_a1.benchmark.timing import Run, Timing, alternate
from lit_a1.layers import WeightNormConv2d, make_norm
from lit_a1.models.classifier import compile_in_place
from lit_a1.optim import make_optimizer

STEPS = 20  # optimiser steps in one timing


class TorchLayerNorm2d(nn.LayerNorm):
    """PyTorch's layer norm over the channels of images (N,C,H,W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalises each position."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


TORCH_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "layer": TorchLayerNorm2d,
    "group": lambda channels: nn.GroupNorm(8, channels),
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
}
OptimizerFactory = Callable[..., torch.optim.Optimizer]
SGD, ADAMW = partial(torch.optim.SGD, momentum=0.9, nesterov=True), torch.optim.AdamW
OPTIMIZERS: dict[str, dict[str, OptimizerFactory]] = {
    "sgd": {"torch's, foreach": partial(SGD, foreach=True), "torch's, fused": partial(SGD, fused=True)},
    "adamw": {"torch's, foreach": partial(ADAMW, foreach=True), "torch's, fused": partial(ADAMW, fused=True)},
    "muon": {"torch's, which rounds to bfloat16": torch.optim.Muon},
}


class SideBySide(nn.Module):
    """Layers side by side, each with its own input."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Applies each layer to its input."""
        return [layer(x) for layer, x in zip(self.layers, inputs, strict=True)]


def forward_and_backward(layers: Sequence[nn.Module], inputs: Sequence[Tensor], recipe: Recipe) -> Run:
    """Forward and backward passes through layers, compiled and in half precision if the recipe is."""
    net = SideBySide(layers).to(recipe.device).train()
    if recipe.compiled:
        compile_in_place(net)
    with recipe.autocast(), torch.no_grad():
        gradients = [torch.randn_like(y) for y in SideBySide(layers)(inputs)]

    def run() -> None:
        with recipe.autocast():
            outputs = net(inputs)
        torch.autograd.backward(outputs, gradients)
        recipe.wait()

    return run


def norms(pairs: int, recipe: Recipe) -> list[Timing]:
    """A row for each norm, timed at all places of the network with a norm."""
    shapes = [conv.output for conv in recipe.convolutions()]
    inputs = [recipe.random(*shape).requires_grad_() for shape in shapes]
    rows = []
    for name, torch_norm in TORCH_NORMS.items():
        sides = [[make(shape[1]) for shape in shapes] for make in (lambda c, name=name: make_norm(name, c), torch_norm)]
        ours, theirs = (forward_and_backward(layers, inputs, recipe) for layers in sides)
        title = f"{name} norm, forward and backward, at {len(shapes)} places of the network{recipe.title_suffix}"
        rows += alternate(title, ours, {"torch's": (theirs, 1.0)}, pairs)
    convs = recipe.convolutions()
    options: list[dict[str, Any]] = [{"stride": conv.stride, "padding": conv.padding} for conv in convs]
    sizes = [(conv.input[1], conv.output[1], conv.kernel) for conv in convs]
    images = [recipe.random(*conv.input).requires_grad_() for conv in convs]
    our_convs: list[nn.Module] = [WeightNormConv2d(*size, **opts) for size, opts in zip(sizes, options, strict=True)]
    torch_convs = [weight_norm(nn.Conv2d(*size, **opts)) for size, opts in zip(sizes, options, strict=True)]
    title = f"convolutions with weight norm, forward and backward{recipe.title_suffix}"
    ours, theirs = (forward_and_backward(layers, images, recipe) for layers in (our_convs, torch_convs))
    return rows + alternate(title, ours, {"torch's": (theirs, 1.0)}, pairs)


def steps(make: OptimizerFactory, shapes: Sequence[torch.Size], recipe: Recipe) -> Run:
    """A function that takes `STEPS` steps of an optimiser on random weights and gradients."""
    parameters = [nn.Parameter(torch.randn(shape, device=recipe.device)) for shape in shapes]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    optimizer = make(parameters, lr=1e-3, weight_decay=5e-4)

    def run() -> None:
        for _ in range(STEPS):
            optimizer.step()
        recipe.wait()

    return run


def optimizers(pairs: int, recipe: Recipe) -> list[Timing]:
    """A row for each optimiser, on the network's weights; for Muon only matrices, as torch's takes nothing else."""
    rows = []
    for name, theirs in OPTIMIZERS.items():
        shapes = [parameter.shape for parameter in recipe.net().parameters()]
        if name == "muon":
            shapes = [torch.Size((shape[0], shape[1:].numel())) for shape in shapes if len(shape) > 1]
        factories: list[OptimizerFactory] = [partial(make_optimizer, name), *theirs.values()]
        ours, *runs = (steps(factory, shapes, recipe) for factory in factories)
        title = f"{name}, a step over {sum(map(torch.Size.numel, shapes)):,} weights"
        others = {
            other: (run, None if other.endswith("fused") else 1.0) for other, run in zip(theirs, runs, strict=True)
        }
        rows += alternate(title, ours, others, pairs, STEPS)
    return rows


def layers(pairs: int) -> list[Timing]:
    """Norms, then optimisers."""
    recipe = Recipe()
    return norms(pairs, recipe) + optimizers(pairs, recipe)
