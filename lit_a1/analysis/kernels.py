"""The kernels of the first convolution, which are the only ones that look at pixels."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject
from lit_a1.layers import WeightNormConv2d, weight_norm
from lit_a1.models.residual import ResidualNet
from lit_a1.runs.confidence import wilson
from lit_a1.runs.plotting import COLOURS, MARKERS
from lit_a1.runs.wording import counted, listed, number, percent

TITLE = "The kernels of the first convolution"
ACROSS = 8  # kernels in a row of the figure
CLASSES = ("flat", "horizontal", "vertical", "diagonal", "centre-surround")
DRAWS = 20_000  # random kernels that the classes are compared with
MOST = 64  # kernels that are drawn
Floats = NDArray[np.float64]


class Measures(NamedTuple):
    """Of each kernel."""

    norms: Floats
    """(O,) square root of the sum of the squared weights."""
    colour: Floats
    """(O,) share of the squared weights that the mean over the input channels leaves over; 0 for grey pictures."""
    shares: Floats
    """(O,5) share of the squared weights along the patterns of each of `CLASSES`."""

    @property
    def classes(self) -> NDArray[np.int64]:
        """(O,) which of `CLASSES` has the largest share."""
        return self.shares.argmax(1)


def stem_weights(net: ResidualNet) -> Floats:
    """Weights (O,C,k,k) of the first convolution as it applies them: of a weight norm, length times direction."""
    convolution = net.stem[0][0]  # type: ignore[index]
    if isinstance(convolution, WeightNormConv2d):
        weights = weight_norm(convolution.weight_v, convolution.weight_g)
    else:
        weights = convolution.weight
    return weights.detach().double().numpy()


def patterns(size: int) -> list[list[Floats]]:
    """For each of `CLASSES` one or two sets of orthonormal patterns (P,k*k), at zero mean except for the flat one.

    With x to the right and y downwards from the middle of the kernel: flat is 1; horizontal y and y^2, which do not
    change along a row; vertical x and x^2; diagonal x+y and (x+y)^2, or x-y and (x-y)^2; centre-surround x^2+y^2 and
    its square. The sets overlap, so that a kernel's shares need not add up to 1.
    """
    y, x = np.mgrid[:size, :size] - (size - 1) / 2

    def basis(*raw: Floats) -> Floats:
        columns = np.stack([np.ones(size**2), *(each.ravel() for each in raw)], 1)
        return np.linalg.qr(columns)[0].T

    flat = basis()
    horizontal, vertical, down, up, round_ = (basis(along, along**2)[1:] for along in (y, x, x + y, x - y, x**2 + y**2))
    return [[flat], [horizontal], [vertical], [down, up], [round_]]


def measure(weights: Floats) -> Measures:
    """Norm, colour and orientation of kernels (O,C,k,k).

    Orientation is measured on each input channel by itself: squared projections onto the `patterns` are summed over the
    channels and divided by the sum of the squared weights. A kernel of zeros has shares of 0.
    """
    flat = weights.reshape(*weights.shape[:2], -1)
    energy = (flat**2).sum((1, 2))
    some = np.maximum(energy, np.finfo(float).tiny)
    colour = ((flat - flat.mean(1, keepdims=True)) ** 2).sum((1, 2)) / some
    shares = [
        np.max([((flat @ basis.T) ** 2).sum((1, 2)) for basis in sets], 0) / some
        for sets in patterns(weights.shape[-1])
    ]
    return Measures(np.sqrt(energy), colour, np.stack(shares, 1))


def analyze(subject: Subject, part: Part) -> None:
    """Draws the kernels, largest norm first, and says how much colour and which orientations they respond to."""
    weights = stem_weights(subject.net)
    found = measure(weights)
    order = np.argsort(-found.norms, kind="stable")
    count, channels, size, _ = weights.shape
    random = measure(np.random.default_rng(0).standard_normal((DRAWS, *weights.shape[1:])))
    expected = np.bincount(random.classes, minlength=len(CLASSES)) / DRAWS
    counts = np.bincount(found.classes, minlength=len(CLASSES))
    scale = float(np.abs(weights).max())

    _draw_kernels(part, weights[order][:MOST], order, found.norms, scale)
    _draw_measures(part, found, counts, expected)
    part.table(
        "kernels",
        ["channel", "norm", "colour_share", "class", *(f"share_{name.replace('-', '_')}" for name in CLASSES)],
        [[int(k), found.norms[k], found.colour[k], CLASSES[found.classes[k]], *found.shares[k]] for k in order],
    )
    places = [f"c{c}_y{y}_x{x}" for c in range(channels) for y in range(size) for x in range(size)]
    part.table("kernel_weights", ["channel", *places], [[int(k), *weights[k].ravel()] for k in order])
    part.number(kernels=count, largest_weight=scale, largest_norm=found.norms.max(), smallest_norm=found.norms.min())
    part.number(**{f"share_{name.replace('-', '_')}": counts[k] / count for k, name in enumerate(CLASSES)})
    part.say(
        f"The first convolution has {counted(count, 'kernel')} of {size}x{size} pixels and "
        f"{counted(channels, 'channel')}. They are shown as learnt, on standardised pictures, before the norm that "
        f"follows rescales what they put out. Their Euclidean norms go from {number(found.norms.min())} to "
        f"{number(found.norms.max())}, with a median of {number(float(np.median(found.norms)))}."
    )
    if channels > 1:
        part.say(_of_colour(part, weights, found, random))
    part.say(_of_orientation(counts, expected))


def _of_colour(part: Part, weights: Floats, found: Measures, random: Measures) -> str:
    energy = found.norms**2
    share = float((found.colour * energy).sum() / energy.sum())
    most = int((found.colour > 0.5).sum())
    part.number(colour_share=share, colour_share_random=random.colour.mean(), mostly_colour=most)
    low, high = wilson(most / len(energy), len(energy))
    return (
        f"A kernel is split into the mean over its {weights.shape[1]} channels, which responds to brightness, and what "
        f"is left, which responds to colour. Colour holds {percent(share)} of the squared weights of all kernels "
        f"(random weights: {percent(float(random.colour.mean()))}), and more than half of them in {most} of "
        f"{len(energy)} kernels ({percent(most / len(energy))}, 95 % interval {percent(low)} to {percent(high)})."
    )


def _of_orientation(counts: NDArray[np.int64], expected: Floats) -> str:
    count, differ, said = int(counts.sum()), [], []
    for name, found, chance in zip(CLASSES, counts, expected, strict=True):
        low, high = wilson(found / count, count)
        said.append(f"{name} {found} ({percent(chance)} of random ones)")
        if not low <= chance <= high:
            differ.append(f"{name} ones are {'more' if found / count > chance else 'less'} frequent")
    return (
        f"By the pattern that holds most of its squared weights, each kernel falls into one class: {listed(said)}. "
        + (
            f"Outside the 95 % interval (Wilson, n = {count}) of what random weights would give, {listed(differ)}."
            if differ
            else f"No class differs from what random weights would give by more than its 95 % interval (n = {count})."
        )
    )


# figures


def _draw_kernels(part: Part, weights: Floats, order: NDArray[np.int64], norms: Floats, scale: float) -> None:
    rows, colour = -(-len(weights) // ACROSS), weights.shape[1] == 3
    rest = f" The first {MOST} of {len(norms)} are shown." if len(norms) > MOST else ""
    look = (
        f"Red, green and blue are the weights of the three channels: mid-grey is 0, full colour +{number(scale)} and "
        f"none -{number(scale)}, the same for all kernels."
        if colour
        else f"White is 0; the colour bar, the same for all kernels, ends at ±{number(scale)}."
    )
    caption = (
        "Kernels of the first convolution, the largest norm first. Above each stands the number of its channel and its "
        f"norm. {look} Look for edges of one orientation, spots and opposed colours; a plain square averages.{rest}"
    )
    with part.figure(
        "kernels", caption, shows_pictures=False, height=0.3 + 0.95 * rows, nrows=rows, ncols=ACROSS, squeeze=False
    ) as (drawing, panels):
        for panel, place in zip(panels.flat, range(rows * ACROSS), strict=True):
            panel.axis("off")
            if place < len(weights):
                _draw_kernel(panel, drawing if place == 0 else None, weights[place], scale, panels)
                panel.set_title(f"{order[place]}: {number(norms[order[place]])}", fontsize=8, pad=3)


def _draw_kernel(panel: Axes, drawing: Figure | None, kernel: Floats, scale: float, panels: Any) -> None:
    """Draws a kernel (C,k,k); where `drawing` is given, with the colour bar for all `panels`."""
    if len(kernel) == 3:
        panel.imshow(0.5 + kernel.transpose(1, 2, 0) / (2 * scale or 1), interpolation="nearest")
        return
    shown = panel.imshow(kernel.mean(0), cmap="PuOr_r", vmin=-scale, vmax=scale, interpolation="nearest")
    if drawing is not None:
        drawing.colorbar(shown, ax=panels, label="Weight", shrink=0.8, aspect=30)


def _draw_measures(part: Part, found: Measures, counts: NDArray[np.int64], expected: Floats) -> None:
    colour = bool(found.colour.any())
    caption = "Number of kernels by the pattern that holds most of their squared weights, with 95 % intervals (Wilson)."
    caption += " The bar beside each is what random weights would give on average."
    if colour:
        caption += " Right: norm against the share of colour, a point a kernel; 0 responds to brightness alone."
    count = int(counts.sum())
    with part.figure("kernel_classes", caption, shows_pictures=False, height=3.2, ncols=1 + colour, squeeze=False) as (
        drawing,
        panels,
    ):
        bars, places = panels[0, 0], np.arange(len(CLASSES))
        low, high = np.array([wilson(each / count, count) for each in counts]).T * count
        bars.barh(places - 0.2, counts, 0.4, color=COLOURS[0], label="learnt")
        bars.barh(places + 0.2, expected * count, 0.4, color="#bbbbbb", label="random")
        reach = np.maximum([counts - low, high - counts], 0)
        bars.errorbar(counts, places - 0.2, xerr=reach, fmt="none", ecolor="black", lw=1, capsize=2)
        bars.set_yticks(places, CLASSES)
        bars.invert_yaxis()
        bars.grid(visible=False, axis="y")
        bars.set_xlabel("Kernels")
        bars.legend(fontsize=8)
        if colour:
            for k, name in enumerate(CLASSES):
                here = found.classes == k
                panels[0, 1].plot(100 * found.colour[here], found.norms[here], MARKERS[k], color=COLOURS[k], label=name)
            panels[0, 1].set_xlim(-3, 103)
            panels[0, 1].set_ylim(bottom=0)
            panels[0, 1].set_xlabel("Colour (% of squared weights)")
            panels[0, 1].set_ylabel("Norm")
            drawing.legend(*panels[0, 1].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
