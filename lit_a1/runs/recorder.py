"""Recording: a training or a study writes its `record.json`; what a training carries over a stop."""

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from lit_a1.data.files import write_text
from lit_a1.environment import PROGRAM, UNKNOWN, commit, cpu, in_words, made_by, peak_memory_gb, versions
from lit_a1.runs.folders import relative_to_cwd
from lit_a1.runs.records import RECORD_FILE, Metrics, print_best, record_of
from lit_a1.runs.wording import typed


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Writes `record.json`."""
    write_text(folder / RECORD_FILE, json.dumps(record, indent=1) + "\n")


def plain(value: Any) -> Any:
    """What JSON can hold: named tuples as dictionaries, numbers that aren't finite as null."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class TrainingRecord:
    """What is known of a training: its epochs, time, memory, code and machines, over all processes that it took.

    Args:
        settings: of the run, flat: `{"model.lr": 0.1, ...}`; whoever resumes it must repeat them.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.epochs: list[Metrics] = []
        self.made_by: dict[str, list[str]] = {}
        self._seconds_before = self._memory_before = 0.0

    def start(self, machine: str) -> None:
        """Starts the clock of this process, which runs on that machine."""
        self._started = time.perf_counter()
        self._epochs_before = len(self.epochs)
        self.made_by = made_by(machine, self.made_by)  # now: files may change meanwhile

    @property
    def seconds(self) -> float:
        """Of training so far, in all processes."""
        return self._seconds_before + time.perf_counter() - self._started

    @property
    def seconds_an_epoch(self) -> float:
        """Of the epochs that ended in this process, on average."""
        return (self.seconds - self._seconds_before) / (len(self.epochs) - self._epochs_before)

    @property
    def peak_memory_gb(self) -> float:
        """The most memory that any of the processes held."""
        return max(self._memory_before, peak_memory_gb())

    def state(self) -> dict[str, Any]:
        """What a checkpoint carries, so that a resumed run's record is whole."""
        return {
            "settings": self.settings,
            "epochs": self.epochs,
            "seconds": self.seconds,
            "peak_memory_gb": self.peak_memory_gb,
            "made_by": self.made_by,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint's `state`, under the settings of this run."""
        self.epochs, self._seconds_before = list(state["epochs"]), state["seconds"]
        self._memory_before, self.made_by = state["peak_memory_gb"], state.get("made_by", UNKNOWN)

    def finish(self, folder: Path | None, **about: Any) -> dict[str, Any]:
        """The whole record, which is written into the run's folder where there is one.

        Args:
            folder: of the run.
            about: what else is known of it: `seed`, `pictures`, `parameters` ...
        """
        about |= {"seconds": round(self.seconds, 1), "peak_memory_gb": round(self.peak_memory_gb, 2)}
        record = record_of(self.epochs, settings=self.settings, **about, **in_words(self.made_by))
        if folder is not None:
            write_record(folder, record)
        return record

    def print_stopped(self, resume: str) -> None:
        """Says how to go on with a run that was interrupted: `resume` is the command."""
        if self.epochs:
            print(f"\nStopped. Go on with: {PROGRAM} {resume}")
        else:
            print("\nStopped before the first epoch had ended: nothing is kept.")


def print_finished(
    record: dict[str, Any], kind: str, path: Path | None, commands: Sequence[str], logs: str | Path | None
) -> None:
    """Prints the best epoch's metrics, and what to type next.

    Args:
        record: of the run.
        kind: of the file: `Checkpoint` or `Weights`.
        path: of the best epoch; None where none was kept.
        commands: what can be done with it, without `--ckpt_path`.
        logs: the folder of all runs.
    """
    console = Console(highlight=False, soft_wrap=True)
    print_best(console, record)
    if path is None:
        return
    console.print(f"{kind}: {relative_to_cwd(path)}\n\nNext:")
    for command in commands:
        console.print(f"  {PROGRAM} {command} --ckpt_path {typed(relative_to_cwd(path))}")
    if logs is not None:
        console.print(f"  tensorboard --logdir {typed(logs)}")


class StudyRecord:
    """The folder that a study leaves its results in, and the record of how they came about.

    Args:
        folder: of the study.
        about: what it is run with.
    """

    def __init__(self, folder: Path, **about: Any) -> None:
        self.folder = folder
        self._about = about | {"machine": cpu(), "versions": versions(), "commit": commit()}
        self._started = time.perf_counter()

    def record(self, **results: Any) -> None:
        """Writes `record.json`: what was found, and what it was measured on; null for what is not a finite number."""
        about = {"seconds": round(time.perf_counter() - self._started, 1), "finished": time.strftime("%Y-%m-%d %H:%M")}
        write_record(self.folder, plain(self._about | about | results))
