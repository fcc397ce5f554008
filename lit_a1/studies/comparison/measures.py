"""What is measured for a comparison: the trained networks' answers to the test pictures, as they are and changed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import mean, median
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_a1.data.augment import to_float
from lit_a1.data.mnist import Part
from lit_a1.runs.records import CheckpointError
from lit_a1.runs.statistics import McNemar, difference_interval, mcnemar
from lit_a1.studies.comparison.changes import changes
from lit_a1.studies.comparison.runs import Experiment, Run

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
        """95 % interval of the gain over seeds; None where the noise of training is not known."""
        return difference_interval(self.second.errors, self.first.errors)


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
    experiments: Sequence[Experiment], valid: Part, test: Part, progress: Callable[[], object]
) -> list[Measured]:
    """Lets every run's network answer the test pictures, as they are and changed.

    Args:
        experiments: whose runs are measured.
        valid: the validation pictures, which show whether these are the digits that a run was trained on.
        test: the test pictures.
        progress: called after each pass over the test pictures, `passes(experiments)` times.

    Raises:
        CheckpointError: a checkpoint can't be used, or its validation error is not the recorded one.
    """
    validated = to_float(torch.from_numpy(valid.pictures)[:, None])
    for run in (run for experiment in experiments for run in experiment.runs):
        _check(run, validated, valid.labels)
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


def _check(run: Run, pictures: Tensor, labels: NDArray[np.int64]) -> None:
    expected = run.measured["val/error"]
    found = float((run.network.answers(pictures) != labels).mean())
    if run.record["pictures"]["val"] != len(labels) or abs(found - expected) > SLACK + 1e-9:
        raise CheckpointError(
            f"{run.weights} makes {found:.2%} errors on the {len(labels):,} validation pictures here, but its record "
            f"says {expected:.2%} of {run.record['pictures']['val']:,}: it was validated on other digits, or on "
            "some of them only."
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
    """The first MLP and the first CNN trained on pictures as they are; else an MLP and a CNN; else the first two."""

    def first(kind: str, augmented: Sequence[bool]) -> Measured | None:
        found = (each for each in measured if each.runs[0].kind == kind and each.runs[0].augmented in augmented)
        return next(found, None)

    mlp, cnn = first("MLP", (False, True)), first("CNN", (False,)) or first("CNN", (True,))
    return (mlp, cnn) if mlp and cnn else (measured[0], measured[1])


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
    """The commonest wrong answer of the runs to a test picture, the smallest of equals."""
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
    """Of training alone, the median of the recorded speeds (None where there are none); and of the whole run."""
    speeds = [row["train/pictures_per_second"] for row in run.epochs if "train/pictures_per_second" in row]
    training = median(run.record["pictures"]["train"] / speed for speed in speeds) if speeds else None
    return training, run.record["seconds"] / len(run.epochs)
