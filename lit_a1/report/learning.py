"""What learning curves show about over- and underfitting: training against validation, in numbers."""

from collections.abc import Sequence
from math import isfinite, nan
from statistics import mean
from typing import Any

from lit_a1.runs.finished import Run
from lit_a1.runs.statistics import ALPHA, fisher
from lit_a1.runs.wording import probability
from lit_a1.studies.curves import conditions

DROPOUT_OPTIONS = ("model.dropout", "model.input_dropout", "model.stochastic_depth")  # parts are off in training


def gap(runs: Sequence[Run]) -> dict[str, Any] | None:
    """Training against validation error in the last epoch, as means over runs; None if not measured.

    They are `comparable` if the training images were measured like the validation images, or are not harder. Harder
    images have more errors, so the true gap is at least as large. The network `overfits` if the training images have
    fewer errors by Fisher's exact test (two-sided, as if from one run).
    """
    last_epochs = [run.record["last"] for run in runs]
    exact = all("train_eval/error" in row for row in last_epochs)
    tag = "train_eval/error" if exact else "train/error"
    if any(name not in row for row in last_epochs for name in (tag, "val/error")):
        return None
    train, valid = (mean(row[name] for row in last_epochs) for name in (tag, "val/error"))
    harder = any(run.augmented or run.augmentation(("mixup", "cutmix")) for run in runs)
    harder |= any(run.settings.get(name) for run in runs for name in DROPOUT_OPTIONS)
    images = runs[0].training_images_measured
    p = fisher(((train, images), (valid, runs[0].record["images"]["val"])))
    return {
        "train": train, "valid": valid, "exact": exact, "comparable": exact or not harder, "images": images,
        "p": probability(p), "overfits": p < ALPHA and train < valid,
    }  # fmt: skip


def learning_curves(runs: Sequence[Run]) -> dict[str, Any] | None:
    """First, best and last value of each curve with their epochs, as means over runs; None without validation."""
    valid, loss = _series(runs, "val/error"), _series(runs, "val/loss")
    if not valid:
        return None
    mixed_until = runs[0].augmentation(("mixup", "cutmix")) and runs[0].settings.get("data.augment.mix_until")
    lowest = min(loss, key=loss.__getitem__, default=None)
    return {
        "epochs": int(runs[0].record["last"]["epoch"]) + 1,
        "points": len(valid),
        "valid": _first_best_last(valid),
        "train": _first_best_last(_series(runs, "train_eval/error")),
        "train_loss": _first_best_last(_series(runs, "train_eval/loss")),
        "running": _first_best_last(_series(runs, "train/error")),
        "conditions": conditions(runs[0]).strip(" ()"),
        "mixed_until": mixed_until if isinstance(mixed_until, int) else None,
        "lowest_loss": {
            "epoch": lowest, "is_last": lowest == max(loss), "first": loss[min(loss)],
            "losses": [loss[lowest], loss[max(loss)]], "errors": [valid.get(lowest), valid.get(max(loss))],
        } if lowest and len(loss) > 1 else None,
    }  # fmt: skip


def _series(runs: Sequence[Run], tag: str) -> dict[int, float]:
    """Means of a tag over runs, by epoch (from 1), for the epochs in which all runs measured it."""
    measured = [{int(row["epoch"]) + 1: row[tag] for row in run.epochs if isfinite(row.get(tag, nan))} for run in runs]
    epochs = set[int].intersection(*map(set, measured))
    return {epoch: mean(values[epoch] for values in measured) for epoch in sorted(epochs)}


def _first_best_last(series: dict[int, float]) -> dict[str, tuple[int, float]] | None:
    if not series:
        return None
    epochs = {"first": min(series), "best": min(series, key=series.__getitem__), "last": max(series)}
    return {name: (epoch, series[epoch]) for name, epoch in epochs.items()}
