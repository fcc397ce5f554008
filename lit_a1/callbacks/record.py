"""The record of a run: the metrics of every epoch, what they were measured on, and what `fit` prints at its end."""

from math import isfinite
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn

from lit_a1.callbacks.tensorboard import flush, writer_of
from lit_a1.environment import machine
from lit_a1.runs.checkpoints import kept_checkpoints
from lit_a1.runs.printed import print_finished, print_stopped
from lit_a1.runs.records import DivergedError, TrainingRecord, version_of


def count_images(loaders: Any, batches: Any, devices: int = 1) -> tuple[int, int]:
    """The number of images that a loader, or the first of several, has in `batches` batches, and in all.

    `devices` is the number of devices if each has batches of its own, as in validation; in training they share them.
    """
    loader, count = (part[0] if isinstance(part, list) and part else part for part in (loaders, batches))
    if not loader:
        return 0, 0
    total = len(loader.dataset)
    limited = int(count) * loader.batch_size * devices
    return (total if count >= len(loader) else min(limited, total)), total


def measured_images(trainer: L.Trainer) -> tuple[int, int]:
    """The number of images that `validate` or `test` has measured, and the number that there are."""
    if trainer.state.fn == "test":
        return count_images(trainer.test_dataloaders, trainer.num_test_batches, trainer.world_size)
    return count_images(trainer.val_dataloaders, trainer.num_val_batches, trainer.world_size)


def run_folder(trainer: L.Trainer) -> Path | None:
    """The folder of a run, with or without a logger; None if it has no folder."""
    if isinstance(trainer.logger, TensorBoardLogger | CSVLogger):
        return Path(trainer.logger.log_dir)
    folder = Path(trainer.default_root_dir)
    return None if trainer.loggers or version_of(folder / "checkpoints" / "last.ckpt") is None else folder


def was_validated(trainer: L.Trainer) -> bool:
    """Whether the current weights were validated."""
    return getattr(trainer.lightning_module, "validated_step", -1) == trainer.global_step


def epoch_metrics(trainer: L.Trainer) -> dict[str, float]:
    """The metrics of the ending epoch, without older ones that Lightning keeps if it was not validated, or was cut."""
    stale: tuple[str, ...] = () if trainer.is_last_batch else ("train/",)
    stale += () if was_validated(trainer) else ("val/", "train_eval/")
    metrics = trainer.callback_metrics.items()
    fresh = {name: float(value) for name, value in metrics if "/" in name and not name.startswith(stale)}
    return {name: value for name, value in fresh.items() if isfinite(value)}  # without a step there is no gradient norm


class RunRecord(Callback):
    """Collects the metrics of every epoch; writes `record.json` and TensorBoard's hyperparameters when training ends.

    `settings` are flat: `{"model.lr": 0.1, ...}`. `command` is what the user typed after `fit`, to print the next
    commands; with None, nothing is printed.
    """

    def __init__(self, settings: dict[str, Any] | None = None, command: str | None = "") -> None:
        self.command = command
        self.record = TrainingRecord(settings or {})

    def state_dict(self) -> dict[str, Any]:
        """The part saved in checkpoints, so that a resumed run's record is complete."""
        return self.record.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the record from a checkpoint."""
        self.record.restore(state_dict)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock; a resumed run logs its last step again, as it may not have reached the disk."""
        self.record.start(machine(pl_module.device.type == "cpu"))
        loaded = trainer._checkpoint_connector._loaded_checkpoint
        if not loaded:
            return
        step, batches = loaded["global_step"], trainer.datamodule.steps_per_epoch  # type: ignore[attr-defined]
        epoch, done = divmod(step, batches)
        relogged: dict[str, float] = {}
        if self.record.epochs and self.record.epochs[-1]["step"] == step:
            relogged = {name: value for name, value in self.record.epochs[-1].items() if name != "step"}
        elif done and trainer.log_every_n_steps and done % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            rate = loaded["optimizer_states"][0]["param_groups"][0]["lr"]
            relogged = {"train/learning_rate": rate, "epoch": epoch}
        for logger in trainer.loggers if relogged else ():
            logger.log_metrics(relogged, step=step - 1)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Records the epoch's metrics."""
        position = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        self.record.epochs.append(position | epoch_metrics(trainer))

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the record, and prints the best epoch and the next commands."""
        if not trainer.is_global_zero:
            return
        if not self.record.epochs:
            print("No step was taken: nothing is kept.")
            return
        flush(trainer)  # first, because a run with a record counts as over
        record = self._finish(trainer, pl_module, writer=writer_of(trainer))
        if self.command is None:
            return
        paths = kept_checkpoints(trainer)
        print_finished(
            record,
            "Checkpoint",
            next((path for path in paths if path.stem == "best"), paths[-1] if paths else None),
            [f"{command} {self.command}" for command in trainer.datamodule.next_commands],  # type: ignore[attr-defined]
            trainer.logger.save_dir if isinstance(trainer.logger, TensorBoardLogger) else None,
        )

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Prints how to resume an interrupted run; writes the record of a diverged run."""
        if isinstance(exception, DivergedError) and trainer.is_global_zero:
            self._finish(trainer, pl_module, diverged=str(exception))
        is_signal = isinstance(exception, KeyboardInterrupt | SIGTERMException)
        if is_signal and trainer.is_global_zero and self.command is not None:
            has_last = any(path.stem == "last" for path in kept_checkpoints(trainer))
            print_stopped(f"fit {self.command} --ckpt_path last" if has_last else None)

    def _finish(self, trainer: L.Trainer, pl_module: L.LightningModule, **more: Any) -> dict[str, Any]:
        assert isinstance(pl_module.net, nn.Module)
        if trainer.val_dataloaders is None:  # a run resumed after its last epoch has none yet
            trainer.fit_loop.epoch_loop.val_loop.setup_data()
        began_with = getattr(pl_module, "began_with", None)
        return self.record.finish(
            run_folder(trainer),
            seed=pl_module.run_seed,
            images={
                "train": count_images(trainer.train_dataloader, trainer.num_training_batches)[0],
                "val": count_images(trainer.val_dataloaders, trainer.num_val_batches, trainer.world_size)[0],
            },
            parameters=sum(parameter.numel() for parameter in pl_module.net.parameters()),
            **({"began_with": began_with} if began_with else {}),
            **more,
        )
