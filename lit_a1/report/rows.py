"""The rows of docs/runs.csv, and the row of a run."""

import csv
from pathlib import Path

from lit_a1.environment import REPOSITORY
from lit_a1.report.recipes import Row, changes, fingerprint, shipped_settings
from lit_a1.runs.folders import DRAWN
from lit_a1.runs.records import Metrics, test_metrics
from lit_a1.runs.settings import UsageError
from lit_a1.studies.curves import read

RUNS = REPOSITORY / "docs" / "runs.csv"
COLUMNS = (
    "finished", "config", "recipe", "changes", "seed", "epochs", "parameters", "seconds", "peak_memory_gb", "machine",
    "packages", "commit", "val_images", "best_epoch", "best_val_error", "last_val_error", "tested", "test_error",
)  # fmt: skip


def read_rows(path: Path = RUNS) -> list[Row]:
    """All rows of a CSV of runs, in the order they were added; none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def identity(row: Row) -> tuple[str, ...]:
    """Identifies a run, whether read from its folder or the CSV, even if its YAML has changed."""
    return tuple(row[name] for name in ("config", "finished", "seed", "epochs", "seconds", "last_val_error"))


def row_of(run: Path) -> Row:
    """The row of a run, from the record that `fit` wrote in its folder.

    Raises:
        UsageError: the record is missing or damaged, has no validated epoch, or has classes that this version does not
            know.
    """
    record, config = read(run).record, run.parent.name.removesuffix(DRAWN)
    recipe, test = shipped_settings(config), test_metrics(run)
    library = "torch" if "model.class_path" in recipe else "numpy"
    if "best" not in record:
        raise UsageError(f"{run} has no epoch that was validated: there is no result to record.")
    best, last = record["best"], record["last"]
    last_error = "nan" if "diverged" in record else _val_error(last)
    seeds = record["seed"] if isinstance(record["seed"], list) else [record["seed"]]  # those of an ensemble's members
    values = (
        record["finished"], config, fingerprint(recipe), changes(record["settings"], recipe),
        " ".join(map(str, seeds)), int(last["epoch"]) + 1, record["parameters"], record["seconds"],
        record["peak_memory_gb"], record["machine"], f"{library} {record['versions'][library]}", record["commit"],
        record["images"]["val"], int(best["epoch"]) + 1, _val_error(best), last_error,
        Path(test["checkpoint"]).stem if test else "", f"{test['test/error']:.4f}" if test else "",
    )  # fmt: skip
    return dict(zip(COLUMNS, map(str, values), strict=True))


def _val_error(epoch: Metrics) -> str:
    return f"{epoch['val/error']:.4f}" if "val/error" in epoch else ""
