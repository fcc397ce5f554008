"""Whether mistakes go with what images are like: brightness, contrast, sharpness and share of foreground."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray
from scipy import stats

from lit_a1.analysis.intervals import error_bars, wilson_intervals
from lit_a1.analysis.network import Flags, Floats, Ints, TrainedNetwork
from lit_a1.analysis.result import AnalysisResult
from lit_a1.data.augment import LUMA
from lit_a1.runs.statistics import ALPHA, Z, holm

TITLE = "What makes images hard"
BINS, LEAST = 6, 5  # bins at most; images that a bin should have
LEVELS = 64  # of the histogram that an image is divided by
AT_ONCE = 500  # images
AXES = {
    "brightness": "Brightness (mean luma)",
    "contrast": "Contrast (std of luma)",
    "sharpness": "Sharpness (variance of Laplacian)",
    "foreground": "Share of foreground (proxy of size)",
}
NAMES = {name: "share of foreground" if name == "foreground" else name for name in AXES}


def analyze(network: TrainedNetwork, result: AnalysisResult) -> None:
    """Draws the error against four quantities of the images, and tests which of them go with mistakes."""
    quantities, wrong = measure(network.images), ~network.correct
    bins = pd.concat([equal_bins(values, wrong).assign(quantity=name) for name, values in quantities.items()])
    bins["error"] = bins.mistakes / bins.images
    bins["error_low"], bins["error_high"] = wilson_intervals(bins.error, bins.images)
    _draw(result, bins, network.error)
    columns = {"index": network.indices, "truth": network.names(network.labels), "right": network.correct.astype(int)}
    result.table("conditions", columns | quantities)
    result.table("conditions_bins", bins[["quantity", *bins.columns.drop("quantity")]])

    trends = {name: found for name, values in quantities.items() if (found := trend(values, wrong))}
    corrected = holm([found["p"] for found in trends.values()])
    for (name, found), p in zip(trends.items(), corrected, strict=True):
        found |= {"name": NAMES[name], "p_holm": p}
        result.number(**{f"{name}_{key}": found[key] for key in ("chance", "p", "p_holm")})
    varied = [name for name, values in quantities.items() if np.ptp(values) > 0 and len(values) > 2]
    pairs = {(a, b): stats.spearmanr(quantities[a], quantities[b]).statistic for a, b in combinations(varied, 2)}
    pair = max(pairs, key=lambda names: abs(pairs[names]), default=())
    if pair:
        result.number(largest_correlation=pairs[pair])
    clear = {found["name"]: found["chance"] for found in trends.values() if found["p_holm"] < ALPHA}
    facts = {"more": [name for name, chance in clear.items() if chance > 0.5], "pair": [NAMES[name] for name in pair]}
    facts |= {"less": [name for name, chance in clear.items() if chance <= 0.5], "trends": list(trends.values())}
    result.describe(count=len(wrong), wrong=int(wrong.sum()), **facts)


def measure(images: NDArray[np.uint8]) -> dict[str, Floats]:
    """Quantities (N,) of images (N,H,W,C), at least 3 pixels high and wide, by name.

    Brightness is the mean luma, 0 (black) to 1 (white); contrast its standard deviation over the image; sharpness
    the variance of its 4-neighbour Laplacian away from the edge, a measure of focus (Pech-Pacheco et al. 2000).
    """
    parts = []
    for start in range(0, len(images), AT_ONCE):
        some = images[start : start + AT_ONCE] / 255
        luma = some @ np.array(LUMA) if some.shape[-1] == 3 else some[..., 0]
        inner = luma[:, 1:-1, 1:-1]
        laplacian = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:] - 4 * inner
        parts.append((luma.mean((1, 2)), luma.std((1, 2)), laplacian.var((1, 2)), foreground_share(some)))
    return dict(zip(AXES, map(np.concatenate, zip(*parts, strict=True)), strict=True))


def foreground_share(images: Floats) -> Floats:
    """Share (N,) of the pixels of images (N,H,W,C) in [0,1] whose colour is far from the border's median colour.

    The distances are cut in two by Otsu's threshold, image by image. A proxy for the size of what is shown, which
    is misled where the background is not plain or where the object reaches the border.
    """
    border = np.concatenate([images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]], 1)
    around = np.median(border, 1)[:, None, None]
    distances = np.linalg.norm(images - around, axis=-1).reshape(len(images), -1)
    largest = distances.max(1, keepdims=True)
    scaled = np.divide(distances, largest, out=np.zeros_like(distances), where=largest > 0)
    levels = np.minimum((scaled * LEVELS).astype(np.int64), LEVELS - 1)
    return (levels > otsu(levels)[:, None]).mean(1)


def otsu(levels: Ints) -> Ints:
    """The threshold (N,) of pixels (N,P) of `LEVELS` levels that makes the variance between the groups largest.

    It is the darker group's last level; 0 where all pixels are of one level. Source: Otsu 1979, equation 18.
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
    """Cuts N images at the quantiles of a quantity into bins, a row each; equal values stay together."""
    count = max(1, min(BINS, len(values) // LEAST))
    place = np.searchsorted(np.quantile(values, np.arange(1, count) / count), values, side="right")
    bins = pd.DataFrame({"value": values, "wrong": wrong}).groupby(place)
    of_value = {"low": ("value", "min"), "high": ("value", "max"), "middle": ("value", "median")}
    return bins.agg(**of_value, images=("wrong", "size"), mistakes=("wrong", "sum"))


def trend(values: Floats, wrong: Flags) -> dict[str, Any] | None:
    """Compares a quantity (N,) between wrong and correct images; None where there is but one kind.

    `chance` is that a wrong image has more of it than a correct one, ties counting half: the area under the ROC
    curve. `low` to `high` is its 95 % interval (DeLong et al. 1988, Biometrics 44), NaN where either kind has fewer
    than two images; `p` is that of Mann & Whitney's two-sided test (1947).
    """
    bad, good = values[wrong], values[~wrong]
    if not len(bad) or not len(good):
        return None
    if np.ptp(values) == 0:
        return {"chance": 0.5, "low": np.nan, "high": np.nan, "p": 1.0}
    test = stats.mannwhitneyu(bad, good)
    chance, half = float(test.statistic) / (len(bad) * len(good)), np.nan
    if min(len(bad), len(good)) > 1:
        ranks = stats.rankdata(values)  # less the rank among its own kind: how many of the other kind an image exceeds
        shares = (ranks[wrong] - stats.rankdata(bad)) / len(good), (ranks[~wrong] - stats.rankdata(good)) / len(bad)
        half = Z * np.sqrt(sum(each.var(ddof=1) / len(each) for each in shares))
    low, high = np.clip([chance - half, chance + half], 0, 1)
    return {"chance": chance, "low": low, "high": high, "p": test.pvalue}


def _draw(result: AnalysisResult, bins: pd.DataFrame, error: float) -> None:
    with result.figure("conditions", height=5.0, nrows=2, ncols=2, sharey=True) as (_, panels):
        for axes, (name, label) in zip(panels.flat, AXES.items(), strict=True):
            found = bins[bins.quantity == name]
            errors = 100 * error_bars(found.error, found.images)
            axes.errorbar(found.middle, 100 * found.error, errors, fmt="o", markersize=6)
            axes.axhline(100 * error, color="black", lw=1, ls="--")
            axes.set_xlabel(label)
            if name == "sharpness" and found.middle.min() > 0:
                axes.set_xscale("log")
                ticks = np.geomspace(found.middle.min(), found.middle.max(), 4 if len(found) > 1 else 1)
                axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
                axes.xaxis.set_minor_locator(NullLocator())
            else:
                axes.xaxis.set_major_locator(MaxNLocator(5))
        for axes in panels[:, 0]:
            axes.set_ylabel("Error (%)")
        panels[0, 0].set_ylim(bottom=0)
