"""Folders of runs, `lightning_logs/NAME/version_N`, and how to find a checkpoint in them."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

from lit_a1.runs.records import RECORD_FILE, CheckpointError, read_json, version_of
from lit_a1.runs.settings import without_machine_options
from lit_a1.runs.wording import listed, typed

KEYWORDS = ("best", "last")
DRAWN = "-drawn"  # ends the name of an experiment on drawn images
PRETRAINED = Path(__file__).parents[1] / "pretrained"
"""Trained weights that come with the project: NAME.ckpt, described by NAME.json."""
WITH_EFFECT = ("trainer.limit_train_batches", "trainer.overfit_batches")  # the trainer's settings that affect training
NOT_GIVEN = (None, False, "", "{}")  # values that mean the same as no value
WEIGHTS_ALONE = "{} holds weights and not a run that fit could go on with: start one without --ckpt_path."


def run_folders(experiment: Path) -> list[Path]:
    """The runs' folders of an experiment, `lightning_logs/NAME`, oldest first, without runs that never began."""
    found = [path for path in experiment.glob("version_*") if path.name[8:].isdecimal() and any(path.iterdir())]
    return sorted(found, key=lambda path: int(path.name[8:]))


def run_of(path: Path, events: str, runs: Path) -> Path | None:
    """The folder of the experiment's run that wrote a checkpoint: it contains the checkpoint or its event file."""
    if path.resolve().is_relative_to(runs.resolve()) and version_of(path) is not None:
        return path.parent.parent
    return next((run for run in run_folders(runs) if events and (run / events).is_file()), None)


def new_version(runs: Path) -> Path:
    """Makes the folder of a new run below `lightning_logs/NAME`: version_N with the next N."""
    runs.mkdir(parents=True, exist_ok=True)
    existing = run_folders(runs)
    number = int(existing[-1].name[8:]) + 1 if existing else 0
    while True:
        folder = runs / f"version_{number}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:  # another run took this number
            number += 1


def remove_version(folder: Path) -> None:
    """Removes the folder of a run that never began, and the folders above it if they are empty then."""
    shutil.rmtree(folder)
    for parent in (folder.parent, folder.parent.parent):
        if any(parent.iterdir()):
            break
        parent.rmdir()


def resolve(ckpt_path: str | None, runs: Path, *, resume: bool = False, suffix: str = ".ckpt") -> Path:
    """The checkpoint file that `--ckpt_path` means.

    Args:
        ckpt_path: a file; `best` or `last` of the newest run that has it; or `pretrained`, the weights that come with
            the project. None means `best`.
        runs: the folder of an experiment's runs, `lightning_logs/NAME`.
        resume: whether the run is resumed. Then only the newest run counts, even if only an older one has a checkpoint.
        suffix: the file's suffix.

    Raises:
        CheckpointError: there is no such file (Lightning would use untrained weights), or none to resume from.
    """
    if ckpt_path == "pretrained":
        if resume:
            raise CheckpointError(WEIGHTS_ALONE.format(ckpt_path))
        return pretrained(runs.name.removesuffix(DRAWN), suffix)
    if ckpt_path not in (None, *KEYWORDS):
        if not Path(ckpt_path).is_file():
            raise CheckpointError(f"There is no checkpoint {Path(ckpt_path)}.")
        return Path(ckpt_path)
    name = (ckpt_path or "best") + suffix
    all_runs = run_folders(runs)
    found = [path for run in all_runs if (path := run / "checkpoints" / name).exists()]
    if resume and all_runs and (not found or found[-1].parents[1] != all_runs[-1]):
        raise CheckpointError(
            f"The newest run, {all_runs[-1]}, has no {name}: start again without --ckpt_path, or name a file with it."
        )
    if not found:
        raise CheckpointError(
            f"There is no {name} in any run under {runs}: train one with fit, or name a file with --ckpt_path."
        )
    return found[-1]


def trained_weights(source: str, drawn: bool = False) -> Path:
    """The checkpoint that another training starts or learns from: of the last epoch, which validation did not choose.

    `source` is a file; the folder of a run; or the folder of an experiment, `lightning_logs/NAME`, for its newest run,
    on drawn images if `drawn`. Raises a CheckpointError if there is none, or its run has not ended.
    """
    path = Path(source)
    if path.is_file():
        return path
    last = Path("checkpoints", "last.ckpt")
    if drawn and version_of(path / last) is None and not path.name.endswith(DRAWN):
        path = path.with_name(path.name + DRAWN)
    for run in reversed([path, *run_folders(path)]):
        ended = (run / RECORD_FILE).is_file() and (run / last).is_file()
        if ended and "diverged" not in (read_json(run / RECORD_FILE) or ()):
            return run / last
    raise CheckpointError(f"There is no finished training in {path}, which this one needs: run it first, with fit.")


def pretrained(name: str, suffix: str = ".ckpt") -> Path:
    """An experiment's weights that come with the project; raises a CheckpointError if they are missing or altered."""
    path, about = PRETRAINED / f"{name}{suffix}", PRETRAINED / f"{name}.json"
    if not about.is_file():
        published = sorted(other.stem for other in PRETRAINED.glob("*.json"))
        available = f"there are some for {listed(published)}" if published else "none are published yet"
        raise CheckpointError(f"There are no pretrained weights for {name}: {available}.")
    if not path.is_file():
        raise CheckpointError(f"{path} is missing, although {about.name} describes it: fetch it again.")
    if (expected := (read_json(about) or {}).get("sha256")) is None:
        raise CheckpointError(f"{about} can't be read: it should hold the sha256 of {path.name}.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != expected:
        raise CheckpointError(
            f"{path} is not the file that was published: its sha256 is {digest[:12]}..., not that in {about.name}. "
            "A clone without git-lfs, or an interrupted one, leaves a file that is no checkpoint: fetch it again."
        )
    return path


def check_same_settings(started: dict[str, Any], settings: dict[str, Any], path: Path) -> None:
    """Raises a CheckpointError if a run started with other settings (flat) that affect its training."""
    names = without_machine_options(started | settings, "channels_last", "sync_norm")  # these two may change roundings
    for name in sorted(names):
        ignored = name.startswith("trainer.") and name not in WITH_EFFECT
        values = started.get(name), settings.get(name)
        if ignored or values[0] == values[1] or all(value in NOT_GIVEN for value in values):
            continue
        how, fix = f"with {name}={started.get(name)}, not {settings.get(name)}", "with the config.yaml of its run"
        if name not in started:
            how = f"without {name}, which is {settings[name]} here"
            fix = f"without --{name}" if name in WITH_EFFECT else f"{fix} and the version of this code that started it"
        elif not name.rpartition(".")[2].isdecimal():  # a key of a setting such as {0: 48} is no option
            flag = "seed_everything" if name == "seed" else name.removesuffix(".class_path")
            fix = f"with {typed(f'--{flag}', str(started[name]))}"
        raise CheckpointError(
            f"The run of {path} was started {how}: go on {fix}, or start a new one without --ckpt_path."
        )


def check_same_length(started: dict[str, Any], settings: dict[str, Any], path: Path) -> None:
    """Raises a CheckpointError if the learning rate schedule was for another length; both settings are flat."""
    rate = settings.get("model.lr_decay", settings.get("model.schedule", "constant"))
    is_laid_out = any(settings.get(f"model.{name}") for name in ("warmup", "sam_radius"))
    if rate in ("constant", "exponential") and not is_laid_out:
        return
    name = "trainer.max_epochs"
    if (started.get(name) or 0) < 1 and (settings.get(name) or 0) < 1:
        name = "trainer.max_steps"
    if started.get(name) != settings.get(name):
        raise CheckpointError(
            f"The learning rate schedule of {path} spans {name}={started.get(name)}, not {settings.get(name)}. "
            f"Resume it with --{name} {started.get(name)}, or start a new run without --ckpt_path."
        )


def check_not_over(done: int, max_epochs: int | None, path: Path) -> None:
    """Raises a CheckpointError if no epoch is left, unless the run was interrupted before its record was written.

    A `max_epochs` of None or below 0 means no limit.
    """
    recorded = version_of(path) is None or (path.parent.parent / RECORD_FILE).is_file()
    if max_epochs is not None and 0 <= max_epochs <= done and (recorded or max_epochs < done):
        raise CheckpointError(
            f"{path} is of a run that is over: {done} epochs are done, and trainer.max_epochs is {max_epochs}."
        )


def relative_to_cwd(path: Path) -> Path:
    """The path as a user in the current folder would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
