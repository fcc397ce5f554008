"""Feature maps: what the channels of a network put out, place by place, from the stem to the last stage."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from lit_a1.analysis.choose import surest_right, surest_wrong
from lit_a1.analysis.depths import Depth, depths, feature_maps, sample
from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject
from lit_a1.runs.plotting import COLOURS
from lit_a1.runs.wording import counted, listed, number, percent

TITLE = "Feature maps through the depth of the network"
SHOWN = 8  # channels of each depth
RIGHT = 2  # pictures that are told well, of different classes
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """What a depth puts out on S pictures."""

    depth: Depth
    shape: tuple[int, int, int]
    """C, H and W."""
    zeros: Floats
    """(S,) share of each picture's activations that are exactly zero."""
    means: Floats
    """(S,) mean of each picture's activations."""
    silent: int
    """Channels that are zero everywhere on all pictures."""


def analyze(subject: Subject, part: Part) -> None:
    """Draws the maps of a few pictures, and measures sizes, receptive fields and sparsity at each depth."""
    places = depths(subject.net)
    found = measure(subject, places, sample(subject))
    part.table(
        "feature_maps",
        ["depth", "channels", "height", "width", "receptive_field", "stride", "zero_share", "zero_share_std",
         "mean_activation", "silent_channels"],
        [[each.depth.name, *each.shape, each.depth.field.size, each.depth.field.stride, each.zeros.mean(),
          each.zeros.std(), each.means.mean(), each.silent] for each in found],
    )  # fmt: skip
    for row, look in chosen(subject):
        ((_, maps),) = feature_maps(subject, np.array([row]), places)
        _draw(part, subject, row, look, found, [each[0] for each in maps])
    for each in found:
        name = each.depth.name.lower().replace(", ", "_").replace(" ", "_")
        part.number(**{f"zero_share_{name}": each.zeros.mean(), f"receptive_field_{name}": each.depth.field.size})
    _say(subject, part, found)


def chosen(subject: Subject) -> list[tuple[int, str]]:
    """Rows that are shown, and what each is: `right_1`, `right_2`, `wrong`.

    They are the surest right picture of each of the first two classes that have one, and the surest wrong one; of a
    third class, where there is such a one.
    """
    right = [row for class_ in range(len(subject.classes)) for row in surest_right(subject, class_, 1)][:RIGHT]
    wrong = surest_wrong(subject, len(subject.labels))
    others = [row for row in wrong if subject.labels[row] not in subject.labels[right]]
    rows = [(int(row), f"right_{k}") for k, row in enumerate(right, 1)]
    return rows + [(int(row), "wrong") for row in (others or list(wrong))[:1]]


def measure(subject: Subject, places: list[Depth], rows: NDArray[np.int64]) -> list[Measured]:
    """Sizes and sparsity of the maps of these pictures at each depth."""
    batches = [[_of_batch(each) for each in maps] for _, maps in feature_maps(subject, rows, places)]
    found = []
    for k, place in enumerate(places):
        of_depth = [batch[k] for batch in batches]
        zeros, means = (np.concatenate([values[i] for values in of_depth]) for i in (0, 1))
        silent = int(np.all([values[2] for values in of_depth], 0).sum())
        found.append(Measured(place, of_depth[0][3], zeros, means, silent))
    return found


def _of_batch(maps: Tensor) -> tuple[Floats, Floats, NDArray[np.bool_], tuple[int, int, int]]:
    zero = maps == 0
    means = maps.double().mean((1, 2, 3)).numpy()
    _, channels, height, width = maps.shape
    share = zero.double().mean((1, 2, 3)).numpy()
    return share, means, zero.all(3).all(2).all(0).numpy(), (channels, height, width)


def most_varied(maps: Tensor, count: int = SHOWN) -> NDArray[np.int64]:
    """The channels of maps (C,H,W) whose variance over positions is the largest, the largest first."""
    variances = maps.double().var((1, 2), correction=0).numpy()
    return np.argsort(-variances, kind="stable")[:count]


def _say(subject: Subject, part: Part, found: list[Measured]) -> None:
    size, (first, last) = subject.size, (found[0], found[-1])
    shapes = listed([f"{each.depth.name.lower()} {'x'.join(map(str, each.shape))}" for each in found])
    fields = listed([f"{each.depth.field.size}" for each in found])
    over = [each.depth.name.lower() for each in found if each.depth.field.size > size]
    part.say(
        f"Sizes of the maps, channels by height by width: {shapes}. A unit sees {fields} pixels in height and width "
        f"respectively, of a picture of {size}x{size}"
        + (
            f"; in {listed(over)} that is more than the picture, so that a unit's place says where its field is "
            "centred and not all that it sees."
            if over
            else "."
        )
    )
    shares = listed([f"{percent(each.zeros.mean())} ({each.depth.name.lower()})" for each in found])
    silent = [f"{counted(each.silent, 'channel')} ({each.depth.name.lower()})" for each in found if each.silent]
    rises = last.zeros.mean() > first.zeros.mean()
    if any(each.zeros.any() for each in found):
        text = (
            f"The share of activations that are exactly zero, a mean over {counted(len(last.zeros), 'picture')} of the "
            f"validation set, is {shares}: it is {'larger' if rises else 'no larger'} at the end than after the stem. "
        )
        text += f"Zero on all of these pictures: {listed(silent)}." if silent else "No channel is zero on all of them."
    else:
        text = f"No activation of {counted(len(last.zeros), 'picture')} is exactly zero at any depth."
    part.say(text)


def _draw(part: Part, subject: Subject, row: int, look: str, found: list[Measured], maps: list[Tensor]) -> None:
    truth, answer = (subject.classes[each[row]] for each in (subject.labels, subject.answers))
    shown = min(SHOWN, max(len(each) for each in maps))
    caption = (
        f"Feature maps of validation picture {subject.indices[row]} ({truth}), which the network takes for {answer} "
        f"with a probability of {number(float(subject.probabilities[row].max()))}. Each row is a depth, with channels "
        f"x height x width beside it; its first column marks the receptive field of a unit in the middle. Then follow "
        f"the {counted(shown, 'channel')} of the largest variance over positions. Above each map stand its channel "
        f"and its largest value, drawn in yellow; the darkest is 0, or the smallest value where that is below 0."
    )
    with part.figure(
        f"maps_{look}", caption, shows_pictures=True, height=0.1 + 0.86 * len(found), nrows=len(found),
        ncols=1 + shown, squeeze=False,
    ) as (_, panels):  # fmt: skip
        picture = subject.prepared([row])[0].permute(1, 2, 0).numpy()
        for line, each, of_depth in zip(panels, found, maps, strict=True):
            _draw_field(line[0], each, picture)
            channels = most_varied(of_depth, shown)
            for k, panel in enumerate(line[1:]):
                panel.axis("off")
                if k < len(channels):
                    values = of_depth[channels[k]].numpy()
                    panel.imshow(
                        values, cmap="viridis", vmin=min(0, values.min()), vmax=max(values.max(), 1e-12),
                        interpolation="nearest",
                    )  # fmt: skip
                    panel.set_title(f"{channels[k]}: {values.max():.2g}", fontsize=8, pad=2)


def _draw_field(panel: Axes, measured: Measured, picture: NDArray[np.float32]) -> None:
    """Draws a picture (H,W,C) with the receptive field of the middle unit, as far as it lies within."""
    panel.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    size, (channels, height, width) = len(picture), measured.shape
    (top, bottom), (left, right) = (measured.depth.field.at(side // 2) for side in (height, width))
    top, left, bottom, right = max(0, top), max(0, left), min(size, bottom), min(size, right)
    square = (left - 0.5, top - 0.5), right - left, bottom - top
    panel.add_patch(Rectangle(*square, fill=False, edgecolor="white", linewidth=2.2))
    panel.add_patch(Rectangle(*square, fill=False, edgecolor=COLOURS[1], linewidth=1.2))
    panel.set_xticks([])
    panel.set_yticks([])
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    name = measured.depth.name.replace(", ", ",\n")
    panel.set_ylabel(f"{name}\n{channels}x{height}x{width}", fontsize=8)
    panel.set_title(f"field {measured.depth.field.size} px", fontsize=8, pad=2)
