"""What misclassified images, and images near 50 %, have in common in the image, its border and its activation map."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray
from scipy import stats

from lit_a1.analysis.attention import centre_and_spread, evidence
from lit_a1.analysis.intervals import error_bars, wilson_intervals
from lit_a1.analysis.network import Flags, Floats, Ints, TrainedNetwork
from lit_a1.analysis.result import AnalysisResult
from lit_a1.data.colour import LUMA
from lit_a1.runs.statistics import ALPHA, Z, holm

TITLE = "What misclassified images have in common"
NEAR = 1.5  # odds of the likeliest class against the next, below which a prediction is near 50 %
BINS, MIN_IMAGES = 6, 5  # largest number of bins; images that a bin should have
LEVELS = 64  # of an image's histogram for Otsu's threshold
AT_ONCE = 500  # images
BORDER = 8  # side of the image over width of the border whose colour is measured
PROPERTIES = pd.read_csv(Path(__file__).with_name("properties.csv"), index_col="name")
"""The measured properties: their names in tables and on axes, and words for images that have less or more of each."""


def analyze(network: TrainedNetwork, result: AnalysisResult) -> None:
    """Compares properties of wrong and near images with the others', and relates them to log-odds within each class."""
    wrong, near = ~network.correct, network.leads() < np.log(NEAR)
    properties = measure(network.images) | measure_evidence(network)
    bins = pd.concat([equal_bins(values, wrong).assign(property=name) for name, values in properties.items()])
    bins["error"] = bins.mistakes / bins.images
    bins["error_low"], bins["error_high"] = wilson_intervals(bins.error, bins.images)
    _draw(result, bins, network.error)
    columns = {"index": network.indices, "truth": network.names(network.labels), "right": network.correct.astype(int)}
    result.table("conditions", columns | {"near": near.astype(int)} | properties)
    result.table("conditions_bins", bins[["property", *bins.columns.drop("property")]])

    tests = tests_of(network, properties, {"wrong": wrong, "near": near})
    result.table("conditions_tests", tests)
    for row in tests.itertuples():
        result.number(**{f"{row.property}_{row.test}": row.value, f"{row.property}_{row.test}_p_holm": row.p_holm})
    varied = [name for name, values in properties.items() if np.ptp(values) > 0 and len(values) > 2]
    pairs = {(a, b): stats.spearmanr(properties[a], properties[b]).statistic for a, b in combinations(varied, 2)}
    pair = max(pairs, key=lambda names: abs(pairs[names]), default=())
    if pair:
        result.number(largest_correlation=pairs[pair])
    significant = tests[(tests.p_holm < ALPHA) & tests.test.isin(["wrong", "near"])]
    significant = significant.assign(side=np.where(significant.value > 0.5, "more", "less"))
    differences = {
        test: [PROPERTIES[row.side][row.property] for row in significant[significant.test == test].itertuples()]
        for test in ("wrong", "near")
    }
    harder = {side: significant.property[significant.side == side].tolist() for side in ("more", "less")}
    cells = {(row.property, row.test): row._asdict() for row in tests.itertuples()}
    facts = {"cells": cells, "harder": harder, "pair": PROPERTIES.words[list(pair)].tolist()}
    facts |= {"measured": [(name, PROPERTIES.words[name]) for name in properties], "found": differences, "alpha": ALPHA}
    facts |= {"two": len(network.classes) == 2, "classes": network.classes, "odds": NEAR}
    result.describe(count=len(wrong), wrong=int(wrong.sum()), near=int(near.sum()), **facts)


def tests_of(network: TrainedNetwork, properties: dict[str, Floats], groups: dict[str, Flags]) -> pd.DataFrame:
    """All tests of properties (N,), a row each, with p-values corrected for their number (`p_holm`).

    `chance_of_more` compares each group of images (N,) with the others. With two classes, `rank_correlation` relates a
    property within each class to the log-odds of the second class against the first (`odds_NAME`).
    """
    odds, rows = network.log_probabilities.astype(np.float64) @ np.array([-1, 1, *[0] * (len(network.classes) - 2)]), []
    for name, values in properties.items():
        results = {group: chance_of_more(values, chosen) for group, chosen in groups.items()}
        for k, class_ in enumerate(network.classes if len(network.classes) == 2 else ()):
            in_class = network.labels == k
            results[f"odds_{class_}"] = rank_correlation(values[in_class], odds[in_class])
        rows += [{"property": name, "test": test, **values} for test, values in results.items() if values]
    tests = pd.DataFrame(rows, columns=["property", "test", "value", "low", "high", "p"])
    return tests.assign(p_holm=holm(tests.p.tolist()))


def measure(images: NDArray[np.uint8]) -> dict[str, Floats]:
    """Properties (N,) of images (N,H,W,C), at least 3 pixels high and wide, by name.

    Brightness is the mean luma, 0 (black) to 1 (white); contrast its standard deviation over the image; sharpness the
    variance of its 4-neighbour Laplacian away from the edge, a measure of focus (Pech-Pacheco et al. 2000). For colour
    images also, from the mean colour of the border: green minus the mean of red and blue, and red minus blue, each -1
    to 1.
    """
    batches = []
    frame = _frame(images.shape[1:3], max(1, images.shape[1] // BORDER))
    for start in range(0, len(images), AT_ONCE):
        batch = images[start : start + AT_ONCE] / 255
        coloured = batch.shape[-1] == 3
        luma = batch @ np.array(LUMA) if coloured else batch[..., 0]
        inner = luma[:, 1:-1, 1:-1]
        laplacian = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:] - 4 * inner
        objects = foreground(batch)
        touching = objects[:, _frame(images.shape[1:3], 1)].mean(1)
        values = [luma.mean((1, 2)), luma.std((1, 2)), laplacian.var((1, 2)), objects.mean((1, 2)), touching]
        if coloured:
            red, green, blue = batch[:, frame].mean(1).T
            values += [green - (red + blue) / 2, red - blue]
        batches.append(values)
    return dict(zip(PROPERTIES.index, map(np.concatenate, zip(*batches, strict=True)), strict=False))


def measure_evidence(network: TrainedNetwork) -> dict[str, Floats]:
    """Where the evidence for the prediction lies in the class activation map, (N,) each, in sides of the image.

    The distance of its centre of mass from the middle of the image, and its spread around that centre.
    """
    maps, odds, _ = evidence(network, np.arange(len(network.labels)))
    x, y, spread = centre_and_spread(maps * np.sign(odds)[:, None, None])
    return {"off_centre": np.hypot(x, y), "spread": spread}


def _frame(shape: tuple[int, ...], width: int) -> Flags:
    """Which pixels (H,W) are within `width` of the edge."""
    inner = np.zeros([side - 2 * width for side in shape], np.bool_)
    return np.pad(inner, width, constant_values=True)


def foreground(images: Floats) -> Flags:
    """Which pixels (N,H,W) of images (N,H,W,C) in [0,1] have a colour far from the median colour of the edge.

    Otsu's threshold splits the distances of each image. The share of such pixels is a proxy for the size of the object.
    It misleads if the background is not plain or the object reaches the edge.
    """
    edge_colour = np.median(images[:, _frame(images.shape[1:3], 1)], 1)[:, None, None]
    distances = np.linalg.norm(images - edge_colour, axis=-1).reshape(len(images), -1)
    largest = distances.max(1, keepdims=True)
    scaled = np.divide(distances, largest, out=np.zeros_like(distances), where=largest > 0)
    levels = np.minimum((scaled * LEVELS).astype(np.int64), LEVELS - 1)
    return (levels > otsu(levels)[:, None]).reshape(images.shape[:3])


def otsu(levels: Ints) -> Ints:
    """The threshold (N,) of pixels (N,P) with `LEVELS` levels that maximises the variance between the two groups.

    It is the darker group's last level; 0 if all pixels have one level. Source: Otsu 1979, equation 18.
    """
    count = len(levels)
    offsets = np.arange(count)[:, None] * LEVELS
    histogram = np.bincount((levels + offsets).ravel(), minlength=count * LEVELS).reshape(count, LEVELS)
    shares = histogram / levels.shape[1]
    below = shares.cumsum(1)  # omega(k)
    mean = (shares * np.arange(LEVELS)).cumsum(1)  # mu(k)
    spread = below * (1 - below)
    between = np.divide((mean[:, -1:] * below - mean) ** 2, spread, out=np.zeros_like(below), where=spread > 1e-9)
    return between.argmax(1)


def equal_bins(values: Floats, wrong: Flags) -> pd.DataFrame:
    """Cuts N images at the quantiles of a property into bins, a row each; equal values stay together."""
    count = max(1, min(BINS, len(values) // MIN_IMAGES))
    place = np.searchsorted(np.quantile(values, np.arange(1, count) / count), values, side="right")
    bins = pd.DataFrame({"value": values, "wrong": wrong}).groupby(place)
    of_value = {"low": ("value", "min"), "high": ("value", "max"), "middle": ("value", "median")}
    return bins.agg(**of_value, images=("wrong", "size"), mistakes=("wrong", "sum"))


def chance_of_more(values: Floats, chosen: Flags) -> dict[str, Any] | None:
    """Compares a property (N,) between chosen images and the others; None if either group is empty.

    `value` is the chance that a chosen image has more of it than another one, ties counting half: the area under the
    ROC curve. `low` to `high` is its 95 % interval (DeLong et al. 1988, Biometrics 44), NaN if either group has fewer
    than two images; `p` is that of Mann & Whitney's two-sided test (1947).
    """
    inside, outside = values[chosen], values[~chosen]
    if not len(inside) or not len(outside):
        return None
    if np.ptp(values) == 0:
        return {"value": 0.5, "low": np.nan, "high": np.nan, "p": 1.0}
    test = stats.mannwhitneyu(inside, outside)
    chance, half = float(test.statistic) / (len(inside) * len(outside)), np.nan
    if min(len(inside), len(outside)) > 1:
        ranks = stats.rankdata(values)  # minus the rank in its own group: how many of the other group it exceeds
        inside_shares = (ranks[chosen] - stats.rankdata(inside)) / len(outside)
        outside_shares = (ranks[~chosen] - stats.rankdata(outside)) / len(inside)
        half = Z * np.sqrt(inside_shares.var(ddof=1) / len(inside) + outside_shares.var(ddof=1) / len(outside))
    low, high = np.clip([chance - half, chance + half], 0, 1)
    return {"value": chance, "low": low, "high": high, "p": test.pvalue}


def rank_correlation(values: Floats, others: Floats) -> dict[str, Any] | None:
    """Spearman's correlation of two quantities (n,), 95 % interval and p; None if either is constant or n < 4.

    The interval is Fisher's with the standard error of Bonett & Wright (2000, Psychometrika 65).
    """
    if len(values) < 4 or not (np.ptp(values) > 0 < np.ptp(others)):
        return None
    test = stats.spearmanr(values, others)
    half = Z * np.sqrt((1 + test.statistic**2 / 2) / (len(values) - 3))
    middle = np.arctanh(np.clip(test.statistic, -1 + 1e-9, 1 - 1e-9))
    low, high = np.tanh([middle - half, middle + half])
    return {"value": test.statistic, "low": low, "high": high, "p": test.pvalue}


def _draw(result: AnalysisResult, bins: pd.DataFrame, error: float) -> None:
    names = list(dict.fromkeys(bins.property))
    rows = -(-len(names) // 3)
    with result.figure("conditions", height=2.1 * rows, nrows=rows, ncols=3, sharey=True) as (_, panels):
        for axes in panels.flat[len(names) :]:
            axes.set_visible(False)
        for axes, name in zip(panels.flat, names, strict=False):
            group = bins[bins.property == name]
            errors = 100 * error_bars(group.error, group.images)
            axes.errorbar(group.middle, 100 * group.error, errors, fmt="o", markersize=5)
            axes.axhline(100 * error, color="black", lw=1, ls="--")
            axes.set_xlabel(PROPERTIES.axis[name], fontsize=8)
            axes.tick_params(labelsize=8)
            if name == "sharpness" and group.middle.min() > 0:
                axes.set_xscale("log")
                ticks = np.geomspace(group.middle.min(), group.middle.max(), 3 if len(group) > 1 else 1)
                axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
                axes.xaxis.set_minor_locator(NullLocator())
            else:
                axes.xaxis.set_major_locator(MaxNLocator(4))
        for axes in panels[:, 0]:
            axes.set_ylabel("Error (%)")
        panels[0, 0].set_ylim(bottom=0)
