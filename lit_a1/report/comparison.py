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

ABLATION = ("mlp_ablation", "mnist_ablation")  # both architectures, trained alike
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
    parts = ("train_eval/error", "val/error")
    if len(lengths) > 1 or not all(isinstance(row.get(part), float | int) for row in rows for part in parts):
        return None
    train, valid = (np.mean([[row[part] for row in run.epochs] for run in runs], axis=0).tolist() for part in parts)
    images = runs[0].record["images"]
    low, high = noise = wilson(valid[-1], images["val"])
    outside = [epoch for epoch, error in enumerate(valid, 1) if not low <= error <= high]
    epochs = range(1, lengths.pop() + 1)
    cells = {"training error": train, "validation error": valid}
    lines = [{"epoch": name} | {str(k): percent(each[k - 1]) for k in epochs} for name, each in cells.items()]
    return {
        "train": train, "valid": valid, "epochs": list(epochs), "runs": len(runs), "train_images": images["train"],
        "noise": noise, "noise_of_lowest": wilson(min(valid), images["val"]), "settled": max(outside, default=0) + 1,
        "table": table(lines, sources(runs)),
    }  # fmt: skip


def strongest_noise(left: Study | None) -> dict[str, float] | None:
    """Mean errors of MLP and CNN over the runs of a comparison under its strongest noise; None if unknown."""
    try:
        rows = pd.read_csv(left.folder / "noise.csv") if left else pd.DataFrame()
        rows = rows[(rows.tried == "nothing") & (rows.level == rows.level.max())]
        errors = rows.groupby("experiment").error.mean()
        mlp, cnn = (float(errors[name]) for name in ABLATION)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return {"level": float(rows.level.iloc[0]), "mlp": mlp, "cnn": cnn}


def side_by_side(studies: Sequence[Study | None]) -> dict[str, Any] | None:
    """One table with a column for each network of the comparisons; None if none left a valid `results.csv`."""
    columns, places = dict[str, dict[str, str]](), list[str]()
    for left in filter(None, studies):
        try:
            runs = pd.read_csv(left.folder / "results.csv")
            found = {str(name): _column(rows) for name, rows in runs.groupby("experiment", sort=False)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        columns |= found
        places.append(source_of(left.folder, left.record))
    if not columns:
        return None
    first = next(iter(columns.values()))
    rows = [{"": what} | {NAMES.get(name, name): each[what] for name, each in columns.items()} for what in first]
    return table(rows, "; ".join(places))


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
        **{words: spread(each) if each else "not recorded" for words, each in errors.items()},
    }
