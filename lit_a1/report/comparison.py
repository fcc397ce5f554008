"""What Problem 2 shows beside the texts of its studies: errors epoch by epoch, networks side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lit_a1.report.document import table
from lit_a1.report.gather import Study, source_of, sources
from lit_a1.runs.finished import Run
from lit_a1.runs.statistics import wilson
from lit_a1.runs.wording import number, percent, spread

NAMES = {
    "mlp": "MLP", "mnist_plain": "CNN", "mnist": "augmented CNN", "mlp_ablation": "MLP, alike",
    "mnist_ablation": "CNN, alike",
}  # fmt: skip
ERRORS = {"train_error": "training error", "val_error": "validation error", "test_error": "test error"}


def progress(runs: Sequence[Run]) -> dict[str, Any] | None:
    """Training and validation error at the end of each epoch, as means over the runs of one recipe.

    None unless both errors were measured in every epoch of every run. `noise` is Wilson's interval for the last
    validation error, `noise_of_lowest` for the smallest. From epoch `settled` on, all validation errors lie in `noise`.
    """
    rows = [row for run in runs for row in run.epochs]
    lengths = {len(run.epochs) for run in runs}
    tags = ("train_eval/error", "val/error")
    if len(lengths) > 1 or not all(isinstance(row.get(tag), float | int) for row in rows for tag in tags):
        return None
    train, valid = (np.mean([[row[tag] for row in run.epochs] for run in runs], axis=0).tolist() for tag in tags)
    images = runs[0].record["images"]
    low, high = noise = wilson(valid[-1], images["val"])
    outside = [epoch for epoch, error in enumerate(valid, 1) if not low <= error <= high]
    epochs = range(1, lengths.pop() + 1)
    cells = {"training error": train, "validation error": valid}
    lines = [{"epoch": name} | {str(k): percent(errors[k - 1]) for k in epochs} for name, errors in cells.items()]
    return {
        "train": train, "valid": valid, "epochs": list(epochs), "runs": len(runs), "train_images": images["train"],
        "noise": noise, "noise_of_lowest": wilson(min(valid), images["val"]), "settled": max(outside, default=0) + 1,
        "table": table(lines, sources(runs)),
    }  # fmt: skip


def side_by_side(studies: Sequence[Study | None]) -> dict[str, Any] | None:
    """One table with a column for each network of the comparisons; None if none left a valid `results.csv`."""
    columns, origins = dict[str, dict[str, str]](), list[str]()
    for study in filter(None, studies):
        try:
            runs = pd.read_csv(study.folder / "results.csv")
            networks = {str(name): _column(rows) for name, rows in runs.groupby("experiment", sort=False)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        columns |= networks
        origins.append(source_of(study.folder, study.record))
    if not columns:
        return None
    labels = next(iter(columns.values()))
    rows = [{"": label} | {NAMES.get(name, name): cells[label] for name, cells in columns.items()} for label in labels]
    return table(rows, "; ".join(origins))


def _column(runs: pd.DataFrame) -> dict[str, str]:
    """Size, cost and errors of the runs of one experiment."""
    counts = {name: f"{int(runs[name].iloc[0]):,}" for name in ("parameters", "multiply_adds")}
    errors = {words: runs[name].dropna().tolist() if name in runs else [] for name, words in ERRORS.items()}
    return {
        "runs": str(len(runs)),
        "epochs": ", ".join(str(int(epochs)) for epochs in sorted(set(runs.epochs))),
        "parameters": counts["parameters"],
        "multiply-adds per image": counts["multiply_adds"],
        "seconds per epoch": number(float(runs.seconds_an_epoch.median())),
        **{name: spread(values) if values else "not recorded" for name, values in errors.items()},
    }
