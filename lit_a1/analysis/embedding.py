"""The features that the last layer sees: for TensorBoard's projector, on a plane, and as neighbours."""

import math
import shutil
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter

from lit_a1.analysis.part import Part
from lit_a1.analysis.rates import rated
from lit_a1.analysis.subject import Subject
from lit_a1.runs.plotting import COLOURS, MARKERS
from lit_a1.runs.significance import ALPHA, mcnemar
from lit_a1.runs.wording import counted, number, percent

TITLE = "What the last layer sees"
NEIGHBOURS = 10
THUMBNAIL, SPRITE = 32, 8192  # pixels: a picture in the projector; the largest sheet of them that it can show
DIGITS = 4  # decimals that features are written with
TAG, SUFFIX = "features", ".projector"
HEADER = ["label", "answer", "right", "probability", "index"]
_AT_ONCE = 1000  # pictures


class Plane(NamedTuple):
    """The two directions that features vary most in."""

    points: NDArray[np.float64]
    """(N,2)."""
    shares: tuple[float, float]
    """Of the variance that either has."""


def analyze(subject: Subject, part: Part) -> None:
    """Writes the projector's files, draws the features on a plane, and tries nearest neighbours on them.

    Args:
        subject: the network and its pictures.
        part: to leave figures, tables, numbers and words in.
    """
    shown = write_projector(subject, part)
    plane = principal_plane(subject.features)
    _draw(subject, part, plane)
    right = nearest_answers(subject.features, subject.labels, NEIGHBOURS) == subject.labels
    k, count = min(NEIGHBOURS, len(right) - 1), len(right)
    p = mcnemar(subject.right.tolist(), right.tolist()).p
    part.number(neighbours=k, neighbours_accuracy=right.mean(), network_accuracy=subject.right.mean(), mcnemar_p=p)
    part.number(variance_1=plane.shares[0], variance_2=plane.shares[1], features=subject.features.shape[1])
    part.say(
        f"The last layer sees {counted(subject.features.shape[1], 'feature')} of each picture. The two directions in "
        f"which they vary most (principal components) hold {percent(plane.shares[0])} and {percent(plane.shares[1])} "
        "of their variance; what lies in the others is not to be seen on the plane."
    )
    rates = [rated(float(each.mean()), count) for each in (right, subject.right)]
    verdict = "the difference is within noise"
    if p < ALPHA:
        better = "the neighbours are" if right.mean() > subject.right.mean() else "the network is"
        verdict = f"{better} right more often, beyond noise"
    part.say(
        f"The majority of the {k} nearest of the other pictures (by the cosine of their features) tells "
        f"{rates[0]} of {counted(count, 'picture')} right, the network itself {rates[1]}; {verdict} (McNemar's test, "
        f"p = {number(p)}). The neighbours' labels are those of held-out pictures, which the network never learnt from."
    )
    few = f"; of the pictures these are the first {shown:,}" if shown < count else ""
    part.say(
        f"In TensorBoard, *Projector* shows the same features in three dimensions, with the pictures and their "
        f"{len(HEADER)} properties (label, answer, whether it is right, the answer's probability, number){few}."
    )


# measures


def principal_plane(features: NDArray[np.float32]) -> Plane:
    """Projects features (N,F) on their first two principal components, by singular value decomposition.

    Each component points the way in which its largest weight is positive. Where there is no second component, or the
    features do not vary, its coordinates and share are 0.
    """
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    _, lengths, components = np.linalg.svd(centred, full_matrices=False)
    components = components[:2]
    largest = np.abs(components).argmax(1)
    components = components * np.sign(components[np.arange(len(components)), largest])[:, None]
    total = float((lengths**2).sum())
    shares = [float(length**2 / total) if total > 0 else 0.0 for length in lengths[:2]] + [0.0, 0.0]
    points = np.zeros((len(features), 2))
    points[:, : len(components)] = centred @ components.T
    return Plane(points, (shares[0], shares[1]))


def nearest_answers(features: NDArray[np.float32], labels: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The class (N,) that most of the k nearest other pictures have, by the cosine of their features.

    Of classes with equally many neighbours, the one whose neighbours' cosines sum to most. A picture without any
    active feature is at cosine 0 from all.

    Args:
        features: (N,F).
        labels: (N,).
        k: neighbours; all other pictures where there are fewer.
    """
    k = min(k, len(labels) - 1)
    directions = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    classes = np.arange(labels.max() + 1)
    answers = []
    for start in range(0, len(labels), _AT_ONCE):
        cosines = directions[start : start + _AT_ONCE] @ directions.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -np.inf  # a picture is no neighbour of its own
        near = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        voted = labels[near][..., None] == classes  # (n,k,K)
        likeness = (voted * np.take_along_axis(cosines, near, 1)[..., None]).sum(1)
        answers.append((voted.sum(1) + likeness / (4 * k)).argmax(1))  # below half a vote
    return np.concatenate(answers)


# TensorBoard


def write_projector(subject: Subject, part: Part) -> int:
    """Writes what TensorBoard's projector opens: features, properties and thumbnails, in the part's folder.

    `projector_config.pbtxt` names the others. An event file marks the folder as a run, without which TensorBoard would
    not look into it.

    Returns:
        How many pictures: as many as thumbnails fit on the largest sheet.
    """
    count = min(len(subject.labels), (SPRITE // THUMBNAIL) ** 2)
    if (written := part.folder / "00000" / TAG).is_dir():  # by an analysis before this one
        shutil.rmtree(written)
    for old in part.folder.glob(f"events.out.tfevents.*{SUFFIX}"):
        old.unlink()
    answers = subject.answers
    properties = [
        [
            subject.classes[subject.labels[row]],
            subject.classes[answers[row]],
            "right" if subject.right[row] else "wrong",
            f"{subject.probabilities[row, answers[row]]:.4f}",
            str(subject.indices[row]),
        ]
        for row in range(count)
    ]
    rounded = np.round(subject.features[:count].astype(np.float64), DIGITS)
    with SummaryWriter(part.folder, filename_suffix=SUFFIX) as writer:
        writer.add_embedding(rounded, properties, _thumbnails(subject, count), 0, TAG, HEADER)
    return count


def _thumbnails(subject: Subject, count: int) -> Tensor:
    """Pictures (count,3,32,32) in [0,1]."""
    parts = []
    for start in range(0, count, _AT_ONCE):
        some = torch.from_numpy(subject.pictures[start : min(count, start + _AT_ONCE)]).permute(0, 3, 1, 2) / 255
        small = F.interpolate(some, (THUMBNAIL, THUMBNAIL), mode="bilinear", antialias=True, align_corners=False)
        parts.append(small.expand(-1, 3, -1, -1))
    return torch.cat(parts)


# figure


def _draw(subject: Subject, part: Part, plane: Plane) -> None:
    caption = (
        "Features ahead of the last layer, projected on the two directions in which they vary most; a point for each "
        "picture, whose colour and marker tell its class; the class's name is written at its median. Black rings mark "
        "pictures that the network gets wrong. The axes' units are those of the features."
    )
    size = 6 * max(1.0, min(4.0, math.sqrt(2000 / len(subject.labels))))  # points^2: fewer pictures, larger marks
    with part.figure("embedding", caption, shows_pictures=False, height=4.6) as (_, axes):
        for k, name in enumerate(subject.classes):
            look = {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[(k + k // len(COLOURS)) % len(MARKERS)]}
            points = plane.points[subject.labels == k]
            axes.scatter(*points.T, s=size, alpha=0.6, linewidths=0, label=name, **look)
            if len(points):
                halo = [withStroke(linewidth=3, foreground="white")]
                place = {"ha": "center", "va": "center", "zorder": 4}
                axes.text(*np.median(points, 0), name, weight="bold", path_effects=halo, **place)
        wrong = plane.points[~subject.right]
        ring = {"facecolors": "none", "edgecolors": "black", "linewidths": 0.9 if len(wrong) < 300 else 0.4}
        axes.scatter(*wrong.T, s=3 * size + 10, label="wrong", **ring)
        axes.set_xlabel(f"First component ({100 * plane.shares[0]:.1f} % of the variance)")
        axes.set_ylabel(f"Second component ({100 * plane.shares[1]:.1f} % of the variance)")
        legend = axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9, handletextpad=0.3)
        for handle in legend.legend_handles:
            handle.set(sizes=[36], alpha=1)
