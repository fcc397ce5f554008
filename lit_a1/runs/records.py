"""The files of a run: `record.json`, `validate.json`, `test.json`, and TensorBoard's hyperparameters."""

import json
import math
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lit_a1.data.files import write_text
from lit_a1.environment import commit, cpu, in_words, made_by, peak_memory_gb, versions
from lit_a1.runs.events import event_writer

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

RECORD_FILE = "record.json"
SHORT_NAMES = {  # columns of TensorBoard's table of hyperparameters
    **{"model.lr": "lr", "model.schedule": "schedule", "model.lr_decay": "schedule", "trainer.max_epochs": "epochs"},
    **dict.fromkeys(("model.batch_size", "data.batch_size"), "batch_size"),
    **{f"model.{name}": name for name in ("momentum", "nesterov", "weight_decay", "dropout")},
}
SHOWN_COLUMNS = ("network", "lr", "batch_size", "epochs", "seed")
Metrics = dict[str, float]
"""The metrics of one epoch: `epoch` (from 0), `step` (steps done) and measured values, by TensorBoard's tags."""


class CheckpointError(Exception):
    """A checkpoint is missing, unreadable, or of another model."""


@contextmanager
def loading(path: Path) -> Iterator[None]:
    """Turns errors from a damaged or foreign checkpoint into CheckpointErrors; this project's errors pass through."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.startswith(("lit_a1.", "lightning.")) or "OutOfMemory" in type(error).__name__:
            raise
        raise CheckpointError(
            f"{path} can't be read as a checkpoint: it is damaged or not one of this project."
        ) from error


class DivergedError(Exception):
    """Numbers in a training are no longer finite."""

    @classmethod
    def with_advice(cls, what: str, where: str, lr: float, checkpoint: Path | None, advice: str) -> Self:
        """The error with all that a user needs: what is not finite, in which step, what was saved, what to try."""
        last = f"The last good checkpoint is {checkpoint}." if checkpoint else "No checkpoint was written before."
        words = f"The training diverged: {what} is not finite in {where}, at a learning rate of {lr:.3g}."
        return cls(f"{words} {last} Start again with {advice}.")


class DeviceLostError(Exception):
    """The process of another device has ended, so this one can't continue."""


class TrainingRecord:
    """The record of a training: its epochs, time, memory, code and machines, over all its processes.

    Args:
        settings: the run's settings, flat: `{"model.lr": 0.1, ...}`; resuming requires the same settings.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.epochs: list[Metrics] = []
        self.made_by: dict[str, list[str]] = {}
        self._seconds_before = self._memory_before = 0.0

    def start(self, machine: str) -> None:
        """Starts the clock of this process, which runs on `machine`."""
        self._started = time.perf_counter()
        self._epochs_before = len(self.epochs)
        self.made_by = made_by(machine, self.made_by)  # now, as files may change later

    @property
    def seconds(self) -> float:
        """Seconds of training so far, in all processes."""
        return self._seconds_before + time.perf_counter() - self._started

    @property
    def seconds_per_epoch(self) -> float:
        """Mean seconds of the epochs that ended in this process."""
        return (self.seconds - self._seconds_before) / (len(self.epochs) - self._epochs_before)

    @property
    def peak_memory_gb(self) -> float:
        """The largest peak memory of the processes."""
        return max(self._memory_before, peak_memory_gb())

    def state(self) -> dict[str, Any]:
        """The part saved in checkpoints, so that a resumed run's record is complete."""
        names = ("settings", "epochs", "seconds", "peak_memory_gb", "made_by")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, Any]) -> None:
        """Resumes from a checkpoint's `state`, with the settings of this run; raises if the state is invalid."""
        self.epochs = [dict(row) for row in state["epochs"]]
        for row in self.epochs:
            if not (row.keys() >= {"epoch", "step"} and all(isinstance(value, int | float) for value in row.values())):
                raise TypeError("the metrics of an epoch are numbers")
        self._seconds_before, self._memory_before = float(state["seconds"]), float(state["peak_memory_gb"])
        if not 0 <= self._seconds_before < math.inf or not 0 <= self._memory_before < math.inf:
            raise ValueError("time and memory are numbers")
        self.made_by = {part: list(map(str, words)) for part, words in state["made_by"].items()}

    def finish(self, folder: Path | None, writer: "SummaryWriter | None" = None, **about: Any) -> dict[str, Any]:
        """The complete record, with further values (`seed`, `images` ...), written to the folder if there is one.

        TensorBoard's hyperparameters are written first, because a run with a record counts as over.
        """
        about |= {"seconds": round(self.seconds, 1), "peak_memory_gb": round(self.peak_memory_gb, 2)}
        record = record_of(self.epochs, settings=self.settings, **about, **in_words(self.made_by))
        if writer is not None and self.settings:
            log_hparams(writer, record)
            writer.flush()
        if folder is not None:
            write_json(folder / RECORD_FILE, record)
        return record


class StudyRecord:
    """The folder for a study's results (`Path()` until it is made) and the study's settings, `about`."""

    def __init__(self, folder: Path = Path(), **about: Any) -> None:
        self.folder = folder
        self._about = about | {"machine": cpu(), "versions": versions(), "commit": commit()}
        self._started = time.perf_counter()

    def record(self, **results: Any) -> None:
        """Writes `record.json`: the results, and the code and machine that they are from."""
        about = {"seconds": round(time.perf_counter() - self._started, 1), "finished": time.strftime("%Y-%m-%d %H:%M")}
        write_json(self.folder / RECORD_FILE, self._about | about | results)


def plain(value: Any) -> Any:
    """A value for JSON: named tuples become dictionaries, numbers that are not finite become null."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def best_of(epochs: Sequence[Metrics]) -> Metrics:
    """The first epoch with the smallest validation error; the last epoch if none was validated."""
    return min((row for row in epochs if "val/error" in row), key=lambda row: row["val/error"], default=epochs[-1])


def record_of(epochs: list[Metrics], **about: Any) -> dict[str, Any]:
    """The content of `record.json`: all about a run, then its best, last and all epochs."""
    about |= {"versions": versions(), "finished": time.strftime("%Y-%m-%d %H:%M")}
    ends = {"best": best_of(epochs), "last": epochs[-1]} if epochs else {}  # a run can diverge in its first epoch
    return about | ends | {"epochs": epochs}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file; numbers that are not finite become null, as JSON can't hold them."""
    write_text(path, json.dumps(plain(content), indent=1, allow_nan=False) + "\n")


def read_record(run: Path, needed: Sequence[str] = ("settings",)) -> dict[str, Any]:
    """A run's `record.json`; raises a CheckpointError if it is missing or damaged, or lacks a `needed` key."""
    path = run / RECORD_FILE
    if not path.is_file():
        raise CheckpointError(f"{run} has no {RECORD_FILE}: name the folder of a run that has ended.")
    record = read_json(path)
    if record is None or not record.keys() >= set(needed):
        raise CheckpointError(f"{path} is damaged: it is not the record of a run.")
    return record


def read_json(path: Path) -> Any:
    """The dictionary in a JSON file; None if the file is missing or damaged, or holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def test_metrics(run: Path) -> dict[str, Any]:
    """The results of `test` in a run's folder: `checkpoint`, `test/error` and more; empty if they can't be read."""
    results = read_json(run / "test.json") or {}
    is_valid = isinstance(results.get("checkpoint"), str) and isinstance(results.get("test/error"), float | int)
    return results if is_valid else {}


def version_of(path: Path) -> int | None:
    """The N of `.../version_N/checkpoints/x.ckpt`; None for a file elsewhere."""
    match = re.fullmatch(r"version_(\d+)", path.parent.parent.name)
    return int(match[1]) if match else None


def keep_metrics(command: str, checkpoint: Path, metrics: Metrics, step: int, images: tuple[int, int]) -> None:
    """Prints a checkpoint's metrics, and writes them to its run's folder, if it is in one.

    They are written as COMMAND.json (`validate`, `test`); those of a test also as TensorBoard scalars at the
    checkpoint's `step`. `images` are how many were measured, and how many there are: if not all were, nothing is
    written.
    """
    for name, value in metrics.items():
        print(f"{name:16} {value:.4f}" + (f"  ({1 - value:.2%} right)" if name.endswith("error") else ""))
    if is_part(*images) or version_of(checkpoint) is None:
        return
    folder = checkpoint.parent.parent
    write_json(folder / f"{command}.json", {"checkpoint": checkpoint.name, "images": images[0], **metrics})
    if command == "test":
        with event_writer(folder) as writer:
            for name, value in metrics.items():
                if name.startswith("test/"):
                    writer.add_scalar(name, value, step)


def is_part(measured: int, total: int) -> bool:
    """Whether only part of the images were measured; prints that such metrics are not saved."""
    if measured < total:
        print(f"Measured on {measured:,} of {total:,} images: nothing is written.")
    return measured < total


def log_hparams(writer: "SummaryWriter", record: dict[str, Any]) -> None:
    """Fills TensorBoard's table of hyperparameters with a record's settings and results.

    Settings that both kinds of networks have get one name, so that all runs share the columns.
    """
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    from torch.utils.tensorboard.summary import hparams  # slow to import, and `--help` imports this module

    settings, best = record["settings"], record["best"]
    columns = {SHORT_NAMES.get(name, name): value for name, value in settings.items()}
    columns["network"] = str(settings.get("model.class_path", "MLP")).rpartition(".")[2]
    measured = {"accuracy": 1 - best["val/error"], "loss": best["val/loss"]} if "val/error" in best else {}
    others = {name: record[name] for name in ("parameters", "seconds")}
    metrics = {f"result/{name}": value for name, value in (measured | others).items()}
    experiment, start, end = hparams(columns, metrics)
    plugin_data = experiment.value[0].metadata.plugin_data
    table = HParamsPluginData.FromString(plugin_data.content)
    for column in table.experiment.hparam_infos:
        column.differs = column.name in SHOWN_COLUMNS  # TensorBoard shows these columns, and others on request
    plugin_data.content = table.SerializeToString()
    for summary in (experiment, start, end):
        writer._get_file_writer().add_summary(summary)
    for name, value in metrics.items():
        writer.add_scalar(name, value, int(record["last"]["step"]))
