"""Activation maximisation: images made by gradient ascent for a class or a channel."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.utils import make_grid

from lit_a1.analysis.hidden_layers import HiddenLayer, feature_maps, hidden_layers
from lit_a1.analysis.images import sample, without_axes
from lit_a1.analysis.network import Floats, Ints, TrainedNetwork
from lit_a1.analysis.result import AnalysisResult
from lit_a1.models.residual import ResidualBlock
from lit_a1.runs.wording import number

TITLE = "What excites a unit"
CHANNELS = 5  # of each stage
BEST = 4  # validation images of each channel
SEARCHED = 2000  # validation images, at most, to choose these from
COLOUR_SAMPLE = 200  # of them, for the colours of the data
STARTS = 6  # made images of the classes, at least; each starts from its own noise
ACROSS = 5  # classes in a row, if each has one image
STEPS = 128
RATE = 2.0  # twice the length of the ascent (steps shrink to 0), as the root mean square over the parameters
JITTER = 1 / 12  # images shift by at most this share of their side in a step
VARIATION = 0.1  # weight of the total variation's direction; the score's has 1
NOISE = 0.05  # initial standard deviation of the parameters
Score = Callable[[Tensor], Tensor]  # maps images (n,C,H,W) in [0,1] to values (n,), each of its own image only


class FourierImages:
    """n images as the parameters of gradient ascent: Fourier coefficients of decorrelated colours.

    Each frequency is scaled by its inverse, as in photographs, and colours by the covariance of those of `images`
    (N,C,H,W) in [0,1]. A step then changes coarse shapes as readily as single pixels (Olah et al. 2017, "Feature
    Visualization"). A sigmoid keeps the pixels in [0,1].
    """

    def __init__(self, count: int, images: Tensor, generator: torch.Generator) -> None:
        _, channels, self.size, _ = images.shape
        pixels = images.permute(1, 0, 2, 3).flatten(1)
        self.mean = torch.logit(pixels.mean(1).clamp(0.02, 0.98))[:, None, None]
        values, vectors = torch.linalg.eigh(torch.cov(pixels).view(channels, channels))
        self.colours = vectors * (values.clamp_min(0) / values.max()).sqrt()
        y, x = torch.fft.fftfreq(self.size), torch.fft.rfftfreq(self.size)
        frequency = (y[:, None] ** 2 + x**2).sqrt()
        self.scale = self.size / frequency.clamp_min(1 / self.size)
        shape = (count, channels, *self.scale.shape, 2)
        self.parameters = (NOISE * torch.randn(shape, generator=generator)).requires_grad_()

    def image(self) -> Tensor:
        """The images (n,C,H,W)."""
        decorrelated = torch.fft.irfft2(torch.view_as_complex(self.parameters) * self.scale, s=(self.size, self.size))
        return torch.sigmoid(self.mean + torch.einsum("cd,ndhw->nchw", self.colours, decorrelated))

    def direction(self, scores: Tensor) -> Tensor:
        """The gradient of n scores by the parameters, scaled to length 1 for each image; zeros stay."""
        (gradient,) = torch.autograd.grad(scores.sum(), self.parameters)
        return F.normalize(gradient.flatten(1), eps=1e-30).view_as(gradient)


def total_variation(images: Tensor) -> Tensor:
    """Mean absolute difference (n,) of neighbouring pixels, along rows and columns."""
    return (images.diff(dim=2).abs().mean((1, 2, 3)) + images.diff(dim=3).abs().mean((1, 2, 3))) / 2


def ascend(paint: FourierImages, score: Score, generator: torch.Generator, steps: int = STEPS) -> tuple[Tensor, Tensor]:
    """Makes images (n,C,H,W) in [0,1] whose `score` (n,) is large, by normalised gradient ascent on `paint`.

    Each step shifts the images at random, with wrap-around. It moves each image's parameters along the gradient of its
    score, scaled to length 1, minus that of the total variation (Mahendran & Vedaldi 2015).
    """
    max_shift = max(1, round(JITTER * paint.size))
    length = RATE * (paint.parameters[0].numel() ** 0.5)
    for step in range(steps):
        shifts = torch.randint(-max_shift, max_shift + 1, (2,), generator=generator).tolist()
        score_step = paint.direction(score(paint.image().roll(shifts, (2, 3))))
        variation_step = paint.direction(total_variation(paint.image()))
        with torch.no_grad():
            paint.parameters += length / steps * (1 - step / steps) * (score_step - VARIATION * variation_step)
    with torch.inference_mode():
        images = paint.image()
        return images, score(images)


def class_score(network: TrainedNetwork, classes: Sequence[int]) -> Score:
    """The logit of a class for each of n images; with two classes, minus the logit of the other one."""
    rows = torch.arange(len(classes))

    def score(images: Tensor) -> Tensor:
        logits = network.net(network.standardize(images))
        logit = logits[rows, list(classes)]
        return logit if logits.shape[1] > 2 else 2 * logit - logits.sum(1)

    return score


def channel_score(network: TrainedNetwork, stage: int, channels: Sequence[int]) -> Score:
    """The mean of a channel of a stage (from 0) over positions, after the last activation, for each of n images.

    A silent channel has no gradient; the gradient of its mean before the activation replaces it.
    """
    net = network.net
    trunk = nn.Sequential(network.standardize, net.stem, *list(net.stages)[: stage + 1])
    block = net.stages[stage][-1]  # type: ignore[index]
    assert isinstance(block, ResidualBlock)
    rows = torch.arange(len(channels))

    def score(images: Tensor) -> Tensor:
        inputs: list[Tensor] = []
        # the block calls its activation inside and at its end; it may work in place, so its input is copied
        hook = block.residual[1].register_forward_pre_hook(lambda _, args: inputs.append(args[0].clone()))
        try:
            outputs = trunk(images)
        finally:
            hook.remove()
        activations, before = (maps[rows, list(channels)].mean((1, 2)) for maps in (outputs, inputs[-1]))
        return activations + torch.where(activations == 0, before - before.detach(), 0)

    return score


@dataclass(frozen=True)
class MaximisedUnit:
    """What excites one unit, a class or a channel."""

    layer: str  # `Classes`, `Stage 1`
    unit: int
    name: str  # `Dog`, `channel 7`
    images: NDArray[np.float32]  # made images (n,H,W,C) in [0,1]
    reached: Floats  # the unit's activations (n,) on them
    best: Ints  # the validation images that excite it most, the strongest first
    values: Floats  # the unit's activations on those


def analyze(network: TrainedNetwork, result: AnalysisResult) -> None:
    """Makes and draws the images, and measures how far their activations exceed those of validation images."""
    rows, two = sample(network, SEARCHED), len(network.classes) == 2
    layers = hidden_layers(network.net, blocks=False)[1:]
    means, logits = real_activations(network, rows, layers)
    colours = network.prepared(rows[:: max(1, len(rows) // COLOUR_SAMPLE)])

    # makes an image for each of `units`, columns of the activations on real images (n,units)
    def maximise(layer: str, units: list[int], names: Sequence[str], score: Score, real: Floats) -> list[MaximisedUnit]:
        generator = torch.Generator().manual_seed(0)
        images, reached = ascend(FourierImages(len(units), colours, generator), score, generator)
        pixels, values, found = images.permute(0, 2, 3, 1).numpy(), reached.double().numpy(), []
        for unit in dict.fromkeys(units):
            i = np.flatnonzero(np.array(units) == unit)
            best = np.argsort(-real[:, unit], kind="stable")[:BEST]
            found.append(MaximisedUnit(layer, unit, names[unit], pixels[i], values[i], rows[best], real[best, unit]))
        return found

    starts = max(1, STARTS // len(network.classes))
    repeated = [class_ for class_ in range(len(network.classes)) for _ in range(starts)]
    odds = 2 * logits - logits.sum(1, keepdims=True) if two else logits
    classes = maximise("Classes", repeated, network.classes, class_score(network, repeated), odds)
    stages = []
    for k, (layer, values) in enumerate(zip(layers, means, strict=True)):
        channels = differing_channels(values)
        names = [f"channel {channel}" for channel in range(values.shape[1])]
        stages.append(maximise(layer.name, channels, names, channel_score(network, k, channels), values))

    _draw_classes(result, classes)
    _draw_channels(result, "maximise_channels", stages)
    _draw_channels(result, "maximise_best", stages, network)
    units = [*classes, *(unit for stage in stages for unit in stage)]
    table = pd.DataFrame(units, columns=["layer", "unit", "name"])
    table["reached"], table["best_real"] = [unit.reached.max() for unit in units], [unit.values[0] for unit in units]
    table["best_real_image"] = network.indices[[unit.best[0] for unit in units]]
    result.table("maximise", table)
    result.number(**{f"reached_{unit.name}": unit.reached.max() for unit in classes})
    result.number(**{f"best_real_{unit.name}": unit.values[0] for unit in classes})
    facts = []
    for layer, stage in zip(layers, stages, strict=True):
        if ratios := [unit.reached[0] / unit.values[0] for unit in stage if unit.values[0] > 0]:
            facts.append({"name": layer.name, "median": np.median(ratios), "low": min(ratios), "high": max(ratios)})
            result.number(**{f"ratio_{layer.name.lower().replace(' ', '_')}": np.median(ratios)})
    counts = {"steps": STEPS, "starts": starts, "searched": len(rows), "best": len(stages[0][0].best)}
    counts |= {"not_exceeded": sum(unit.reached[0] <= unit.values[0] for stage in stages for unit in stage)}
    result.describe(two=two, classes=classes, stages=facts, channels=len(units) - len(classes), **counts)


def real_activations(network: TrainedNetwork, rows: Ints, layers: Sequence[HiddenLayer]) -> tuple[list[Floats], Floats]:
    """The means over positions of each layer's channels (n,C), and the logits (n,K), of n validation images."""
    batches = [[maps.mean((2, 3)).double() for maps in outputs] for outputs in feature_maps(network, rows, layers)]
    means = [torch.cat(of_layer).numpy() for of_layer in zip(*batches, strict=True)]
    linear = network.net.linear
    return means, means[-1] @ linear.weight.double().numpy().T + linear.bias.double().numpy()


def differing_channels(activations: Floats, count: int = CHANNELS) -> list[int]:
    """Channels with different strongest images, chosen from the more varied half, by activations (n,C).

    Each next channel shares the fewest of its `BEST` images with the channels before it; ties go to the most varied.
    """
    order = np.argsort(-activations.std(0), kind="stable")
    candidates = order[: max(count, len(order) // 2)].tolist()
    best = np.argsort(-activations, 0, kind="stable")[:BEST]
    chosen: list[int] = []
    while candidates and len(chosen) < count:
        chosen.append(min(candidates, key=lambda channel: np.isin(best[:, channel], best[:, chosen]).sum()))
        candidates.remove(chosen[-1])
    return chosen


def _draw_classes(result: AnalysisResult, classes: list[MaximisedUnit]) -> None:
    """Draws the images made for each class: in a row for each class if it has several, else one after another."""
    starts = len(classes[0].images)
    across = starts if starts > 1 else min(ACROSS, len(classes))
    rows = -(-len(classes) * starts // across)
    height = 0.2 + rows * (6.4 / across + 0.1)
    with result.figure("maximise_classes", height=height, nrows=rows, ncols=across) as (_, panels):
        cells = [(unit, k) for unit in classes for k in range(starts)]
        for panel in panels.flat[len(cells) :]:
            panel.set_visible(False)
        for panel, (unit, k) in zip(panels.flat, cells, strict=False):
            _show(panel, unit.images[k], f"{unit.name}: {unit.reached[k]:+.1f}", fontsize=9)


def _draw_channels(
    result: AnalysisResult, name: str, stages: list[list[MaximisedUnit]], real: TrainedNetwork | None = None
) -> None:
    """Draws the image made for each channel, a row for each stage; given a network, the channel's best real images."""
    rows, across = len(stages), max(map(len, stages))
    height = 0.1 + rows * (6.0 / across + 0.25)
    with result.figure(name, height=height, nrows=rows, ncols=across) as (_, panels):
        for panel in panels.flat:
            without_axes(panel)
        for line, stage in zip(panels, stages, strict=True):
            line[0].set_ylabel(stage[0].layer, fontsize=9)
            for panel, unit in zip(line, stage, strict=False):
                if real is None:
                    reached, best = number(unit.reached[0]), number(unit.values[0])
                    _show(panel, unit.images[0], f"{unit.unit}: {reached} ({best})", fontsize=8)
                else:
                    low, high = number(unit.values.min()), number(unit.values.max())
                    _show(panel, two_by_two(real.prepared(unit.best)), f"{unit.unit}: {low} to {high}", fontsize=8)


def two_by_two(images: Tensor) -> NDArray[np.float32]:
    """Images (n,C,S,S) as one (H,W,3), two in a row, with white between them and in empty places."""
    return make_grid(images, nrow=2, padding=2, pad_value=1)[:, 2:-2, 2:-2].permute(1, 2, 0).numpy()


def _show(panel: Axes, image: NDArray[np.float32], title: str, fontsize: int) -> None:
    """Draws an image (H,W,C) in [0,1] with a thin frame, as it may be as white as the page."""
    without_axes(panel)
    panel.spines[:].set(visible=True, color="#999999", linewidth=0.5)
    panel.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    panel.set_title(title, fontsize=fontsize, pad=3)
