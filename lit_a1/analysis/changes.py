"""What predictions rest on: the effect of changing the background, the colours or the frame of an image."""

from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from lit_a1.analysis.attention import centre_and_spread, evidence, upsample
from lit_a1.analysis.images import sample
from lit_a1.analysis.intervals import error_bars, mean_with_interval, wilson_intervals
from lit_a1.analysis.network import BATCH, Flags, Floats, Ints, TrainedNetwork
from lit_a1.analysis.result import AnalysisResult
from lit_a1.data.colour import LUMA
from lit_a1.runs.plotting import COLOURS, MARKERS
from lit_a1.runs.statistics import ALPHA, holm

TITLE = "What happens when the background or the colours are changed"
COUNT = 400  # images, plus all wrong ones
BLUR = 1 / 12  # standard deviation of the blur, in sides of the image
ZOOM = 0.75  # side of the enlarged part, in sides of the image
TINTS = {"green": (0.75, 1.0, 0.5), "blue": (0.5, 0.75, 1.0), "grey": (1.0, 1.0, 1.0)}
UNCHANGED = "as it is"
LOG_ODDS_TICKS = (-10, -3, -1, -0.5, 0, 0.5, 1, 3, 10)  # of axes that are linear up to 1
SHARE_TICKS = (0, 1, 3, 10, 30, 100)


def analyze(network: TrainedNetwork, result: AnalysisResult) -> None:
    """Changes images in several ways, and measures the effect on the log-odds and the predictions."""
    sample_rows, two = sample(network, COUNT), len(network.classes) == 2
    rows = np.union1d(sample_rows, np.flatnonzero(~network.correct))
    maps, before, pair = evidence(network, rows)
    labels, sampled, n = network.labels[rows], np.isin(rows, sample_rows), np.arange(len(rows))
    centres = centre_and_spread(maps * np.sign(before)[:, None, None])[:2]  # of the evidence for the prediction
    maps *= np.where(labels == pair[0], 1, -1)[:, None, None]  # for the true class
    logits = _logits(network, rows, maps, centres)
    odds = {name: values[n, pair[0]] - values[n, pair[1]] for name, values in logits.items()}
    predictions = {name: values.argmax(1) for name, values in logits.items()}
    unchanged, correct = predictions[UNCHANGED], predictions[UNCHANGED] == labels
    groups = {name: labels == k for k, name in enumerate(network.classes)} if two else {"all": labels >= 0}

    effect_list, flip_list = [], []
    for name in list(logits)[1:]:
        for group, in_group in groups.items():
            differences = (odds[name] - odds[UNCHANGED])[sampled & in_group]
            effect_list.append({"change": name, "class": group, **_effect(differences)})
        correct_after = predictions[name] == labels
        counts = {"images": sampled.sum(), "changed": (predictions[name] != unchanged)[sampled].sum()}
        counts |= {"right": (correct & sampled).sum(), "made": (correct & ~correct_after & sampled).sum()}
        counts |= {"wrong": (~correct).sum(), "mended": (~correct & correct_after).sum()}
        flip_list.append({"change": name, **counts})
    effects, flips = pd.DataFrame(effect_list), pd.DataFrame(flip_list)
    effects["p_holm"] = holm(effects.p.tolist())
    flips["share"] = flips.changed / flips.images
    flips["low"], flips["high"] = wilson_intervals(flips.share, flips.images)
    result.table("changes_log_odds", effects)
    result.table("changes_predictions", flips)
    for row in effects.itertuples():
        key = f"{row.change}_{row[2]}".lower().replace(" ", "_")
        result.number(**{key: row.mean, f"{key}_half_interval": row.half, f"{key}_p_holm": row.p_holm})
    _draw(result, effects, flips, f" of {network.classes[1]}" if two else "")
    facts: dict[str, Any] = {"flips": flips.set_index("change").to_dict("index"), "green": None, "two": two}
    if "background green" in odds:
        difference = odds["background green"] - odds["background blue"]
        mean, half, _ = facts["green"] = mean_with_interval(difference[sampled])
        result.number(green_less_blue=mean, green_less_blue_half_interval=half)
    facts |= {"zoom": ZOOM, "blur": BLUR, "classes": network.classes, "images": len(network.labels)}
    facts |= {"effects": {(row["change"], row["class"]): row for row in effects.to_dict("records")}}
    result.describe(count=len(sample_rows), alpha=ALPHA, **facts)


def _effect(differences: Floats) -> dict[str, float]:
    """Mean of differences (n,), half its 95 % interval, and p of Student's t-test, which is 1 if nothing differs."""
    mean, half, count = mean_with_interval(differences)
    varied = count > 1 and np.ptp(differences) > 0
    p = float(stats.ttest_1samp(differences, 0).pvalue) if varied else 1.0
    return {"images": count, "mean": mean, "half": half, "p": p}


def lower_half(maps: Floats) -> Flags:
    """Marks the half of each map's pixels (n,S,S) with the smallest values."""
    ranks = maps.reshape(len(maps), -1).argsort(1, kind="stable").argsort(1)
    return (ranks < ranks.shape[1] // 2).reshape(maps.shape)


def _logits(network: TrainedNetwork, rows: Ints, maps: Floats, centres: Floats) -> dict[str, Floats]:
    """Logits (n,K) of images as they are and after each change."""
    batches_by_change: dict[str, list[Tensor]] = {}
    for start in range(0, len(rows), BATCH):
        background = lower_half(upsample(maps[start : start + BATCH], network.size))
        images = network.prepared(rows[start : start + BATCH])
        versions = change_images(images, torch.from_numpy(background)[:, None], centres[:, start : start + BATCH])
        with torch.inference_mode():
            for name, images_after in versions.items():
                batches_by_change.setdefault(name, []).append(network.net(network.standardize(images_after)).double())
    return {name: torch.cat(batches).numpy() for name, batches in batches_by_change.items()}


def change_images(images: Tensor, background: Tensor, centres: Floats) -> dict[str, Tensor]:
    """Images (n,C,S,S) in [0,1], as they are and changed in several ways; colours only change in colour images.

    Args:
        images: as the network sees them, not standardised.
        background: (n,1,S,S), which pixels are background; the others have the evidence.
        centres: (2,n), x and y of the middle of the enlarged part, as in `centre_and_spread`.
    """
    sigma = BLUR * images.shape[-1]
    blurred = gaussian_blur(images, [2 * round(2 * sigma) + 1] * 2, [sigma] * 2)
    versions = {UNCHANGED: images}
    if images.shape[1] == 3:
        tints = {name: tint(images, colour) for name, colour in TINTS.items()}
        versions |= {f"background {name}": torch.where(background, tinted, images) for name, tinted in tints.items()}
        versions |= {"all grey": tints["grey"]}
    versions |= {"background blurred": torch.where(background, blurred, images)}
    versions |= {"evidence blurred": torch.where(background, images, blurred)}
    x, y = 2 * torch.from_numpy(centres).float().clamp((ZOOM - 1) / 2, (1 - ZOOM) / 2)
    zero = torch.zeros_like(x)
    part = torch.stack([zero + ZOOM, zero, x, zero, zero + ZOOM, y], 1).view(-1, 2, 3)
    grid = F.affine_grid(part, list(images.shape), align_corners=False)
    versions |= {"mirrored": images.flip(3)}
    return versions | {"enlarged": F.grid_sample(images, grid, padding_mode="border", align_corners=False)}


def tint(images: Tensor, colour: tuple[float, ...]) -> Tensor:
    """Images (n,3,S,S) in the hue and saturation of one colour, with their own luma as far as [0,1] allows."""
    weights = torch.tensor(LUMA)
    luma = torch.einsum("c,nchw->nhw", weights, images)[:, None]
    target = torch.tensor(colour)
    return (luma * (target / (weights @ target))[:, None, None]).clamp(0, 1)


def _draw(result: AnalysisResult, effects: pd.DataFrame, flips: pd.DataFrame, towards: str) -> None:
    names, groups = list(flips.change), list(dict.fromkeys(effects["class"]))
    layout: dict[str, Any] = {"height": 0.9 + 0.2 * len(names), "ncols": 2, "sharey": True, "width_ratios": [1.5, 1]}
    with result.figure("changes", **layout) as (figure, panels):
        left, right = panels[0]
        for k, group in enumerate(groups):
            of_group, y = effects[effects["class"] == group], np.arange(len(names)) + 0.22 * (k - (len(groups) - 1) / 2)
            style = {"color": COLOURS[k], "marker": MARKERS[k], "linestyle": "none"}
            left.errorbar(of_group["mean"], y, xerr=of_group.half, label=group, **style)
        left.axvline(0, color="black", lw=1)
        errors = 100 * error_bars(flips.share, flips.images)
        right.errorbar(100 * flips.share, np.arange(len(names)), xerr=errors, color="black", fmt="o")
        left.set_yticks(range(len(names)), names)
        left.set(ylim=(len(names) - 0.5, -0.5), xlabel=f"Change of the log-odds{towards}")
        right.set_xlabel("Changed predictions (%)")
        for axes, ticks in ((left, LOG_ODDS_TICKS), (right, SHARE_TICKS)):
            ends = axes.get_xlim()
            axes.set_xscale("symlog", linthresh=1)
            axes.set_xticks(ticks, map("{:g}".format, ticks))
            axes.minorticks_off()
            axes.set_xlim(*ends)
        right.set_xlim(left=0)
        if len(groups) > 1:
            figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=9)
