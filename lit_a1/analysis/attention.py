"""Where the network looks: class activation maps, and what happens when a part of the picture is covered."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lit_a1.analysis.attention_figure import draw
from lit_a1.analysis.attention_measures import (
    another_of_the_class,
    central_share,
    mean_with_interval,
    rank_correlations,
)
from lit_a1.analysis.choose import surest_right, surest_wrong
from lit_a1.analysis.depths import depths, feature_maps, sample
from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import BATCH, Subject
from lit_a1.runs.wording import counted, number, percent

TITLE = "Where the network looks"
SHOWN = 6  # pictures
COMPARED = 50  # pictures on which both maps are compared
COVERED = 4  # the square's side is the picture's over this
FINE, COARSE = 4, 2  # the square moves by its side over this: for the pictures shown, and those compared
Floats = NDArray[np.float64]


class Contrast(NamedTuple):
    """Two classes that the maps of N pictures weigh against each other: what speaks for the first is positive.

    Of two classes it is the second against the first (dog against cat) for every picture; of more, a picture's true
    class against the other one that the network finds the likeliest.
    """

    towards: NDArray[np.int64]
    """(N,)."""
    against: NDArray[np.int64]


@dataclass(frozen=True)
class Squares:
    """What covering does to n pictures: `drops` (n,p,p), the log-odds before minus those after."""

    drops: Floats
    side: int
    """Of the square in pixels."""
    starts: NDArray[np.int64]
    """(p,), its first rows (and columns)."""

    def means(self, maps: Floats) -> Floats:
        """Of maps (n,S,S), the means (n,p,p) over each square."""
        size = maps.shape[-1]
        within = np.zeros((len(self.starts), size))
        for row, start in zip(within, self.starts, strict=True):
            row[start : start + self.side] = 1 / self.side
        return within @ maps @ within.T

    def per_pixel(self, size: int) -> Floats:
        """Maps (n,S,S): of each pixel, the mean over the squares that cover it."""
        covers = np.zeros((size, len(self.starts)))
        for column, start in zip(covers.T, self.starts, strict=True):
            column[start : start + self.side] = 1
        covers /= covers.sum(1, keepdims=True)
        return covers @ self.drops @ covers.T


# the two maps


def contrast(logits: Floats, labels: NDArray[np.int64]) -> Contrast:
    """Which classes to weigh against each other, by logits (N,K) and true classes (N,)."""
    if logits.shape[1] == 2:
        return Contrast(np.ones_like(labels), np.zeros_like(labels))
    others = logits.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return Contrast(labels, others.argmax(1))


def class_activation_maps(subject: Subject, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Maps M_k = sum_c w_kc f_c of features f and the last layer's weights w (Zhou et al. 2016), and the logits.

    The mean of M_k over positions plus the bias b_k is the logit of class k. They are of the picture as it is.

    Args:
        subject: the network and its pictures.
        rows: n of these.

    Returns:
        Maps (n,K,h,w) and logits (n,K).
    """
    last, linear = depths(subject.net)[-1:], subject.net.linear
    maps = [
        torch.einsum("kc,nchw->nkhw", linear.weight, features).double().numpy()
        for _, (features,) in feature_maps(subject, rows, last)
    ]
    found = np.concatenate(maps)
    return found, found.mean((2, 3)) + linear.bias.double().numpy()


def evidence(subject: Subject, rows: NDArray[np.int64]) -> tuple[Floats, Floats, Contrast]:
    """Class activation maps of a contrast: maps (n,h,w), the log-odds (n,) that they add up to, and the contrast."""
    maps, logits = class_activation_maps(subject, rows)
    pair, each = contrast(logits, subject.labels[rows]), np.arange(len(rows))
    return (
        maps[each, pair.towards] - maps[each, pair.against],
        logits[each, pair.towards] - logits[each, pair.against],
        pair,
    )


def enlarged(maps: Floats, size: int) -> Floats:
    """Maps (n,h,w) interpolated bilinearly to (n,size,size)."""
    large: Tensor = F.interpolate(torch.from_numpy(maps)[:, None], (size, size), mode="bilinear", align_corners=False)
    return large[:, 0].numpy()


def occlude(subject: Subject, rows: NDArray[np.int64], pair: Contrast, parts: int) -> Squares:
    """Covers pictures with a square of the training pictures' mean colour, one place after the other.

    Source: Zeiler & Fergus 2014, section 4.2; here it is the log-odds of the contrast that are compared, not the
    probability.

    Args:
        subject: the network and its pictures.
        rows: n of these.
        pair: the classes, n of either.
        parts: the square moves by its side over this.
    """
    size = subject.size
    side = size // COVERED
    starts = np.unique([*range(0, size - side + 1, max(1, side // parts)), size - side])
    places = [(y, x) for y in starts for x in starts]
    towards, against = (torch.from_numpy(classes)[:, None] for classes in pair)
    drops = np.empty((len(rows), len(places)))

    def odds(pictures: Tensor, k: int) -> Tensor:
        logits = subject.net(pictures)
        return (logits[:, towards[k]] - logits[:, against[k]])[:, 0].double()

    with torch.inference_mode():
        for k, picture in enumerate(subject.standardize(subject.prepared(rows))):
            before = odds(picture[None], k)
            for first in range(0, len(places), BATCH):
                some = places[first : first + BATCH]
                covered = picture.repeat(len(some), 1, 1, 1)
                for each, (y, x) in zip(covered, some, strict=True):
                    each[:, y : y + side, x : x + side] = 0  # standardised, the mean is 0
                drops[k, first : first + BATCH] = (before - odds(covered, k)).numpy()
    return Squares(drops.reshape(len(rows), len(starts), len(starts)), side, starts)


# the analysis


def chosen(subject: Subject) -> NDArray[np.int64]:
    """Rows that are shown: the surest right pictures of each class in turn (4 in all), then the surest wrong ones."""
    wrong = surest_wrong(subject, SHOWN // 3)
    ranks = [surest_right(subject, class_, SHOWN) for class_ in range(len(subject.classes))]
    right = [rows[k] for k in range(SHOWN) for rows in ranks if k < len(rows)][: SHOWN - len(wrong)]
    order = sorted(right, key=lambda row: int(subject.labels[row]))
    return np.array([*order, *wrong], np.int64)


def analyze(subject: Subject, part: Part) -> None:
    """Draws both maps of a few pictures, and says how well they agree and where the evidence lies."""
    rows = chosen(subject)
    maps, odds, pair = evidence(subject, rows)
    squares = occlude(subject, rows, pair, FINE)
    draw(part, subject, rows, odds, pair, enlarged(maps, subject.size), squares.per_pixel(subject.size), squares.side)
    part.table(
        "attention",
        ["picture", "class", "answer", "towards", "against", "log_odds", "largest_drop", "smallest_drop"],
        [
            [int(subject.indices[row]), *(subject.classes[k] for k in
             (subject.labels[row], subject.answers[row], towards, against)), float(odd), drops.max(), drops.min()]
            for row, odd, towards, against, drops in zip(rows, odds, *pair, squares.drops, strict=True)
        ],
    )  # fmt: skip
    _agreement(subject, part)
    _places(subject, part)


def _agreement(subject: Subject, part: Part) -> None:
    rows = sample(subject, COMPARED)
    maps, _, pair = evidence(subject, rows)
    squares = occlude(subject, rows, pair, COARSE)
    covered = squares.means(enlarged(maps, subject.size))
    own = rank_correlations(covered, squares.drops)
    # of two classes, maps of a class have the same sign; of more, each is for the true class
    other = another_of_the_class(subject.labels[rows])
    strange = rank_correlations(covered[other[other >= 0]], squares.drops[other >= 0])
    part.table(
        "agreement",
        ["picture", "class", "rank_correlation"],
        [[int(subject.indices[row]), subject.classes[subject.labels[row]], value]
         for row, value in zip(rows, own, strict=True)],
    )  # fmt: skip
    (mean, half, count), (control, control_half, controls) = mean_with_interval(own), mean_with_interval(strange)
    part.number(agreement=mean, agreement_half_interval=half, agreement_pictures=count, agreement_control=control)
    text = (
        f"Over the {squares.drops[0].size} places of the square, the drop of the log-odds and the mean of the class "
        f"activation map under the square have a rank correlation (Spearman) of {number(mean)} ± {number(half)}, a "
        f"mean over {counted(count, 'picture')} with its 95 % interval."
    )
    if controls > 1:
        apart = mean - half > max(0, control + control_half)
        text += (
            f" With the map of another picture of the same class it is {number(control)} ± {number(control_half)} "
            f"({counted(controls, 'picture')}): "
        )
        text += (
            "the maps agree about the single picture, and not only in what all pictures of a class share."
            if apart
            else "that is no clear difference, so that the agreement may be of what all pictures of a class share."
        )
    part.say(text)


def _places(subject: Subject, part: Part) -> None:
    maps, odds, _ = evidence(subject, sample(subject))
    shares = central_share(enlarged(maps * np.sign(odds)[:, None, None], subject.size))  # for the answer
    even = float(central_share(np.ones((1, subject.size, subject.size)))[0])
    mean, half, count = mean_with_interval(shares)
    part.number(central_share=mean, central_share_half_interval=half, central_share_uniform=even)
    which = "more than" if mean - half > even else "less than" if mean + half < even else "not clearly other than"
    field = depths(subject.net)[-1].field.size
    part.say(
        f"Of the positive part of the class activation map for the answer, {percent(mean)} ± {percent(half)} lie "
        f"within the central half of height and width (mean over {counted(count, 'picture')}, 95 % interval), {which} "
        f"the {percent(even)} of a uniform map. The map has {maps.shape[1]}x{maps.shape[2]} places, each with a "
        f"receptive field of {field} pixels in a picture of {subject.size}x{subject.size}, so that it tells places "
        f"only roughly."
    )
