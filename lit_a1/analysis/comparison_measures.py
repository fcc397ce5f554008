"""What is measured for a comparison: the trained networks' answers to the test pictures, as they are and changed."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from statistics import mean
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import rotate

from lit_a1.analysis.comparison_runs import Experiment, Run, Weights
from lit_a1.analysis.significance import McNemar, difference_interval, mcnemar
from lit_a1.data.augment import to_float
from lit_a1.data.mnist import Part
from lit_a1.runs import CheckpointError, Figures, best_of

SHIFTS = (1, 2, 3, 4)  # pixels
ROTATIONS = (15, 30, 45)  # degrees
NOISES = (0.05, 0.1, 0.2, 0.3)  # standard deviations, as shares of white
KINDS = {"shift": SHIFTS, "rotation": ROTATIONS, "noise": NOISES}
DIRECTIONS = {"down": (1, 0), "up": (-1, 0), "right": (0, 1), "left": (0, -1)}
NOISE_SEED = 6135
SLACK = 0.002  # by which the validation error measured here may differ from the recorded one: rounding on other devices


@dataclass
class Measured:
    """An experiment and what its runs answered."""

    experiment: Experiment
    label: str
    """What it is called in words and figures."""
    right: NDArray[np.bool_]
    """(runs, N): whether each run's answer to each test picture is right."""
    answers: NDArray[np.int64]
    """(runs, N)."""
    changed: dict[tuple[str, float], list[list[float]]] = field(default_factory=dict)
    """For each change of the test pictures, by kind and level: each run's errors, one a direction."""

    @property
    def runs(self) -> list[Run]:
        """One a seed."""
        return self.experiment.runs

    @property
    def errors(self) -> list[float]:
        """Each run's share of wrong test pictures."""
        return [float((~row).mean()) for row in self.right]

    def errors_at(self, kind: str, level: float) -> list[float]:
        """Each run's error on pictures that were changed, the mean over directions; level 0 is no change."""
        return [mean(each) for each in self.changed[kind, level]] if level else self.errors


class Change(NamedTuple):
    """One way in which all test pictures are changed."""

    kind: str
    """`shift`, `rotation` or `noise`."""
    level: float
    """In pixels, degrees, or shares of white."""
    direction: str
    apply: Callable[[Tensor], Tensor]


class Pair(NamedTuple):
    """One run of either experiment, on the same test pictures."""

    first: Run
    second: Run
    test: McNemar


class Versus(NamedTuple):
    """Two experiments against each other."""

    first: Measured
    second: Measured
    pairs: list[Pair]

    @property
    def gain(self) -> float:
        """By how much the second's mean test error is smaller."""
        return mean(self.first.errors) - mean(self.second.errors)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the gain over seeds; None where one has a single seed."""
        return difference_interval(self.second.errors, self.first.errors)


# changes


def shifted(pictures: Tensor, dy: int, dx: int) -> Tensor:
    """Moves pictures (N,C,H,W) down and right by whole pixels; what that uncovers is black."""
    return F.pad(pictures, (dx, -dx, dy, -dy))


def turned(pictures: Tensor, degrees: float) -> Tensor:
    """Turns pictures (N,C,H,W) about their centres, counter-clockwise, bilinearly; what that uncovers is black."""
    return rotate(pictures, degrees, InterpolationMode.BILINEAR)


def noisy(pictures: Tensor, std: float) -> Tensor:
    """Adds Gaussian noise, the same each time, and clips to [0,1].

    Args:
        pictures: (N,C,H,W) in [0,1].
        std: of the noise, as a share of white.
    """
    generator = torch.Generator().manual_seed(NOISE_SEED)
    return (pictures + std * torch.randn(pictures.shape, generator=generator)).clamp_(0, 1)


def changes() -> Iterator[Change]:
    """All changes: 16 shifts, turns to both sides, and noise."""
    for pixels in SHIFTS:
        for name, (dy, dx) in DIRECTIONS.items():
            yield Change("shift", pixels, name, partial(shifted, dy=dy * pixels, dx=dx * pixels))
    for degrees in ROTATIONS:
        for name, sign in (("counter-clockwise", 1), ("clockwise", -1)):
            yield Change("rotation", degrees, name, partial(turned, degrees=sign * degrees))
    for std in NOISES:
        yield Change("noise", std, "", partial(noisy, std=std))


# measuring


def labels_of(experiments: Sequence[Experiment]) -> list[str]:
    """What the experiments are called: `MLP`, `CNN`, `CNN, augmented`; their own names too where these are alike."""
    runs = [experiment.runs[0] for experiment in experiments]
    labels = [run.kind + (", augmented" if run.augmented else "") for run in runs]
    count = Counter(labels)
    return [
        label if count[label] == 1 else f"{label} ({experiment.name})"
        for label, experiment in zip(labels, experiments, strict=True)
    ]


def measure(
    experiments: Sequence[Experiment], weights: Weights, valid: Part, test: Part, progress: Callable[[], object]
) -> list[Measured]:
    """Lets every run's network answer the test pictures, as they are and changed.

    Args:
        experiments: whose runs are measured.
        weights: that they were read from.
        valid: the validation pictures, which show whether these are the digits that a run was trained on.
        test: the test pictures.
        progress: called after each pass over the test pictures, `passes(experiments)` times.

    Raises:
        CheckpointError: a checkpoint can't be used, or its validation error is not the recorded one.
    """
    validated = to_float(torch.from_numpy(valid.pictures)[:, None])
    for run in (run for experiment in experiments for run in experiment.runs):
        _check(run, weights, validated, valid.labels)
        progress()
    pictures = to_float(torch.from_numpy(test.pictures)[:, None])
    measured = []
    for experiment, label in zip(experiments, labels_of(experiments), strict=True):
        rows = []
        for run in experiment.runs:
            rows.append(run.network.answers(pictures))
            progress()
        answers = np.stack(rows)
        measured.append(Measured(experiment, label, answers == test.labels, answers))
    for change in changes():
        changed = change.apply(pictures)
        for each in measured:
            errors = each.changed.setdefault((change.kind, change.level), [[] for _ in each.runs])
            for run, found in zip(each.runs, errors, strict=True):
                found.append(float((run.network.answers(changed) != test.labels).mean()))
                progress()
    return measured


def passes(experiments: Sequence[Experiment]) -> int:
    """How often `measure` calls `progress`."""
    return sum(len(experiment.runs) for experiment in experiments) * (2 + sum(1 for _ in changes()))


def measured_epoch(run: Run, weights: Weights) -> Figures:
    """The figures of the epoch that the weights are of."""
    return run.epochs[-1] if weights == "last" else best_of(run.epochs)


def _check(run: Run, weights: Weights, pictures: Tensor, labels: NDArray[np.int64]) -> None:
    expected = measured_epoch(run, weights)["val/error"]
    found = float((run.network.answers(pictures) != labels).mean())
    if run.record["pictures"]["val"] != len(labels) or abs(found - expected) > SLACK + 1e-9:
        raise CheckpointError(
            f"{run.weights} makes {found:.2%} errors on the {len(labels):,} validation pictures here, but its record "
            f"says {expected:.2%} of {run.record['pictures']['val']:,}: it was trained on other digits."
        )


# what follows from it


def versus(first: Measured, second: Measured) -> Versus:
    """Compares two experiments, run by run of the same seed; in the order of their seeds where they share none."""
    by_seed = [{run.seed: k for k, run in enumerate(each.runs)} for each in (first, second)]
    places = [(by_seed[0][seed], by_seed[1][seed]) for seed in by_seed[0] if seed in by_seed[1]]
    places = places or list(zip(range(len(first.runs)), range(len(second.runs)), strict=False))
    pairs = [
        Pair(first.runs[i], second.runs[j], mcnemar(first.right[i].tolist(), second.right[j].tolist()))
        for i, j in places
    ]
    return Versus(first, second, pairs)


def all_versus(measured: Sequence[Measured]) -> list[Versus]:
    """Every two experiments."""
    return [versus(first, second) for first, second in combinations(measured, 2)]


def like_for_like(measured: Sequence[Measured]) -> tuple[Measured, Measured]:
    """`mlp` and `mnist_plain` where both are there, else the first two; an MLP comes before a CNN."""
    by_name = {each.experiment.name: each for each in measured}
    if {"mlp", "mnist_plain"} <= by_name.keys():
        return by_name["mlp"], by_name["mnist_plain"]
    first, second = sorted(measured[:2], key=lambda each: each.runs[0].kind, reverse=True)
    return first, second


class Disagreements(NamedTuple):
    """Test pictures that one experiment gets right and another wrong, the clearest first."""

    right: Measured
    wrong: Measured
    unanimous: list[int]
    """Indices of those that all runs of the one get right and all of the other wrong."""
    most: list[int]
    """Likewise more than half of the runs of either, but not all of both."""


def disagreements(right: Measured, wrong: Measured) -> Disagreements:
    """The pictures that `right` gets right and `wrong` wrong."""
    shares = right.right.mean(axis=0), 1 - wrong.right.mean(axis=0)
    clear = np.minimum(*shares)
    order = np.argsort(-np.round(shares[0] + shares[1], 9), kind="stable")  # equals in the order of the pictures
    unanimous = [int(k) for k in order if clear[k] == 1]
    most = [int(k) for k in order if 0.5 < clear[k] < 1]
    return Disagreements(right, wrong, unanimous, most)


def mistake(wrong: Measured, picture: int, label: int) -> int:
    """The wrong answer that most runs give to a test picture, the smallest of equals."""
    counts = np.bincount(wrong.answers[:, picture], minlength=10)
    counts[label] = 0
    return int(counts.argmax())


def epochs_to(run: Run, accuracy: float) -> int | None:
    """The first epoch, from 1 on, after which that share of the validation pictures was right; None where none was.

    Compared in whole pictures, as the recorded shares are rounded.
    """
    pictures = run.record["pictures"]["val"]
    for number, row in enumerate(run.epochs, 1):
        if round(row["val/error"] * pictures) <= (1 - accuracy) * pictures + 1e-6:
            return number
    return None


def seconds_an_epoch(run: Run) -> tuple[float | None, float]:
    """Of training alone, from the recorded speeds (None where there are none); and of the whole run."""
    speeds = [row["train/pictures_per_second"] for row in run.epochs if "train/pictures_per_second" in row]
    training = mean(run.record["pictures"]["train"] / speed for speed in speeds) if speeds else None
    return training, run.record["seconds"] / len(run.epochs)


def lost(pictures: NDArray[np.uint8], pixels: int) -> float:
    """The share of all white that a shift moves out of the pictures (N,28,28), the mean over the four directions."""
    values = torch.from_numpy(pictures)[:, None].float()
    kept = [shifted(values, dy * pixels, dx * pixels).sum() for dy, dx in DIRECTIONS.values()]
    return 1 - float(torch.stack(kept).mean() / values.sum())
