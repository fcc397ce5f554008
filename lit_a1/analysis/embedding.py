"""The features that enter the last layer: in TensorBoard's projector, on a plane, and by nearest neighbours."""

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from torch.nn import functional as F

from lit_a1.analysis.network import Floats, Ints, TrainedNetwork
from lit_a1.analysis.result import AnalysisResult
from lit_a1.runs.events import event_writer
from lit_a1.runs.plotting import COLOURS, MARKERS
from lit_a1.runs.statistics import ALPHA, mcnemar

TITLE = "What the last layer sees"
NEIGHBOURS = 10
THUMBNAIL, SPRITE = 32, 8192  # pixels: an image in the projector; the largest sheet of images that it can show
DIGITS = 4  # decimals of the features in files
TAG = "features"
PROJECTOR = ".projector"  # suffix of the event file that marks the folder for the projector
AT_ONCE = 1000  # images


def analyze(network: TrainedNetwork, result: AnalysisResult) -> None:
    """Writes the projector's files, draws the features on a plane, and tries nearest neighbours on them."""
    count = len(network.labels)
    shown = write_projector(network, result)
    points, shares = principal_plane(network.features)
    _draw(network, result, points, shares)
    correct = nearest_predictions(network.features, network.labels, NEIGHBOURS) == network.labels
    p = mcnemar(network.correct.tolist(), correct.tolist()).p
    result.number(neighbours=min(NEIGHBOURS, count - 1), neighbours_accuracy=correct.mean())
    result.number(network_accuracy=network.correct.mean(), mcnemar_p=p)
    result.number(variance_1=shares[0], variance_2=shares[1], features=network.features.shape[1])
    result.describe(count=count, shown=shown, alpha=ALPHA)


def principal_plane(features: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Projects features (N,F) on their first two principal components: points (N,2), and their shares (2,) of variance.

    The largest weight of a component is positive. Without variance, coordinates and shares are 0.
    """
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    _, lengths, components = np.linalg.svd(centred, full_matrices=False)
    points, shares = np.zeros((len(features), 2)), np.zeros(2)
    for k, component in enumerate(components[:2]):
        points[:, k] = centred @ component * np.sign(component[np.abs(component).argmax()])
        if lengths.any():
            shares[k] = lengths[k] ** 2 / (lengths**2).sum()
    return points, shares


def nearest_predictions(features: NDArray[np.float32], labels: Ints, k: int) -> Ints:
    """The most frequent class (N,) among the labels (N,) of the k nearest other images, by cosine of features (N,F).

    Ties go to the class whose neighbours' cosines have the largest sum.
    """
    k = min(k, len(labels) - 1)
    directions = F.normalize(torch.from_numpy(features))
    one_hot = F.one_hot(torch.from_numpy(labels))
    predictions = []
    for start in range(0, len(labels), AT_ONCE):
        cosines = directions[start : start + AT_ONCE] @ directions.T
        cosines.diagonal(start).fill_(-torch.inf)  # an image is not its own neighbour
        similarities, neighbours = cosines.topk(k)
        votes = one_hot[neighbours] * (1 + similarities / (4 * k))[..., None]  # cosines add up to less than half a vote
        predictions.append(votes.sum(1).argmax(1))
    return torch.cat(predictions).numpy()


def remove_projector(folder: Path) -> None:
    """Removes what `write_projector` wrote in an earlier analysis."""
    shutil.rmtree(folder / "00000" / TAG, ignore_errors=True)
    for file in folder.glob(f"events.out.tfevents.*{PROJECTOR}"):
        file.unlink()


def write_projector(network: TrainedNetwork, result: AnalysisResult) -> int:
    """Writes features, properties and thumbnails for TensorBoard's projector; returns the number of images.

    At most as many as fit as thumbnails on the largest sheet. TensorBoard only looks into folders with an event file.
    """
    count = min(len(network.labels), (SPRITE // THUMBNAIL) ** 2)
    remove_projector(result.folder)
    properties = {
        "label": network.names(network.labels),
        "prediction": network.names(network.predictions),
        "right": np.where(network.correct, "right", "wrong"),
        "probability": [f"{probability:.4f}" for probability in network.probabilities.max(1)],
        "index": map(str, network.indices),
    }
    rows = list(zip(*properties.values(), strict=True))[:count]
    starts = range(0, count, AT_ONCE)
    thumbnails = torch.cat([network.prepared(slice(start, min(start + AT_ONCE, count)), THUMBNAIL) for start in starts])
    rounded = np.round(network.features[:count].astype(np.float64), DIGITS)
    with event_writer(result.folder, filename_suffix=PROJECTOR) as writer:
        writer.add_embedding(rounded, rows, thumbnails.expand(-1, 3, -1, -1), 0, TAG, list(properties))
    return count


def _draw(network: TrainedNetwork, result: AnalysisResult, points: Floats, shares: Floats) -> None:
    size = 6 * max(1.0, min(4.0, math.sqrt(2000 / len(network.labels))))  # points^2: fewer images, larger marks
    with result.figure("embedding", height=4.6) as (drawing, axes):
        for k, name in enumerate(network.classes):
            style = {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[(k + k // len(COLOURS)) % len(MARKERS)]}
            of_class = points[network.labels == k]
            axes.scatter(*of_class.T, s=size, alpha=0.6, linewidths=0, label=name, **style)
            if len(of_class) and len(network.classes) > 2:  # for two, the legend is enough
                halo = [withStroke(linewidth=3, foreground="white")]
                place = {"ha": "center", "va": "center", "zorder": 4}
                axes.text(*np.median(of_class, 0), name, weight="bold", path_effects=halo, **place)
        wrong = points[~network.correct]
        ring = {"facecolors": "none", "edgecolors": "black", "linewidths": 0.9 if len(wrong) < 300 else 0.4}
        axes.scatter(*wrong.T, s=3 * size + 10, label="wrong", **ring)
        axes.set_xlabel(f"First component ({100 * shares[0]:.1f} % of the variance)")
        axes.set_ylabel(f"Second component ({100 * shares[1]:.1f} % of the variance)")
        columns = min(6, len(network.classes) + 1)
        legend: Any = drawing.legend(loc="outside lower center", ncols=columns, fontsize=9, handletextpad=0.3)
        for handle in legend.legend_handles:
            handle.set(sizes=[36], alpha=1)
