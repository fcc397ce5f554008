"""The record of a run: every epoch's metrics, what they were measured on, and what `fit` prints at its end."""

from math import isfinite
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn

from lit_a1.callbacks.tensorboard import writer_of
from lit_a1.environment import machine
from lit_a1.runs.printed import print_finished, print_stopped
from lit_a1.runs.records import DivergedError, TrainingRecord, log_hparams


def _count(loader: Any) -> int:
    """Images of a loader, or of the first of several."""
    loader = loader[0] if isinstance(loader, list) else loader
    return len(loader.dataset) if loader else 0


def epoch_metrics(trainer: L.Trainer) -> dict[str, float]:
    """What the epoch that ends measured; Lightning keeps older metrics where it did not validate, or was cut off."""
    every = trainer.check_val_every_n_epoch
    stale: tuple[str, ...] = ("val/", "train_eval/")
    if not trainer.is_last_batch:
        stale = ("train/", *stale)
    elif every is None or (trainer.current_epoch + 1) % every == 0:
        stale = ()
    metrics = trainer.callback_metrics.items()
    found = {name: float(value) for name, value in metrics if "/" in name and not name.startswith(stale)}
    return {name: value for name, value in found.items() if isfinite(value)}  # of no step there is no gradient norm


class RunRecord(Callback):
    """Keeps the metrics of every epoch; writes `record.json` and TensorBoard's hyperparameters when training ends.

    `settings` are flat: `{"model.lr": 0.1, ...}`; `command` is what a user typed after `fit`, for the next commands.
    """

    def __init__(self, settings: dict[str, Any] | None = None, command: str = "") -> None:
        self.command = command
        self.record = TrainingRecord(settings or {})

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint carries, so that a resumed run's record is whole."""
        return self.record.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a checkpoint's record."""
        self.record.restore(state_dict)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock; logs the last epoch of a resumed run again, in case its end had not reached the disk."""
        self.record.start(machine())
        if self.record.epochs and trainer.logger is not None:
            last = self.record.epochs[-1]
            metrics = {name: value for name, value in last.items() if name != "step"}
            trainer.logger.log_metrics(metrics, step=int(last["step"]) - 1)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Notes the epoch's metrics."""
        about = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        self.record.epochs.append(about | epoch_metrics(trainer))

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the record, and prints the best epoch and the next commands."""
        if not trainer.is_global_zero or not self.record.epochs:
            return
        record = self._finish(trainer, pl_module)
        if (writer := writer_of(trainer)) is not None and self.record.settings:
            log_hparams(writer, self.record.settings, record["best"], trainer.global_step)
        checkpoints = [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]
        best = next((each.best_model_path for each in checkpoints if each.monitor), "")
        print_finished(
            record,
            "Checkpoint",
            Path(best) if best else None,
            [f"{command} {self.command}" for command in trainer.datamodule.next_commands],  # type: ignore[attr-defined]
            None if trainer.logger is None else trainer.logger.save_dir,
        )

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Prints how to go on with a run that was interrupted; writes the record of one that diverged."""
        if isinstance(exception, DivergedError) and trainer.is_global_zero:
            self._finish(trainer, pl_module, diverged=str(exception))
        if isinstance(exception, KeyboardInterrupt | SIGTERMException) and trainer.is_global_zero:
            print_stopped(self.record.epochs, f"fit {self.command} --ckpt_path last")

    def _finish(self, trainer: L.Trainer, pl_module: L.LightningModule, **more: str) -> dict[str, Any]:
        assert isinstance(pl_module.net, nn.Module)
        began_with = getattr(pl_module, "began_with", None)
        return self.record.finish(
            Path(trainer.logger.log_dir) if isinstance(trainer.logger, TensorBoardLogger) else None,
            seed=pl_module.run_seed,
            images={"train": _count(trainer.train_dataloader), "val": _count(trainer.val_dataloaders)},
            parameters=sum(parameter.numel() for parameter in pl_module.net.parameters()),
            **({"began_with": began_with} if began_with else {}),
            **more,
        )
