"""The kernels of the first convolution, the only ones that see pixels."""

import numpy as np
import pandas as pd

from lit_a1.analysis.intervals import error_bars, wilson_intervals
from lit_a1.analysis.network import Floats, TrainedNetwork
from lit_a1.analysis.result import AnalysisResult
from lit_a1.layers import WeightNormConv2d, weight_norm
from lit_a1.models.residual import ResidualNet
from lit_a1.runs.plotting import COLOURS, MARKERS
from lit_a1.runs.wording import number

TITLE = "The kernels of the first convolution"
ACROSS = 8  # kernels in a row of the figure
CLASSES = ("flat", "horizontal", "vertical", "diagonal", "centre-surround")
SHARES = [f"share_{name.replace('-', '_')}" for name in CLASSES]
DRAWS = 20_000  # random kernels that the classes are compared with
MAX_SHOWN = 64  # kernels in the figure


def stem_weights(net: ResidualNet) -> Floats:
    """Weights (O,C,k,k) of the first convolution as it applies them."""
    convolution = net.stem[0][0]  # type: ignore[index]
    if isinstance(convolution, WeightNormConv2d):
        return weight_norm(convolution.weight_v, convolution.weight_g).detach().double().numpy()
    return convolution.weight.detach().double().numpy()


def patterns(size: int) -> list[list[Floats]]:
    """For each of `CLASSES` one or two sets of orthonormal patterns (P,k*k), at zero mean except for the flat one.

    With x to the right and y downwards from the middle: flat is 1; horizontal y and y^2; vertical x and x^2; diagonal
    x+y and (x+y)^2, or x-y and (x-y)^2; centre-surround x^2+y^2 and its square. The sets overlap.
    """
    y, x = np.mgrid[:size, :size] - (size - 1) / 2

    def basis(*functions: Floats) -> Floats:
        columns = np.stack([np.ones(size**2), *(values.ravel() for values in functions)], 1)
        return np.linalg.qr(columns)[0].T

    horizontal, vertical, down, up, round_ = (basis(t, t**2)[1:] for t in (y, x, x + y, x - y, x**2 + y**2))
    return [[basis()], [horizontal], [vertical], [down, up], [round_]]


def measure(weights: Floats) -> pd.DataFrame:
    """Norm, colour and orientation of kernels (O,C,k,k), a row each.

    `colour_share` is the share of the squared weights that is left after subtracting the mean over the input channels.
    The share of each of `CLASSES` is that of the squared projections onto its `patterns`, summed over the channels.
    Kernels of zeros have shares of 0.
    """
    flat = weights.reshape(*weights.shape[:2], -1)
    energy = (flat**2).sum((1, 2))
    nonzero_energy = np.maximum(energy, np.finfo(float).tiny)
    colour = ((flat - flat.mean(1, keepdims=True)) ** 2).sum((1, 2)) / nonzero_energy

    def share(sets: list[Floats]) -> Floats:
        return np.max([((flat @ basis.T) ** 2).sum((1, 2)) for basis in sets], 0) / nonzero_energy

    shares = [share(sets) for sets in patterns(weights.shape[-1])]
    columns = {"channel": range(len(flat)), "norm": np.sqrt(energy), "colour_share": colour}
    columns |= {"class": np.take(CLASSES, np.argmax(shares, 0))}
    return pd.DataFrame(columns | dict(zip(SHARES, shares, strict=True)))


def analyze(network: TrainedNetwork, result: AnalysisResult) -> None:
    """Draws the kernels, largest norm first, and measures how much colour and which orientations they respond to."""
    weights = stem_weights(network.net)
    count, channels, size, _ = weights.shape
    kernels = measure(weights).sort_values("norm", ascending=False, kind="stable")
    random = measure(np.random.default_rng(0).standard_normal((DRAWS, *weights.shape[1:])))
    counts, expected = ([(measures["class"] == name).sum() for name in CLASSES] for measures in (kernels, random))
    classes = pd.DataFrame({"name": CLASSES, "count": counts, "expected": np.array(expected) / DRAWS})
    classes["share"] = classes["count"] / count
    classes["low"], classes["high"] = wilson_intervals(classes.share, count)
    _draw_kernels(result, weights, kernels)
    _draw_measures(result, kernels, classes)
    result.table("kernels", kernels)
    places = [f"c{c}_y{y}_x{x}" for c, y, x in np.ndindex(weights.shape[1:])]
    table = pd.DataFrame(weights.reshape(count, -1), columns=places).loc[kernels.channel]
    result.table("kernel_weights", table.rename_axis("channel").reset_index())
    result.number(kernels=count, largest_weight=np.abs(weights).max())
    result.number(largest_norm=kernels.norm.max(), smallest_norm=kernels.norm.min())
    result.number(**dict(zip(SHARES, classes.share.tolist(), strict=True)))
    if channels > 1:
        result.number(colour_share=np.average(kernels.colour_share, weights=kernels.norm**2))
        result.number(colour_share_random=random.colour_share.mean(), mostly_colour=(kernels.colour_share > 0.5).sum())
    unusual = classes[(classes.expected < classes.low) | (classes.expected > classes.high)].to_dict("records")
    facts = {"classes": classes.to_dict("records"), "unusual": unusual, "coloured": kernels.colour_share.any()}
    result.describe(size=size, channels=channels, median_norm=kernels.norm.median(), max_shown=MAX_SHOWN, **facts)


def _draw_kernels(result: AnalysisResult, weights: Floats, kernels: pd.DataFrame) -> None:
    shown, scale = kernels[:MAX_SHOWN], np.abs(weights).max()
    rows = -(-len(shown) // ACROSS)
    with result.figure("kernels", height=0.3 + 0.95 * rows, nrows=rows, ncols=ACROSS) as (figure, panels):
        for panel in panels.flat:
            panel.axis("off")
        for panel, channel, norm in zip(panels.flat, shown.channel, shown.norm, strict=False):
            panel.set_title(f"{channel}: {number(norm)}", fontsize=8, pad=3)
            kernel = weights[channel]
            if len(kernel) == 3:
                panel.imshow(0.5 + kernel.transpose(1, 2, 0) / (2 * scale or 1), interpolation="nearest")
            else:
                image = panel.imshow(kernel.mean(0), cmap="PuOr_r", vmin=-scale, vmax=scale, interpolation="nearest")
        if weights.shape[1] != 3:
            figure.colorbar(image, ax=panels, label="Weight", shrink=0.8, aspect=30)


def _draw_measures(result: AnalysisResult, kernels: pd.DataFrame, classes: pd.DataFrame) -> None:
    coloured, count = bool(kernels.colour_share.any()), len(kernels)
    with result.figure("kernel_classes", height=3.2, ncols=1 + coloured) as (figure, panels):
        bars, places = panels[0, 0], classes.index
        errors = {"xerr": count * error_bars(classes.share, count), "capsize": 2, "error_kw": {"lw": 1}}
        bars.barh(places - 0.2, classes["count"], 0.4, color=COLOURS[0], label="learnt", **errors)
        bars.barh(places + 0.2, classes.expected * count, 0.4, color="#bbbbbb", label="random")
        bars.set_yticks(places, CLASSES)
        bars.invert_yaxis()
        bars.grid(visible=False, axis="y")
        bars.set_xlabel("Kernels")
        bars.legend(fontsize=8)
        if coloured:
            points = panels[0, 1]
            for name, colour, marker in zip(CLASSES, COLOURS, MARKERS, strict=False):
                of_class = kernels[kernels["class"] == name]
                points.plot(100 * of_class.colour_share, of_class.norm, marker, color=colour, label=name)
            points.set(xlim=(-3, 103), xlabel="Colour (% of squared weights)", ylabel="Norm")
            points.set_ylim(bottom=0)
            figure.legend(*points.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
