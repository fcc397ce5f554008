"""What a run leaves behind: `record.json`, `test.json`, a row of docs/runs.csv, and its last words in the terminal."""

import csv
import json
import re
import time
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from lit_a1.data.files import write_text
from lit_a1.environment import REPOSITORY, versions
from lit_a1.runs.wording import clock

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

RECORD_FILE = "record.json"
Metrics = dict[str, float]
"""The metrics of one epoch: `epoch` (from 0 on), `step` (steps done) and what was measured, by TensorBoard's tags."""
PART_NAMES = {"train": "training (as it ran)", "train_eval": "training (at the epoch's end)", "val": "validation"}
RUNS = REPOSITORY / "docs" / "runs.csv"
Row = dict[str, str]
COLUMNS = (
    "finished", "config", "recipe", "changes", "seed", "epochs", "parameters", "seconds", "peak_memory_gb", "machine",
    "packages", "commit", "val_pictures", "best_epoch", "best_val_error", "last_val_error", "tested", "test_error",
)  # fmt: skip


class CheckpointError(Exception):
    """A checkpoint is missing, unreadable, or of another model."""


# record.json and test.json


def best_of(epochs: Sequence[Metrics]) -> Metrics:
    """The epoch with the smallest validation error, the first of equals."""
    return min(epochs, key=lambda row: row.get("val/error", float("inf")))


def record_of(epochs: list[Metrics], **about: Any) -> dict[str, Any]:
    """What `record.json` holds: all about a run, then its best, last and all epochs."""
    about |= {"versions": versions(), "finished": time.strftime("%Y-%m-%d %H:%M")}
    return about | {"best": best_of(epochs), "last": epochs[-1], "epochs": epochs}


def read_record(run: Path, needed: Sequence[str] = ("settings",)) -> dict[str, Any]:
    """What `record.json` in a run's folder holds, `needed` among it.

    Raises:
        CheckpointError: there is none, it is damaged, or lacks something that is needed.
    """
    path = run / RECORD_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{run} has no {RECORD_FILE}: name the folder of a run that has ended.") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: the record of a run, in JSON, was expected.") from error
    if not isinstance(record, dict) or not record.keys() >= set(needed):
        raise CheckpointError(f"{path} is damaged: it is not the record of a run.")
    return record


def read_json(path: Path) -> Any:
    """What a JSON file holds; None where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def test_metrics(run: Path) -> dict[str, Any]:
    """What `test` left in a run's folder: `checkpoint`, `test/error` and more; empty where that can't be read."""
    found = read_json(run / "test.json")
    sound = isinstance(found, dict) and isinstance(found.get("checkpoint"), str)
    return found if sound and isinstance(found.get("test/error"), float | int) else {}


def version_of(path: Path) -> int | None:
    """The N of `.../version_N/checkpoints/x.ckpt`; None for a file that lies elsewhere."""
    match = re.fullmatch(r"version_(\d+)", path.parent.parent.name)
    return int(match[1]) if match else None


def keep_metrics(command: str, checkpoint: Path, figures: Metrics, step: int) -> None:
    """Prints a checkpoint's metrics and leaves them in its run's folder: a JSON file; TensorBoard's tags for test.

    Args:
        command: that measured them, `validate` or `test`.
        checkpoint: a file; of one that lies outside a run's folder nothing is written.
        figures: by TensorBoard's tags.
        step: steps that the checkpoint was trained for.
    """
    for name, value in figures.items():
        print(f"{name:16} {value:.4f}" + (f"  ({1 - value:.2%} right)" if name.endswith("error") else ""))
    if version_of(checkpoint) is None:
        return
    folder = checkpoint.parent.parent
    write_text(folder / f"{command}.json", json.dumps({"checkpoint": checkpoint.name, **figures}, indent=1) + "\n")
    if command == "test":
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(folder) as writer:
            for name, value in figures.items():
                if name.startswith("test/"):
                    writer.add_scalar(name, value, step)


def log_hparams(writer: "SummaryWriter", settings: dict[str, Any], best: Metrics, step: int) -> None:
    """Fills TensorBoard's table of hyperparameters, with the best epoch's metrics beside them."""
    from torch.utils.tensorboard.summary import hparams  # slow to import, and `--help` comes this way

    metrics = {f"best/{name.removeprefix('val/')}": value for name, value in best.items() if name.startswith("val/")}
    for part in hparams(settings, metrics):
        writer._get_file_writer().add_summary(part)
    for name, value in metrics.items():
        writer.add_scalar(name, value, step)


# docs/runs.csv


def read_rows(path: Path = RUNS) -> list[Row]:
    """All rows of a CSV of runs, in the order in which they were added; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def identity(row: Row) -> tuple[str, ...]:
    """What is the same for a run below the folder of runs and in the CSV, whatever its YAML says by now."""
    return tuple(row[name] for name in ("config", "finished", "seed", "epochs", "seconds", "last_val_error"))


def val_error(epoch: Metrics) -> str:
    """An epoch's in the CSV: empty where it was not measured, `nan` where the network had diverged and guesses."""
    if "val/error" not in epoch:
        return ""
    return f"{epoch['val/error']:.4f}" if isfinite(epoch.get("val/loss", 0.0)) else "nan"


# the terminal


def epoch_line(figures: Metrics, last: int, left: str) -> str:
    """What the terminal says when an epoch is over."""
    parts = [epoch_name(int(figures["epoch"]), last)]
    parts += [
        f"{part} loss {figures[f'{part}/loss']:.4f} error {figures[f'{part}/error']:6.2%}"
        for part in ("train_eval" if "train_eval/loss" in figures else "train", "val")
        if f"{part}/loss" in figures
    ]
    if "train/pictures_per_second" in figures:
        parts.append(f"{figures['train/pictures_per_second']:.0f} pictures/s")
    return "  ".join([*parts, f"left {left}"])


def epoch_name(epoch: int, last: int) -> str:
    """`epoch 3/20`, counted from 1; without an end `epoch 3`."""
    return f"epoch {epoch + 1:{len(str(last))}}" + (f"/{last}" if last > 0 else "")


def print_best(console: Console, record: dict[str, Any]) -> None:
    """Prints the best epoch's metrics."""
    best = record["best"]
    table = Table(title=f"Best epoch: {int(best['epoch']) + 1} of {len(record['epochs'])}", title_justify="left")
    for heading in ("", "loss", "error", "accuracy"):
        table.add_column(heading, justify="right" if heading else "left")
    for part, words in PART_NAMES.items():
        if f"{part}/error" in best:
            error = best[f"{part}/error"]
            table.add_row(words, f"{best[f'{part}/loss']:.4f}", f"{error:.2%}", f"{1 - error:.2%}")
    console.print()
    console.print(table)
    trained = f"trained in {clock(record['seconds'])}; peak memory {record['peak_memory_gb']:.2f} GB"
    console.print(f"{record['parameters']:,} parameters; {trained}.")
