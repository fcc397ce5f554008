"""Measurements for a comparison: the predictions of trained networks for the test images, original and changed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from lit_a1.data.augment import to_float
from lit_a1.data.mnist import LabelledSplit
from lit_a1.runs.finished import Run
from lit_a1.runs.records import CheckpointError
from lit_a1.studies.comparison.changes import changes
from lit_a1.studies.comparison.networks import Network, load_network

TOLERANCE = 0.002  # allowed difference from the recorded validation error, for rounding on other devices
GOAL = 98  # validation accuracy in percent


@dataclass(frozen=True)
class Measurements:
    """Recorded runs and the predictions of their networks, in long format: an experiment is all rows with its label.

    Errors are shares; NaN means not measured.
    """

    runs: pd.DataFrame  # a row for each run: its identity, cost and errors
    curves: pd.DataFrame  # a row for each epoch (from 1 on) of each run: `train_eval_error`, `val_error`
    changed: pd.DataFrame  # a row for each run and change of the test images, of which the first is none
    predictions: NDArray[np.int64]  # (runs, N), the digit that each run's network predicts for each test image
    digits: NDArray[np.int64]  # (N,), the true digits

    @property
    def experiments(self) -> list[str]:
        """The labels of the experiments."""
        return list(self.runs.label.unique())

    def rows(self, label: str) -> pd.DataFrame:
        """The runs of an experiment; their index is the row in `predictions`."""
        return self.runs[self.runs.label == label]

    def correct(self, label: str) -> NDArray[np.bool_]:
        """(runs, N), whether the predictions of an experiment's runs are right."""
        return self.predictions[self.rows(label).index] == self.digits

    def errors_by_level(self) -> dict[tuple[str, str, float], NDArray[np.float64]]:
        """Each run's error on changed test images, by label, change and level: the mean over directions."""
        means = self.changed.groupby(["label", "change", "level", "seed"]).error.mean()
        return {key: errors.to_numpy() for key, errors in means.groupby(level=[0, 1, 2])}


def measure(experiments: Mapping[str, Sequence[Run]], valid: LabelledSplit, test: LabelledSplit) -> Measurements:
    """Classifies the test images, original and changed, with every run's network.

    Raises a CheckpointError if a checkpoint can't be used, or its validation error is not the recorded one.
    """
    valid_images, test_images = (to_float(torch.from_numpy(part.images)[:, None]) for part in (valid, test))
    networks = []
    for run in (run for runs in experiments.values() for run in runs):
        networks.append(load_network(run))
        _check(run, networks[-1], valid_images, valid.labels)
    predictions, errors = [], []
    for key, change in tqdm(changes().items(), desc="test images", unit="change", disable=None, leave=False):
        changed = change(test_images)
        predictions.append(np.stack([network.predict(changed) for network in networks]))
        for k, error in enumerate((predictions[-1] != test.labels).mean(axis=1)):
            errors.append((k, *key, error))
    return tabulate(experiments, networks, predictions[0], test.labels, errors)  # the first change is none


def _check(run: Run, network: Network, images: Tensor, labels: NDArray[np.int64]) -> None:
    expected, count = (
        run.epochs[-1]["val/error"],
        run.record["images"]["val"],
    )  # the last ones, if `data.n_valid` was set
    error = float((network.predict(images[-count:]) != labels[-count:]).mean())
    if count > len(labels) or abs(error - expected) > TOLERANCE + 1e-9:
        raise CheckpointError(
            f"{run.weights} makes {error:.2%} errors on the last {count:,} of {len(labels):,} validation images here, "
            f"but its record says {expected:.2%} of {count:,}: it was validated on other digits."
        )


def tabulate(
    experiments: Mapping[str, Sequence[Run]],
    networks: Sequence[Network],
    predictions: NDArray[np.int64],
    digits: NDArray[np.int64],
    errors: Sequence[tuple[int, str, float, str, float]],
) -> Measurements:
    """Puts the records and the measurements into tables.

    `networks` and `predictions` (runs, N) are in the order of the runs. Each of `errors` has the number of the run, the
    kind of change, its level and direction, and the error on the test images.
    """
    identities: list[dict[str, Any]] = [
        {"label": label, "experiment": name, "seed": run.seed, "run": run}
        for (name, runs), label in zip(experiments.items(), labels_of(experiments), strict=True)
        for run in runs
    ]
    runs = pd.DataFrame(
        identity | _cost_and_errors(identity["run"], network) | {"test_error": float((predicted != digits).mean())}
        for identity, network, predicted in zip(identities, networks, predictions, strict=True)
    ).astype({f"epochs_to_{GOAL}": "Int64"})
    curves = pd.DataFrame(
        identity
        | {"epoch": epoch}
        | {f"{part}_error": row.get(f"{part}/error", math.nan) for part in ("train_eval", "val")}
        for identity in identities
        for epoch, row in enumerate(identity["run"].epochs, 1)
    )
    changed = pd.DataFrame(errors, columns=["k", "change", "level", "direction", "error"])
    changed = changed.sort_values("k", kind="stable").join(runs[["label", "experiment", "seed"]], on="k")
    return Measurements(runs, curves, changed, predictions, digits)


def labels_of(experiments: Mapping[str, Sequence[Run]]) -> list[str]:
    """Labels of the experiments: `MLP`, `CNN`, `augmented CNN`, with their names if two labels are equal."""
    labels = [("augmented " if runs[0].augmented else "") + runs[0].kind for runs in experiments.values()]
    named = zip(labels, experiments, strict=True)
    return [label if labels.count(label) == 1 else f"{label} ({name})" for label, name in named]


def _cost_and_errors(run: Run, network: Network) -> dict[str, object]:
    images, epochs = run.record["images"]["train"], run.epochs
    speeds = [row["train/images_per_second"] for row in epochs if "train/images_per_second" in row]
    return {
        "parameters": network.parameters,
        "multiply_adds": network.multiply_adds,
        "epochs": len(epochs),
        "seconds": float(run.record["seconds"]),
        "seconds_per_epoch": run.record["seconds"] / len(epochs),
        "training_seconds_per_epoch": median(images / speed for speed in speeds) if speeds else math.nan,
        f"epochs_to_{GOAL}": epochs_to(run, GOAL / 100),
        "train_error": epochs[-1].get("train_eval/error", math.nan),
        "val_error": epochs[-1]["val/error"],
        "version": run.name,
        "commit": run.record.get("commit", ""),
    }


def epochs_to(run: Run, accuracy: float) -> int | None:
    """The first epoch (from 1) after which this share of the validation images was right; None if there is none."""
    images = run.record["images"]["val"]
    allowed = (1 - accuracy) * images + 1e-6  # wrong images; recorded shares are rounded
    return next((n for n, row in enumerate(run.epochs, 1) if round(row["val/error"] * images) <= allowed), None)
