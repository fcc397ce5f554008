"""Folders of runs, `lightning_logs/NAME/version_N`: which checkpoint is meant, what a record holds, the last words."""

import hashlib
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from lit_a1.data.files import write_text
from lit_a1.environment import versions
from lit_a1.runs.wording import listed

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

KEYWORDS = ("best", "last")
RECORD_FILE = "record.json"
DRAWN = "-drawn"
"""Ends the name of an experiment on drawn pictures."""
PRETRAINED = Path(__file__).parents[1] / "pretrained"
"""Trained weights that come with the project: NAME.ckpt, and what is known of it in NAME.json."""
WEIGHTS_ALONE = "{} holds weights and not a run that fit could go on with: start one without --ckpt_path."
Figures = dict[str, float]
"""Of one epoch: `epoch` (from 0 on), `step` (steps done) and what was measured, by TensorBoard's tags."""


class CheckpointError(Exception):
    """A checkpoint is missing, unreadable, or of another model."""


# folders


def new_version(runs: Path) -> Path:
    """Makes the folder of a new run below `lightning_logs/NAME`: version_N with the next N."""
    runs.mkdir(parents=True, exist_ok=True)
    taken = [int(path.name.removeprefix("version_")) for path in runs.glob("version_*") if path.name[8:].isdecimal()]
    for number in range(max(taken, default=-1) + 1, 1 << 31):
        try:
            (folder := runs / f"version_{number}").mkdir()
        except FileExistsError:
            continue  # another run was quicker
        return folder
    raise AssertionError


def resolve(wanted: str | None, runs: Path, *, resume: bool = False, suffix: str = ".ckpt") -> Path:
    """The checkpoint file that `--ckpt_path` means.

    Args:
        wanted: a file; `best` or `last`, of the newest run that has one; or `pretrained`, the weights that come with
            the project. None means `best`.
        runs: the folder of an experiment's runs, `lightning_logs/NAME`.
        resume: the run is to go on: only the newest one is meant, even where an older one has a checkpoint.
        suffix: of the file.

    Raises:
        CheckpointError: there is no such file (Lightning would go on with untrained weights), or none to go on with.
    """
    if wanted == "pretrained":
        if resume:
            raise CheckpointError(WEIGHTS_ALONE.format(wanted))
        return pretrained(runs.name.removesuffix(DRAWN), suffix)
    if wanted in KEYWORDS or wanted is None:
        name = (wanted or "best") + suffix
        found = sorted(
            (path / "checkpoints" / name for path in runs.glob("version_*")), key=lambda path: version_of(path) or 0
        )
        if resume and found and not found[-1].exists():
            raise CheckpointError(
                f"The newest run, {found[-1].parent.parent}, has no {name}: none of its epochs had ended. Start again "
                "without --ckpt_path, or name a file with it."
            )
        found = [path for path in found if path.exists()]
        if not found:
            raise CheckpointError(
                f"There is no {name} in any run under {runs}: train one with fit, or name a file with --ckpt_path."
            )
        return found[-1]
    path = Path(wanted)
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}.")
    return path


def trained_weights(named: str, drawn: bool = False) -> Path:
    """The checkpoint that another training goes on from or learns from: the last epoch's, which no validation chose.

    Args:
        named: a file; the folder of a run; or that of an experiment, `lightning_logs/NAME`, for its newest run.
        drawn: an experiment's runs on drawn pictures are meant.

    Raises:
        CheckpointError: there is none, or it is of a run that has not ended.
    """
    path = Path(named)
    if path.is_file():
        return path
    last = Path("checkpoints", "last.ckpt")
    if drawn and version_of(path / last) is None and not path.name.endswith(DRAWN):
        path = path.with_name(path.name + DRAWN)
    runs = [path, *sorted(path.glob("version_*"), key=lambda run: version_of(run / last) or 0)]
    for run in reversed(runs):
        if (run / RECORD_FILE).is_file() and (run / last).is_file():
            return run / last
    raise CheckpointError(f"There is no finished training in {path}, which this one needs: run it first, with fit.")


def pretrained(name: str, suffix: str = ".ckpt") -> Path:
    """The file of trained weights that come with the project.

    Args:
        name: of the experiment, as its runs' folder is called.
        suffix: of the file.

    Raises:
        CheckpointError: there are no weights of this experiment, or the file is not the one that was published.
    """
    path, about = PRETRAINED / f"{name}{suffix}", PRETRAINED / f"{name}.json"
    if not about.is_file():
        others = sorted(other.stem for other in PRETRAINED.glob("*.json"))
        there = f"there are some for {listed(others)}" if others else "none are published yet"
        raise CheckpointError(f"There are no pretrained weights for {name}: {there}.")
    if not path.is_file():
        raise CheckpointError(f"There is no {path}, which {about.name} tells of: fetch it again.")
    try:
        expected = json.loads(about.read_text(encoding="utf-8"))["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{about} can't be read: it should hold the sha256 of {path.name}.") from error
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise CheckpointError(
            f"{path} is not the file that was published: its sha256 is {found[:12]}..., not that in {about.name}. What "
            "a clone without git-lfs, or one that was cut short, leaves is no checkpoint: fetch it again."
        )
    return path


def version_of(path: Path) -> int | None:
    """The N of `.../version_N/checkpoints/x.ckpt`; None for a file that lies elsewhere."""
    match = re.fullmatch(r"version_(\d+)", path.parent.parent.name)
    return int(match[1]) if match else None


def check_same_settings(started: dict[str, Any], settings: dict[str, Any], path: Path) -> None:
    """Refuses to go on with other settings than a run was started with.

    Args:
        started: flat, `{"model.lr": 0.1, ...}`; those of the trainer may differ, and whether the net is compiled.
        settings: of the command that would go on.
        path: the checkpoint's, to name it.

    Raises:
        CheckpointError: names the first that differs.
    """
    for name in sorted(started.keys() | settings.keys()):
        if name.startswith(("trainer.", "model.compile_net")) or started.get(name) == settings.get(name):
            continue
        if name not in started:
            raise CheckpointError(
                f"The run of {path} was started without {name}, which is {settings[name]} here: go on with the "
                "config.yaml of its run and the version of this code that started it, or start a new one without "
                "--ckpt_path."
            )
        raise CheckpointError(
            f"The run of {path} was started with {name}={started[name]}, not {settings.get(name)}: go on with the "
            "config.yaml of its run, or start a new one without --ckpt_path."
        )


def check_not_over(done: int, wanted: int | None, path: Path) -> None:
    """Refuses to go on where no epoch is left; a `wanted` below 0 or None has no end.

    Raises:
        CheckpointError: says so.
    """
    if wanted is not None and 0 <= wanted <= done:
        raise CheckpointError(f"{path} is of a run that is over: {done} epochs are done, {wanted} are wanted.")


# records


def best_of(epochs: list[Figures]) -> Figures:
    """The epoch with the smallest validation error, the first of equals."""
    return min(epochs, key=lambda row: row.get("val/error", float("inf")))


def record_of(epochs: list[Figures], **about: Any) -> dict[str, Any]:
    """What `record.json` holds: all about a run, then its best, last and all epochs."""
    now = time.strftime("%Y-%m-%d %H:%M")
    ends = {"best": best_of(epochs), "last": epochs[-1], "epochs": epochs}
    return about | {"versions": versions(), "finished": now} | ends


def read_record(run: Path) -> dict[str, Any]:
    """What `record.json` in a run's folder holds.

    Raises:
        CheckpointError: there is none, or it is not what `record_of` makes.
    """
    path = run / RECORD_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"There is no {path}: name the folder of a run that is over.") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(record, dict) or "settings" not in record:
        raise CheckpointError(f"{path} is damaged: it is not the record of a run.")
    return record


def log_hparams(writer: "SummaryWriter", settings: dict[str, Any], best: Figures, step: int) -> None:
    """Fills TensorBoard's table of hyper-parameters, with the best epoch's figures beside them."""
    from torch.utils.tensorboard.summary import hparams  # slow to import, and `--help` comes this way

    metrics = {f"best/{name.removeprefix('val/')}": value for name, value in best.items() if name.startswith("val/")}
    for part in hparams(settings, metrics):
        writer._get_file_writer().add_summary(part)
    for name, value in metrics.items():
        writer.add_scalar(name, value, step)


def keep_figures(command: str, checkpoint: Path, figures: dict[str, float], step: int) -> None:
    """Prints a checkpoint's figures and leaves them in its run's folder: a JSON file; TensorBoard's tags for test.

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


# words


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss from an hour on."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def epoch_line(figures: Figures, last: int, left: str) -> str:
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


def say_best(console: Console, record: dict[str, Any]) -> None:
    """Prints the best epoch's figures."""
    best = record["best"]
    title = f"Best epoch: {int(best['epoch']) + 1} of {len(record['epochs'])}"
    table = Table(title=title, title_justify="left")
    for heading in ("", "loss", "error", "accuracy"):
        table.add_column(heading, justify="left" if not heading else "right")
    parts = {"train": "training (as it ran)", "train_eval": "training (at the epoch's end)", "val": "validation"}
    for part, words in parts.items():
        if f"{part}/error" in best:
            loss, error = best[f"{part}/loss"], best[f"{part}/error"]
            table.add_row(words, f"{loss:.4f}", f"{error:.2%}", f"{1 - error:.2%}")
    console.print()
    console.print(table)
    trained = f"trained in {clock(record['seconds'])}; peak memory {record['peak_memory_gb']:.2f} GB"
    console.print(f"{record['parameters']:,} parameters; {trained}.")


def near(path: Path) -> Path:
    """The path as a user in this folder would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
