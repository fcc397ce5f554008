"""The network of `configs/catsdogs.yaml` with SGD, against torch's; a whole step, against its convolutions alone."""

import copy
import tempfile
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input, conv2d_weight

from lit_a1.benchmark.recipe import FLOOR, Recipe, convolve
from lit_a1.benchmark.timing import Run, Timing, alternate, seconds_by_turns
from lit_a1.data.batch import Batch, ImageSet
from lit_a1.layers import BatchNorm2d, Conv2d, MaxPool2d, cross_entropy
from lit_a1.layers.convolution import FEW_POSITIONS, weight_gradient
from lit_a1.models.classifier import compile_in_place
from lit_a1.optim import SGD, gradient_norm, parameter_groups

STEPS = 5  # steps in one timing
SGD_OPTIONS: dict[str, Any] = {"lr": 0.15, "momentum": 0.9, "nesterov": True}
WEIGHT_DECAY = 5e-4


def with_torch_layers(net: nn.Module) -> nn.Module:
    """A copy of a network, with the same weights and only torch's layers."""
    net = copy.deepcopy(net)
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if isinstance(child, BatchNorm2d):
                norm = nn.BatchNorm2d(child.num_features, child.eps, child.momentum)
                norm.load_state_dict(child.state_dict())
                setattr(parent, name, norm)
            elif isinstance(child, MaxPool2d):
                setattr(parent, name, nn.MaxPool2d(2, ceil_mode=True))
            elif isinstance(child, Conv2d):
                child.__class__ = nn.Conv2d  # type: ignore[assignment]  # ours only replaces its forward
    return net


class BareLoop:
    """The steps of `fit`, in a plain loop: cut, augment, forward, backward, gradient norm, optimiser, average."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.model = recipe, recipe.model()
        self.optimizer = self.model._make_optimizer()
        self.parameters = list(self.model.net.parameters())
        labels = torch.arange(len(recipe.images)) % 2
        self.images = ImageSet(recipe.images, labels.numpy())
        self.generator = torch.Generator(recipe.device)
        self.draws = torch.Generator()
        self.loss = torch.zeros(())

    def cut(self) -> Batch:
        """A random batch of bytes, on the device."""
        rows = torch.randint(len(self.images), (self.recipe.batch,), generator=self.draws)
        images, targets, indices = self.images.__getitems__(rows.tolist())
        return Batch(*(part.to(self.recipe.device) for part in (images, targets, indices)))

    def augment(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Augmented images (N,C,H,W) float32, and targets."""
        return self.recipe.data.augment(*batch, size=self.recipe.size, epoch=0, generator=self.generator)

    def forward_and_backward(self, images: Tensor, targets: Tensor) -> None:
        """Computes the gradients of the loss."""
        self.optimizer.zero_grad()
        with self.recipe.autocast():
            logits = self.model.net(images)
            loss = cross_entropy(logits, targets, self.model.label_smoothing)
        loss.backward()
        self.loss = loss.detach()

    def average(self) -> None:
        """Updates the average of the weights."""
        if self.model.average is not None:
            self.model.average.update(self.model.net)

    def step(self) -> None:
        """One step."""
        self.forward_and_backward(*self.augment(self.cut()))
        gradient_norm(self.parameters)
        self.optimizer.step()
        self.average()

    def steps(self) -> None:
        """Takes `STEPS` steps."""
        for _ in range(STEPS):
            self.step()
        self.recipe.wait()


def network_and_optimizer(pairs: int, recipe: Recipe) -> list[Timing]:
    """Times forward, backward and SGD against torch's own."""
    model = recipe.model()
    theirs = with_torch_layers(model.net).to(recipe.device)
    if recipe.compiled:
        compile_in_place(theirs)
    our_sgd = SGD(parameter_groups(model.net, WEIGHT_DECAY), **SGD_OPTIONS)
    their_sgd = torch.optim.SGD(parameter_groups(theirs, WEIGHT_DECAY), **SGD_OPTIONS, fused=True)
    images = torch.randn(recipe.batch, 3, recipe.size, recipe.size, device=recipe.device)
    images = images.contiguous(memory_format=torch.channels_last)
    targets = torch.randint(0, 2, (recipe.batch,), device=recipe.device)

    def run(net: nn.Module, sgd: torch.optim.Optimizer, loss_of: Callable[..., Tensor]) -> Run:
        def some_steps() -> None:
            for _ in range(STEPS):
                sgd.zero_grad()
                with recipe.autocast():
                    loss = loss_of(net(images), targets, label_smoothing=0.1)
                loss.backward()
                sgd.step()
            recipe.wait()

        return some_steps

    ours = run(model.net, our_sgd, cross_entropy)
    others = {"torch's layers, loss and SGD": (run(theirs, their_sgd, F.cross_entropy), 0.95)}
    name = f"forward, backward and SGD, {recipe.batch} images of {recipe.size}x{recipe.size}{recipe.title_suffix}"
    return alternate(name, ours, others, pairs, STEPS)


def step(pairs: int) -> list[Timing]:
    """Times the network and its optimiser; then a whole step without Lightning."""
    recipe = Recipe()
    floor = convolve(recipe.convolutions(), 3 * STEPS, recipe)
    name = f"training step, {recipe.batch} images of {recipe.size}x{recipe.size}{recipe.title_suffix}"
    step_timings = alternate(name, BareLoop(recipe).steps, {FLOOR: (floor, recipe.max_floor_ratio)}, pairs, STEPS)
    return network_and_optimizer(pairs, recipe) + step_timings


def convolution_passes(recipe: Recipe) -> dict[str, Run]:
    """Only the convolutions of a training batch: forward, and the gradients of the input and the weights."""
    forward: list[partial[Tensor]] = []
    by_input: list[partial[Tensor]] = []
    by_weights: list[partial[Tensor]] = []
    for conv in recipe.convolutions():
        x, grad = recipe.random(*conv.input), recipe.random(*conv.output)
        weight = recipe.random(conv.output[1], conv.input[1], conv.kernel, conv.kernel)
        options = {"stride": conv.stride, "padding": conv.padding}
        forward.append(partial(F.conv2d, x, weight, **options))
        if by_weights:  # the gradient of the images is not needed
            by_input.append(partial(conv2d_input, x.shape, weight, grad, **options))
        has_few_positions = recipe.device.type == "cpu" and x.numel() // x.shape[1] <= FEW_POSITIONS
        by_torch = partial(conv2d_weight, x, weight.shape, grad, **options)
        by_weights.append(partial(weight_gradient, x, weight.shape, grad) if has_few_positions else by_torch)

    def call_all(calls: list[partial[Tensor]]) -> Run:
        return lambda: [call() for call in calls]

    passes = {"forward": forward, "gradient by the input": by_input, "gradient by the weights": by_weights}
    return {f"convolutions, {name}": call_all(calls) for name, calls in passes.items()}


def profile(pairs: int) -> dict[str, float]:
    """Seconds of each part of a `fit` step; parts are timed separately, in turn."""
    from lit_a1.benchmark.loop import bare_loop, fit, in_new_process

    recipe = Recipe()
    loop, passes = BareLoop(recipe), convolution_passes(recipe)
    batch = loop.cut()
    augmented = loop.augment(batch)
    parts = passes | {"network": lambda: loop.forward_and_backward(*augmented), "cutting the batch": loop.cut}
    parts |= {"augmentation": lambda: loop.augment(batch), "gradient norm": lambda: gradient_norm(loop.parameters)}
    parts |= {"optimiser": loop.optimizer.step, "average of the weights": loop.average, "step": loop.step}

    def run_and_wait(run: Run) -> Run:
        return lambda: [run(), recipe.wait()]  # type: ignore[func-returns-value]

    runs = list(map(run_and_wait, parts.values()))
    seconds = seconds_by_turns(runs, pairs, "parts of a step")
    seconds_of = dict(zip(parts, map(median, seconds), strict=True))
    network, step = seconds_of.pop("network"), seconds_of.pop("step")
    seconds_of["norms, activations, pooling, casts, loss"] = network - sum(list(seconds_of.values())[:3])
    seconds_of["rest"] = step - sum(seconds_of.values())
    with tempfile.TemporaryDirectory() as folder:
        seconds_of["Lightning and callbacks"] = in_new_process(fit, folder)[0] - in_new_process(bare_loop, 60)[0]
    return seconds_of
