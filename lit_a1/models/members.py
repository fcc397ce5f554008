"""Trained networks from checkpoints: for ensembles, for training to start from, and for analyses."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_a1.models.classifier import Classifier
from lit_a1.runs.checkpoints import check_fits, read
from lit_a1.runs.folders import PRETRAINED, pretrained
from lit_a1.runs.records import RECORD_FILE, CheckpointError, loading, read_record, version_of
from lit_a1.runs.wording import listed

DATA_STATE = {"size", "classes", "validation"}  # saved in a checkpoint by the data module


@dataclass(frozen=True)
class Member:
    """A trained network, and what its checkpoint records about it."""

    path: Path
    model: Classifier  # with only the weights it is measured by: the averaged ones, if there are any
    data: dict[str, Any]  # of the data module: `size` in pixels, `classes`, a hash of the validation images
    epoch: int  # number of epochs that the weights were trained for
    step: int
    training: dict[str, Any]  # of the run: `epochs`, `seconds`, `machine`, `commit`, `settings`; empty if not recorded

    @property
    def seed(self) -> int | None:
        """The seed of its run, if known."""
        return self.training.get("settings", {}).get("seed")

    @property
    def parameters(self) -> int:
        """The number of the network's parameters."""
        return sum(parameter.numel() for parameter in self.model.net.parameters())


def member_files(member: str) -> list[Path]:
    """The checkpoints that `member` names: a file, or the best.ckpt of a run's folder or of all runs of an experiment.

    Raises:
        CheckpointError: there is none.
    """
    path = Path(member)
    if path.is_file():
        return [path]
    runs = sorted(path.glob("version_*/checkpoints/best.ckpt"), key=lambda found: version_of(found) or 0)
    if found := [*path.glob("checkpoints/best.ckpt"), *runs]:
        return found
    missing = f"best.ckpt in {member} or in a run below it" if path.is_dir() else f"checkpoint {member}"
    hint = "A member is a checkpoint, or the folder of a run or an experiment that fit trained."
    raise CheckpointError(f"There is no {missing}. {hint}")


def refuse_duplicates(paths: Sequence[Path], option: str) -> None:
    """Raises a CheckpointError if an option names a checkpoint twice."""
    for place, path in enumerate(paths):
        if any(map(path.samefile, paths[:place])):
            raise CheckpointError(f"{path} is named twice in {option}: its vote would count double.")


def load_member(path: Path, channels: int | None = None) -> Member:
    """Builds the network that a checkpoint describes, uncompiled, with its weights.

    Raises:
        CheckpointError: the file is damaged, or its network is unknown to this version or takes images of another
            number of channels than `channels`.
    """
    checkpoint = read(path)
    with loading(path):
        return _member(path, checkpoint, channels)


def _member(path: Path, checkpoint: dict[str, Any], channels: int | None) -> Member:
    kinds = {kind.__qualname__: kind for kind in _subclasses(Classifier) if kind.is_trained}
    if (name := checkpoint["model_class"]) not in kinds:
        raise CheckpointError(f"{path} is a checkpoint of {name}; it must be one of {listed(kinds)}.")
    parts = [part for part in checkpoint.values() if isinstance(part, dict) and part.keys() >= DATA_STATE]
    if len(parts) != 1:
        raise CheckpointError(f"{path} does not say what images it was trained on: {listed(sorted(DATA_STATE))}.")
    try:
        model = kinds[name](**checkpoint["hyper_parameters"] | {"compile_net": False})
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is of another version of {name}: {error}") from error
    check_fits(checkpoint, model, path)
    model.load_state_dict(checkpoint["state_dict"])
    if model.average is not None:  # the weights it is measured by; the others only serve training
        model.net.load_state_dict(model.average.net.state_dict())
        model.average = None
    if channels is not None and model.channels != channels:
        raise CheckpointError(f"{path} takes images of {model.channels} channels; these have {channels}.")
    epochs, step = checkpoint["epoch"] + 1, checkpoint["global_step"]
    return Member(path, model, parts[0], epochs, step, _training(path, checkpoint))


def _subclasses(base: type[Classifier]) -> list[type[Classifier]]:
    return [kind for child in base.__subclasses__() for kind in (child, *_subclasses(child))]


def _training(path: Path, checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The record of the training: the run's, or the note on published weights; else the checkpoint's own."""
    if path.resolve().parent == PRETRAINED.resolve():
        note = json.loads(pretrained(path.stem).with_suffix(".json").read_text(encoding="utf-8"))
        copied = ("seconds", "peak_memory_gb", "machine", "commit")
        return {name: note[name] for name in copied} | {"settings": {"seed": note["seed"]}}
    run = path.parent.parent
    return read_record(run) if (run / RECORD_FILE).is_file() else checkpoint.get("callbacks", {}).get("RunRecord", {})
