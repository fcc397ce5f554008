"""What the terminal shows of a training: a line for each epoch, the best epoch, the next commands."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lit_a1.environment import PROGRAM
from lit_a1.runs.folders import relative_to_cwd
from lit_a1.runs.records import Metrics
from lit_a1.runs.wording import clock, typed

PART_NAMES = {"train": "training (as it ran)", "train_eval": "training (at the epoch's end)", "val": "validation"}


def epoch_line(metrics: Metrics, max_epochs: int, time_left: str) -> str:
    """The line for an epoch that has ended."""
    parts = [epoch_name(int(metrics["epoch"]), max_epochs)]
    parts += [
        f"{part} loss {metrics[f'{part}/loss']:.4f} error {metrics[f'{part}/error']:6.2%}"
        for part in ("train_eval" if "train_eval/loss" in metrics else "train", "val")
        if f"{part}/loss" in metrics
    ]
    if "train/images_per_second" in metrics:
        parts.append(f"{metrics['train/images_per_second']:.0f} images/s")
    return "  ".join([*parts, f"left {time_left}"])


def epoch_name(epoch: int, max_epochs: int) -> str:
    """`epoch 3/20`, counted from 1; without a limit `epoch 3`."""
    return f"epoch {epoch + 1:{len(str(max_epochs))}}" + (f"/{max_epochs}" if max_epochs > 0 else "")


def print_finished(
    record: dict[str, Any], kind: str, path: Path | None, commands: Sequence[str], logs: str | Path | None
) -> None:
    """Prints the best epoch's metrics, its file (`kind` is `Checkpoint` or `Weights`), and the next commands.

    `commands` use the file, and are given without `--ckpt_path`; `logs` is the folder of all runs.
    """
    console, best = Console(highlight=False, markup=False, soft_wrap=True), record["best"]
    count = f"{int(best['epoch']) + 1} of {len(record['epochs'])}"
    title = f"Best epoch: {count}" if "val/error" in best else f"Last epoch: {count}; nothing was validated"
    table = Table(title=title, title_justify="left")
    for heading in ("", "loss", "error", "accuracy"):
        table.add_column(heading, justify="right" if heading else "left")
    for part, words in PART_NAMES.items():
        if f"{part}/error" in best:
            error = best[f"{part}/error"]
            table.add_row(words, f"{best[f'{part}/loss']:.4f}", f"{error:.2%}", f"{1 - error:.2%}")
    console.print()
    console.print(table if table.row_count else title)
    trained = f"trained in {clock(record['seconds'])}; peak memory {record['peak_memory_gb']:.2f} GB"
    console.print(f"{record['parameters']:,} parameters; {trained}.")
    if path is None:
        return
    console.print(f"{kind}: {relative_to_cwd(path)}\n\nNext:")
    for command in commands:
        console.print(f"  {PROGRAM} {command} --ckpt_path {typed(relative_to_cwd(path))}")
    if logs is not None:
        console.print(f"  tensorboard --logdir {typed(logs)}")


def print_stopped(resume: str | None) -> None:
    """Prints how to resume an interrupted run: `resume` is the command, None without a checkpoint."""
    print("\nStopped.", f"Go on with: {PROGRAM} {resume}" if resume else "There is no checkpoint to resume from.")
