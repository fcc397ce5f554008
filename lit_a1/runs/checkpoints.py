"""Checkpoints of LightningModules: written whole, read, and refused if they do not fit."""

import io
import pickle
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer import Trainer
from torch import Tensor, nn

from lit_a1.data.files import replacing
from lit_a1.runs.folders import WEIGHTS_ALONE, check_not_over, check_same_length, check_same_settings
from lit_a1.runs.records import CheckpointError, loading
from lit_a1.runs.wording import counted


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a file in the same folder and renames it, so a run killed while saving keeps the last one.

    Lightning writes a temporary file, possibly on another disk, and copies it.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Saves a checkpoint, whole or not at all."""
        content = io.BytesIO()  # torch's own file writer hides why a file can't be written
        torch.save(checkpoint, content)
        with replacing(Path(path)) as unfinished, unfinished.open("wb") as file:
            file.write(content.getbuffer())


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint; raises a CheckpointError if it is missing, damaged, foreign or diverged."""
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}.")
    with loading(path):
        with zipfile.ZipFile(path) as archive:  # the format of torch.save; torch.load checks neither bits nor sizes
            entries = archive.infolist()
            is_packed = any(entry.compress_type for entry in entries)
            if is_packed or sum(entry.file_size for entry in entries) > path.stat().st_size or archive.testzip():
                raise zipfile.BadZipFile
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            words = "it is damaged, or holds more than numbers and texts, such as code: nothing of it is run"
            raise CheckpointError(f"{path} can't be read as a checkpoint: {words}.") from error
        if not isinstance(checkpoint, dict) or "model_class" not in checkpoint:
            raise CheckpointError(f"{path} is not a checkpoint of this project.")
        counts = (checkpoint["epoch"], checkpoint["global_step"])
        if any(type(count) is not int or count < 0 for count in counts):
            raise ValueError
        if not all(map(_is_fully_stored, _tensors(checkpoint))):
            raise ValueError
        if not all_finite(checkpoint["state_dict"].values()):
            raise CheckpointError(f"{path} holds weights that are not finite: its training had diverged.")
    return checkpoint


def _tensors(content: Any) -> list[Tensor]:
    """All tensors in nested dictionaries and lists."""
    tensors, visited, pending = [], set(), [content]
    while pending:
        item = pending.pop()
        if isinstance(item, Tensor):
            tensors.append(item)
        elif isinstance(item, dict | list | tuple) and id(item) not in visited:
            visited.add(id(item))
            pending += item.values() if isinstance(item, dict) else item
    return tensors


def _is_fully_stored(tensor: Tensor) -> bool:
    """Whether all its numbers are in the file: a tensor of a few bytes can declare any shape."""
    return tensor.device.type == "cpu" and tensor.numel() * tensor.itemsize <= tensor.untyped_storage().nbytes()


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no number of these tensors is NaN or infinite."""
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def kept_checkpoints(trainer: Trainer) -> list[Path]:
    """The best checkpoint of each callback that has written one."""
    savers = [saver for saver in trainer.checkpoint_callbacks if isinstance(saver, ModelCheckpoint)]
    return [path for saver in savers if saver.best_model_path and (path := Path(saver.best_model_path)).is_file()]


def check_fits(checkpoint: dict[str, Any], model: nn.Module, path: Path) -> None:
    """Raises a CheckpointError if a checkpoint's class, width, norm or the like is not the model's."""
    expected = type(model).__qualname__
    if checkpoint["model_class"] != expected:
        raise CheckpointError(
            f"{path} is a checkpoint of {checkpoint['model_class']}; the configuration asks for {expected}."
        )
    saved_shapes = {name: _shape_and_dtype(tensor) for name, tensor in checkpoint["state_dict"].items()}
    model_shapes = {name: _shape_and_dtype(tensor) for name, tensor in model.state_dict().items()}
    here = "in the model. The config.yaml of its run has the right ones."
    for name in [*model_shapes, *saved_shapes]:
        if model_shapes.get(name) != saved_shapes.get(name):
            raise CheckpointError(
                f"{path} is of a {expected} with other hyperparameters: {name} is "
                f"{saved_shapes.get(name, 'absent')} in the file and {model_shapes.get(name, 'absent')} {here}"
            )
    texts = (re.sub(r", sync=\w+", "", text) for text in (checkpoint["network"], repr(model.net)))
    for line, other in zip(*(text.splitlines() for text in texts), strict=False):  # `sync` matters only in training
        if line != other:  # other kinds of layers can have weights of the same shapes
            raise CheckpointError(
                f"{path} is of a {expected} with other layers: {line.strip()} in the file and {other.strip()} {here}"
            )


def _shape_and_dtype(tensor: Tensor) -> str:
    """A tensor's shape, and its dtype if networks do not usually have it."""
    known = tensor.dtype in (torch.float32, torch.float16, torch.bfloat16, torch.int64)  # published ones have 16 bits
    return f"{tuple(tensor.shape)}" + ("" if known else f" {str(tensor.dtype).removeprefix('torch.')}")


def check_resumable(checkpoint: dict[str, Any], settings: dict[str, Any], max_epochs: int | None, path: Path) -> None:
    """Raises a CheckpointError for a run that is over, or started with other settings (flat).

    Also for a checkpoint that has only weights, or was written in the middle of a step.
    """
    if "optimizer_states" not in checkpoint:
        raise CheckpointError(WEIGHTS_ALONE.format(path))
    started, run = checkpoint["callbacks"]["RunRecord"]["settings"], checkpoint.get("run", {})
    check_same_settings(started, settings, path)
    if run.get("torn"):
        raise CheckpointError(f"{path} was written in the middle of a step: go on with the last.ckpt of its run.")
    step, epochs_done = checkpoint.get("global_step", 0), checkpoint["epoch"] + 1
    if batches := run.get("steps_per_epoch"):
        rows = checkpoint["callbacks"]["RunRecord"]["epochs"]
        epochs_done = step // batches if any(row["step"] == step for row in rows) else (step - 1) // batches
    check_not_over(epochs_done, max_epochs, path)
    if step and 0 <= settings.get("trainer.max_steps", -1) <= step:
        raise CheckpointError(f"{path} has {step} steps behind it: trainer.max_steps must be above that, or left out.")
    check_same_length(started, settings, path)


def check_devices(checkpoint: dict[str, Any], devices: int, path: Path) -> None:
    """Raises a CheckpointError if a run is resumed on another number of devices, which would change their shares."""
    if (started := checkpoint.get("run", {}).get("devices", devices)) != devices:
        raise CheckpointError(
            f"The run of {path} was started on {counted(started, 'device')}, not on {devices}, and with sync_norm "
            f"false batch norm sees each one's share: go on with --trainer.devices {started}, or start a new one "
            "without --ckpt_path."
        )
