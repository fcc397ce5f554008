"""Feature maps of a few images from the stem to the last stage; sizes and sparsity of each layer's maps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from lit_a1.analysis.hidden_layers import HiddenLayer, feature_maps, hidden_layers
from lit_a1.analysis.images import most_confident_correct, most_confident_wrong, sample, without_axes
from lit_a1.analysis.network import Ints, TrainedNetwork
from lit_a1.analysis.result import AnalysisResult
from lit_a1.runs.plotting import COLOURS

TITLE = "Feature maps through the depth of the network"
SHOWN = 12  # channels of each layer
CORRECT = 2  # correctly predicted images, of different classes


def analyze(network: TrainedNetwork, result: AnalysisResult) -> None:
    """Draws the maps of a few images, and measures sizes, receptive fields and sparsity of each layer."""
    layers, rows = hidden_layers(network.net), sample(network)
    table = measure(network, layers, rows)
    result.table("feature_maps", table)
    for layer, measures in zip(layers, table, strict=True):
        key = layer.name.lower().replace(", ", "_").replace(" ", "_")
        result.number(**{f"zero_share_{key}": measures["zero_share"], f"receptive_field_{key}": layer.field.size})
    captions = [_draw(result, network, row, kind, layers) for row, kind in shown_images(network)]
    result.describe(layers=table, size=network.size, count=len(rows), images=captions)


def shown_images(network: TrainedNetwork) -> list[tuple[int, str]]:
    """The most confident correct image of the first two classes that have one, and the most confident wrong one.

    The wrong one is of a third class if possible. Each comes with its kind: `right_1`, `right_2`, `wrong`.
    """
    classes = range(len(network.classes))
    correct = [int(row) for class_ in classes for row in most_confident_correct(network, class_, 1)][:CORRECT]
    wrong = list(map(int, most_confident_wrong(network, len(network.labels))))
    others = [row for row in wrong if network.labels[row] not in network.labels[correct]]
    return [(row, f"right_{k}") for k, row in enumerate(correct, 1)] + [(row, "wrong") for row in (others or wrong)[:1]]


def measure(network: TrainedNetwork, layers: list[HiddenLayer], rows: Ints) -> list[dict[str, Any]]:
    """For each layer's maps: sizes, receptive field, and the share of exact zeros, as mean and std over images.

    `silent_channels` is the number of channels that are zero everywhere on all these images.
    """
    table: list[dict[str, Any]] = []
    batches = [list(map(_sums, maps_by_layer)) for maps_by_layer in feature_maps(network, rows, layers)]
    for layer, layer_sums in zip(layers, zip(*batches, strict=True), strict=True):
        zeros, means, silent, shapes = zip(*layer_sums, strict=True)
        share = np.concatenate(zeros)
        row = {"depth": layer.name, **dict(zip(("channels", "height", "width"), shapes[0], strict=True))}
        row |= {"receptive_field": layer.field.size, "stride": layer.field.stride, "zero_share": share.mean()}
        row |= {"zero_share_std": share.std(), "mean_activation": np.concatenate(means).mean()}
        table.append({**row, "silent_channels": int(np.all(silent, axis=0).sum())})
    return table


def _sums(maps: Tensor) -> tuple[Tensor, Tensor, Tensor, Sequence[int]]:
    """For maps (n,C,H,W): share of zeros (n,), mean (n,), which channels are zero everywhere (C,), and (C,H,W)."""
    zero = maps == 0
    return zero.double().mean((1, 2, 3)), maps.double().mean((1, 2, 3)), zero.all(3).all(2).all(0), maps.shape[1:]


def most_varied(maps: Tensor, count: int = SHOWN) -> Ints:
    """The channels of maps (C,H,W) with the largest variances over positions, the largest first."""
    variances = maps.double().var((1, 2), correction=0).numpy()
    return np.argsort(-variances, kind="stable")[:count]


def _draw(
    result: AnalysisResult, network: TrainedNetwork, row: int, kind: str, layers: list[HiddenLayer]
) -> dict[str, object]:
    """Draws the maps of an image, and returns values for its caption."""
    (outputs,) = feature_maps(network, np.array([row]), layers)
    shown = min(SHOWN, max(maps.shape[1] for maps in outputs))
    layout: dict[str, Any] = {"height": 0.1 + 0.68 * len(layers), "nrows": len(layers), "ncols": 1 + shown}
    with result.figure(f"maps_{kind}", **layout) as (_, panels):
        image = network.prepared([row])[0].permute(1, 2, 0).numpy()
        for line, layer, maps in zip(panels, layers, outputs, strict=True):
            _draw_field(line[0], layer, maps.shape[1:], image)
            for panel in line[1:]:
                panel.axis("off")
            for panel, channel in zip(line[1:], most_varied(maps[0], shown), strict=False):
                values = maps[0, channel].numpy()
                ends = {"vmin": min(0, values.min()), "vmax": max(values.max(), 1e-12)}
                panel.imshow(values, cmap="viridis", interpolation="nearest", **ends)
                panel.set_title(f"{channel}: {values.max():.2g}", fontsize=7, pad=2)
    label, prediction = network.names([network.labels[row], network.predictions[row]])
    facts = {"label": label, "prediction": prediction, "probability": network.probabilities[row].max()}
    return {"kind": kind, "index": network.indices[row], "channels": shown, **facts}


def _draw_field(panel: Axes, layer: HiddenLayer, shape: tuple[int, ...], image: NDArray[np.float32]) -> None:
    """Draws an image (H,W,C) with the receptive field of the middle unit, as far as it lies in the image."""
    panel.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    (top, bottom), (left, right) = (np.clip(layer.field.at(side // 2), 0, len(image)) for side in shape[1:])
    for colour, line in (("white", 2.2), (COLOURS[1], 1.2)):
        square = (left - 0.5, top - 0.5), right - left, bottom - top
        panel.add_patch(Rectangle(*square, fill=False, edgecolor=colour, linewidth=line))
    without_axes(panel)
    panel.set_ylabel("\n".join([layer.name.replace(", ", ",\n"), "x".join(map(str, shape))]), fontsize=8)
    panel.set_title(f"field {layer.field.size}", fontsize=7, pad=2)
