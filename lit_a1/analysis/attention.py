"""Where the network looks: class activation maps, and what happens when a part of the image is covered."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from lit_a1.analysis.hidden_layers import feature_maps, hidden_layers
from lit_a1.analysis.images import most_confident_correct, most_confident_wrong, sample, without_axes
from lit_a1.analysis.intervals import mean_with_interval
from lit_a1.analysis.network import BATCH, Flags, Floats, Ints, TrainedNetwork
from lit_a1.analysis.result import AnalysisResult

TITLE = "Where the network looks"
SHOWN = 6  # images
COMPARED = 50  # images on which both maps are compared
COVERED = 4  # the image's side divided by the square's
FINE, COARSE = 4, 2  # the square's side divided by its step: for the images shown, and for those compared
OPACITY = 0.7  # of a map over its image
PALE = 0.45  # black becomes this grey in the image beneath a map, so that the map's colours show
Pair = tuple[Ints, Ints]  # two classes for each of N images, (N,) each; maps are positive where they favour the first


@dataclass(frozen=True)
class Occlusion:
    """The effect of covering n images: `drops` (n,p,p), the log-odds before minus those after."""

    drops: Floats
    side: int  # of the covering square in pixels
    starts: Ints  # (p,), its first rows (and columns)

    def _covers(self, size: int) -> Flags:
        pixels = np.arange(size) - self.starts[:, None]
        return (pixels >= 0) & (pixels < self.side)

    def means(self, maps: Floats) -> Floats:
        """Means (n,p,p) of maps (n,S,S) over each square."""
        within = self._covers(maps.shape[-1]) / self.side
        return within @ maps @ within.T

    def per_pixel(self, size: int) -> Floats:
        """Maps (n,S,S) with the mean drop at each pixel, over the squares that cover it."""
        covers = self._covers(size).T
        shares = covers / covers.sum(1, keepdims=True)
        return shares @ self.drops @ shares.T


def contrast(logits: Floats, labels: Ints) -> Pair:
    """The classes to compare, from logits (N,K) and true classes (N,).

    With two classes, the second against the first (dog against cat); with more, the true class against the likeliest
    other one.
    """
    if logits.shape[1] == 2:
        return np.ones_like(labels), np.zeros_like(labels)
    others = logits.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return labels, others.argmax(1)


def class_activation_maps(network: TrainedNetwork, rows: Ints) -> tuple[Floats, Floats]:
    """Maps M_k = sum_c w_kc f_c (n,K,h,w) of features f and the last layer's weights w, and the logits (n,K).

    The mean of M_k over positions plus the bias b_k is the logit of class k (Zhou et al. 2016).
    """
    last, linear = hidden_layers(network.net)[-1:], network.net.linear
    batches = [
        torch.einsum("kc,nchw->nkhw", linear.weight, features) for (features,) in feature_maps(network, rows, last)
    ]
    maps = torch.cat(batches).double().numpy()
    return maps, maps.mean((2, 3)) + linear.bias.double().numpy()


def evidence(network: TrainedNetwork, rows: Ints) -> tuple[Floats, Floats, Pair]:
    """Class activation maps of a contrast: maps (n,h,w), the log-odds (n,) that they add up to, and the two classes."""
    maps, logits = class_activation_maps(network, rows)
    towards, against = pair = contrast(logits, network.labels[rows])
    n = np.arange(len(rows))
    return maps[n, towards] - maps[n, against], logits[n, towards] - logits[n, against], pair


def upsample(maps: Floats, size: int) -> Floats:
    """Maps (n,h,w) interpolated bilinearly to (n,size,size)."""
    large: Tensor = F.interpolate(torch.from_numpy(maps)[:, None], (size, size), mode="bilinear", align_corners=False)
    return large[:, 0].numpy()


def occlude(network: TrainedNetwork, rows: Ints, pair: Pair, parts: int) -> Occlusion:
    """Covers images with a square in the training images' mean colour, which moves by its side over `parts`.

    Source: Zeiler & Fergus 2014, section 4.2, with the log-odds of two classes instead of the probability.
    """
    side = network.size // COVERED
    starts = np.unique([*range(0, network.size - side + 1, max(1, side // parts)), network.size - side])
    places = [(y, x) for y in starts for x in starts]
    drops = []

    def log_odds(images: Tensor, k: int) -> Tensor:
        logits = network.net(images).double()
        return logits[:, pair[0][k]] - logits[:, pair[1][k]]

    with torch.inference_mode():
        for k, image in enumerate(network.standardize(network.prepared(rows))):
            before = log_odds(image[None], k)
            for start in range(0, len(places), BATCH):
                batch = places[start : start + BATCH]
                covered = image.repeat(len(batch), 1, 1, 1)
                for copy, (y, x) in zip(covered, batch, strict=True):
                    copy[:, y : y + side, x : x + side] = 0  # standardised, the mean is 0
                drops.append(before - log_odds(covered, k))
    return Occlusion(torch.cat(drops).numpy().reshape(len(rows), len(starts), len(starts)), side, starts)


def central_share(maps: Floats) -> Floats:
    """Share (n,) of the positive part of maps (n,S,S) in the central half of rows and columns; NaN if it is empty."""
    size, mass = maps.shape[-1], np.maximum(maps, 0)
    quarter = size // 4
    inner = mass[:, quarter : size - quarter, quarter : size - quarter].sum((1, 2))
    total = mass.sum((1, 2))
    return np.divide(inner, total, out=np.full_like(total, np.nan), where=total > 0)


def centre_and_spread(maps: Floats) -> Floats:
    """Centre of mass (x and y, from the middle) and spread of the positive part of maps (n,S,S), as (3,n).

    The spread is the root mean square distance from the centre of mass; all are in sides of the image. A map without a
    positive part counts as uniform.
    """
    mass = np.maximum(maps, 0)
    mass[mass.sum((1, 2)) == 0] = 1
    mass /= mass.sum((1, 2), keepdims=True)
    places = (np.arange(maps.shape[-1]) + 0.5) / maps.shape[-1] - 0.5
    x, y = mass.sum(1) @ places, mass.sum(2) @ places
    square = (mass.sum(1) + mass.sum(2)) @ places**2 - x**2 - y**2
    return np.stack([x, y, np.sqrt(np.maximum(square, 0))])


def rank_correlations(maps: Floats, other_maps: Floats) -> Floats:
    """Spearman's rank correlation (n,) between two sets of maps (n,...); NaN if a map is constant."""
    pairs = [(a.ravel(), b.ravel()) for a, b in zip(maps, other_maps, strict=True)]
    return np.array([stats.spearmanr(a, b).statistic if np.ptp(a) > 0 < np.ptp(b) else np.nan for a, b in pairs])


def next_of_same_class(labels: Ints) -> Ints:
    """For each of N images, the next one of its class, cyclically; -1 if there is no other."""
    rows = pd.Series(np.arange(len(labels))).groupby(labels)
    return rows.transform(lambda same_class: np.roll(same_class, -1) if len(same_class) > 1 else -1).to_numpy()


def shown_images(network: TrainedNetwork) -> Ints:
    """The most confident correct images of each class in turn, then up to a third of `SHOWN` wrong ones."""
    wrong = most_confident_wrong(network, SHOWN // 3)
    ranks = [most_confident_correct(network, class_, SHOWN) for class_ in range(len(network.classes))]
    correct = [rows[k] for k in range(SHOWN) for rows in ranks if k < len(rows)][: SHOWN - len(wrong)]
    order = sorted(correct, key=lambda row: int(network.labels[row]))
    return np.array([*order, *wrong], np.int64)


def analyze(network: TrainedNetwork, result: AnalysisResult) -> None:
    """Draws both maps of a few images, and measures how well they agree and where the evidence lies."""
    rows = shown_images(network)
    maps, odds, pair = evidence(network, rows)
    occlusion = occlude(network, rows, pair, FINE)
    activation, drops = upsample(maps, network.size), occlusion.per_pixel(network.size)
    _draw(result, network, rows, odds, pair, {"activation map": activation, "occlusion": drops})
    columns: dict[str, Any] = {"image": network.indices[rows], "class": network.names(network.labels[rows])}
    columns |= {"prediction": network.names(network.predictions[rows])}
    columns |= {"towards": network.names(pair[0]), "against": network.names(pair[1]), "log_odds": odds}
    largest, smallest = occlusion.drops.max((1, 2)), occlusion.drops.min((1, 2))
    result.table("attention", {**columns, "largest_drop": largest, "smallest_drop": smallest})
    facts = _compare_maps(network, result)
    facts |= {"two": len(network.classes) == 2, "classes": network.classes, "size": network.size}
    wrong = int((~network.correct[rows]).sum())
    result.describe(shown=len(rows), wrong=wrong, side=occlusion.side, **measure_centre(network, result), **facts)


def _compare_maps(network: TrainedNetwork, result: AnalysisResult) -> dict[str, Any]:
    rows = sample(network, COMPARED)
    maps, _, pair = evidence(network, rows)
    occlusion = occlude(network, rows, pair, COARSE)
    covered = occlusion.means(upsample(maps, network.size))
    correlations = rank_correlations(covered, occlusion.drops)
    # with two classes, maps of a class have the same sign; with more, each is for the true class
    next_rows = next_of_same_class(network.labels[rows])
    has_next = next_rows >= 0
    of_next = rank_correlations(covered[next_rows[has_next]], occlusion.drops[has_next])
    control, difference = mean_with_interval(of_next), mean_with_interval(correlations[has_next] - of_next)
    names = network.names(network.labels[rows])
    result.table("agreement", {"image": network.indices[rows], "class": names, "rank_correlation": correlations})
    mean, half, count = mean_with_interval(correlations)
    result.number(agreement=mean, agreement_half_interval=half, agreement_images=count)
    result.number(agreement_control=control[0])
    return {"places": occlusion.drops[0].size, "control": control, "difference": difference}


def measure_centre(network: TrainedNetwork, result: AnalysisResult) -> dict[str, Any]:
    """Measures how much of the evidence lies in the middle; returns further values for the template."""
    maps, odds, _ = evidence(network, sample(network))
    shares = central_share(upsample(maps * np.sign(odds)[:, None, None], network.size))  # for the prediction
    mean, half, count = mean_with_interval(shares)
    uniform = central_share(np.ones((1, network.size, network.size)))[0]
    result.number(central_share=mean, central_share_half_interval=half, central_share_uniform=uniform)
    field = hidden_layers(network.net)[-1].field.size
    return {"central_count": count, "shape": maps.shape[1:], "field": field}


def _draw(
    result: AnalysisResult, network: TrainedNetwork, rows: Ints, odds: Floats, pair: Pair, maps: dict[str, Floats]
) -> None:
    """Draws n images, each in a column, and beneath it its maps (n,S,S) over the image in pale grey."""
    layout: dict[str, Any] = {"height": 3.9, "nrows": 1 + len(maps), "ncols": len(rows)}
    with result.figure("attention", **layout) as (figure, panels):
        images = network.prepared(rows).permute(0, 2, 3, 1).numpy()
        for k, (row, image) in enumerate(zip(rows, images, strict=True)):
            label, prediction = network.names([network.labels[row], network.predictions[row]])
            title = f"is {label}\nanswer {prediction}\n"
            if len(network.classes) > 2:
                title += " against ".join(network.names([pair[0][k], pair[1][k]])) + "\n"
            panels[0, k].set_title(f"{title}log-odds {odds[k]:+.1f}", fontsize=8, pad=3)
            panels[0, k].imshow(image, cmap="gray", vmin=0, vmax=1)
            for panel in panels[1:, k]:
                panel.imshow(PALE + (1 - PALE) * image.mean(2), cmap="gray", vmin=0, vmax=1)
        for line, row_maps in zip(panels[1:], maps.values(), strict=True):
            limit = float(np.abs(row_maps).max()) or 1.0
            for panel, values in zip(line, row_maps, strict=True):
                image = panel.imshow(values, cmap="PuOr_r", vmin=-limit, vmax=limit, alpha=OPACITY)
            bar = figure.colorbar(image, ax=list(line), aspect=12, shrink=0.85, pad=0.01)
            bar.ax.tick_params(labelsize=8)
            bar.set_label("Log-odds", size=8)
        for panel, name in zip(panels[:, 0], ("image", *maps), strict=True):
            panel.set_ylabel(name, fontsize=8)
        for panel in panels.flat:
            without_axes(panel)
