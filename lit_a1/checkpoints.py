"""Finds the checkpoint that a command means, and refuses one that does not fit."""

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from torch import nn

from lit_a1.data.files import replacing

KEYWORDS = ("best", "last")


class CheckpointError(Exception):
    """A checkpoint is missing, unreadable, or of another model."""


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints beside their place and renames them: a run killed while it saves keeps the last whole one.

    Lightning's own way goes through the folder of temporary files, which may lie on another disk, and then copies.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Saves a checkpoint, whole or not at all."""
        with replacing(Path(path)) as unfinished:
            torch.save(checkpoint, unfinished)


def resolve(wanted: str | None, runs: Path, *, resume: bool = False) -> Path:
    """The checkpoint file that `--ckpt_path` means.

    Args:
        wanted: a file; or `best` or `last`, of the newest run that has one; None means `best`.
        runs: the folder of an experiment's runs, `lightning_logs/NAME`.
        resume: the run is to go on: only the newest one is meant, even where an older one has a checkpoint.

    Raises:
        CheckpointError: there is no such file. (Lightning would go on with untrained weights.)
    """
    if wanted in KEYWORDS or wanted is None:
        name = f"{wanted or 'best'}.ckpt"
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


def version_of(path: Path) -> int | None:
    """The N of `.../version_N/checkpoints/x.ckpt`; None for a file that lies elsewhere."""
    match = re.fullmatch(r"version_(\d+)", path.parent.parent.name)
    return int(match[1]) if match else None


def read(path: Path) -> dict[str, Any]:
    """What a checkpoint holds.

    Raises:
        CheckpointError: the file is damaged, or no checkpoint of this project.
    """
    try:
        if not zipfile.is_zipfile(path):  # what torch.save writes; on anything else torch.load fails in many ways
            raise zipfile.BadZipFile
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path} can't be read as a checkpoint: it is damaged or not one of this project."
        ) from error
    if not isinstance(checkpoint, dict) or "model_class" not in checkpoint:
        raise CheckpointError(f"{path} is not a checkpoint of this project.")
    return checkpoint


def check_fits(checkpoint: dict[str, Any], model: nn.Module, path: Path) -> None:
    """Refuses a checkpoint whose weights are not the model's.

    Raises:
        CheckpointError: it is of another class, or of the same class with other widths, depth, norm ...
    """
    expected = type(model).__qualname__
    if checkpoint["model_class"] != expected:
        raise CheckpointError(
            f"{path} is a checkpoint of {checkpoint['model_class']}; the configuration asks for {expected}."
        )
    theirs = {name: tuple(tensor.shape) for name, tensor in checkpoint["state_dict"].items()}
    ours = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            raise CheckpointError(
                f"{path} is of a {expected} with other hyper-parameters: {name} is {theirs.get(name, 'absent')} in the "
                f"file and {ours.get(name, 'absent')} in the model. The config.yaml of its run has the right ones."
            )
    for line, other in zip(checkpoint["network"].splitlines(), describe(model).splitlines(), strict=False):
        if line != other:  # layers of other kinds can have weights of the same shapes
            raise CheckpointError(
                f"{path} is of a {expected} with other layers: {line.strip()} in the file and "
                f"{other.strip()} in the model. The config.yaml of its run has the right ones."
            )


def describe(model: nn.Module) -> str:
    """The layers of a model's network, a line each, for `check_fits`."""
    return repr(model.net)


def check_resumable(checkpoint: dict[str, Any], settings: dict[str, Any], max_epochs: int | None, path: Path) -> None:
    """Refuses to go on with a run that is over, or with other settings than it was started with.

    Args:
        checkpoint: what `read` gave.
        settings: of the command that would go on, flat: `{"model.lr": 0.1, ...}`.
        max_epochs: of the same command.
        path: the checkpoint's, to name it.

    Raises:
        CheckpointError: says which.
    """
    done = checkpoint["epoch"] + 1
    if max_epochs is not None and 0 <= max_epochs <= done:
        raise CheckpointError(f"{path} is of a run that is over: {done} epochs are done, {max_epochs} are wanted.")
    started = checkpoint["callbacks"]["RunRecord"]["settings"]
    for name in sorted(started.keys() | settings.keys()):
        if not name.startswith("trainer.") and started.get(name) != settings.get(name):
            raise CheckpointError(
                f"The run of {path} was started with {name}={started.get(name)}, not {settings.get(name)}: go on with "
                "the config.yaml of its run, or start a new one without --ckpt_path."
            )
