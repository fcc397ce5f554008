"""The record of a run: every epoch's metrics, what they were measured on, and what `fit` prints at its end."""

import json
import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from rich.console import Console
from torch import nn

from lit_a1.callbacks.tensorboard import writer_of
from lit_a1.data.files import write_text
from lit_a1.environment import PROGRAM, UNKNOWN, in_words, machine, made_by, peak_memory_gb
from lit_a1.runs.folders import RECORD_FILE, log_hparams, near, record_of, say_best
from lit_a1.runs.wording import typed


def _count(loader: Any) -> int:
    """Pictures of a loader, or of the first of several."""
    loader = loader[0] if isinstance(loader, list) else loader
    return len(loader.dataset) if loader else 0


def epoch_figures(trainer: L.Trainer) -> dict[str, float]:
    """What the epoch that ends measured; Lightning keeps older figures where it did not validate, or was cut off."""
    every = trainer.check_val_every_n_epoch
    stale: tuple[str, ...] = ("val/", "train_eval/")
    if not trainer.is_last_batch:
        stale = ("train/", *stale)
    elif every is None or (trainer.current_epoch + 1) % every == 0:
        stale = ()
    figures = trainer.callback_metrics.items()
    return {name: float(value) for name, value in figures if "/" in name and not name.startswith(stale)}


class RunRecord(Callback):
    """Keeps the metrics of every epoch; writes `record.json` and TensorBoard's hyper-parameters when training ends.

    Args:
        settings: of the run, flat: `{"model.lr": 0.1, ...}`.
        command: how a user would type what this run was started with (for the next commands).
    """

    def __init__(self, settings: dict[str, Any] | None = None, command: str = "") -> None:
        self.settings = settings or {}
        self.command = command
        self.epochs: list[dict[str, float]] = []
        self.seconds_before = self.memory_before = 0.0
        self.made_by: dict[str, list[str]] = {}

    # what a checkpoint carries, so that a resumed run's record is whole

    def state_dict(self) -> dict[str, Any]:
        """Epochs so far, seconds spent, memory, code, machine, and the settings that a resumed run must repeat."""
        return {
            "epochs": self.epochs,
            "seconds": self.seconds_before + time.perf_counter() - self._started,
            "peak_memory_gb": max(self.memory_before, peak_memory_gb()),
            "settings": self.settings,
            "made_by": self.made_by,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a checkpoint's record."""
        self.epochs, self.seconds_before = list(state_dict["epochs"]), state_dict["seconds"]
        self.memory_before = state_dict["peak_memory_gb"]
        self.made_by = state_dict.get("made_by", UNKNOWN)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock; logs the last epoch of a resumed run again, in case its end had not reached the disk."""
        self._started = time.perf_counter()
        self.made_by = made_by(machine(), self.made_by)  # now: files may change meanwhile
        if self.epochs and trainer.logger is not None:
            figures = {name: value for name, value in self.epochs[-1].items() if name != "step"}
            trainer.logger.log_metrics(figures, step=int(self.epochs[-1]["step"]) - 1)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Notes the epoch's figures."""
        self.epochs.append({"epoch": trainer.current_epoch, "step": trainer.global_step} | epoch_figures(trainer))

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the record, and prints the best epoch and the next commands."""
        if not trainer.is_global_zero or not self.epochs:
            return
        assert isinstance(pl_module.net, nn.Module)
        spent, began_with = self.state_dict(), getattr(pl_module, "began_with", None)
        record = record_of(
            self.epochs,
            settings=self.settings,
            seed=getattr(pl_module, "run_seed", None),
            pictures={"train": _count(trainer.train_dataloader), "val": _count(trainer.val_dataloaders)},
            parameters=sum(parameter.numel() for parameter in pl_module.net.parameters()),
            seconds=round(spent["seconds"], 1),
            peak_memory_gb=round(spent["peak_memory_gb"], 2),
            **in_words(self.made_by),
            **({"began_with": began_with} if began_with else {}),
        )
        if isinstance(trainer.logger, TensorBoardLogger):
            folder = Path(trainer.logger.log_dir)
            write_text(folder / RECORD_FILE, json.dumps(record, indent=1) + "\n")
            if (writer := writer_of(trainer)) is not None and self.settings:
                log_hparams(writer, self.settings, record["best"], trainer.global_step)
        self._print(trainer, record)

    def _print(self, trainer: L.Trainer, record: dict[str, Any]) -> None:
        console = Console(highlight=False, soft_wrap=True)
        say_best(console, record)
        checkpoints = [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]
        best = next((each.best_model_path for each in checkpoints if each.monitor), "")
        if not best:
            return
        path, data = near(Path(best)), getattr(trainer, "datamodule", None)
        console.print(f"Checkpoint: {path}")
        console.print("\nNext:")
        for command in getattr(data, "next_commands", ("validate",)):
            console.print(f"  {PROGRAM} {command} {self.command} --ckpt_path {typed(path)}")
        if trainer.logger is not None:
            console.print(f"  tensorboard --logdir {typed(str(trainer.logger.save_dir))}")

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Prints how to go on with a run that was interrupted."""
        if not isinstance(exception, KeyboardInterrupt | SIGTERMException) or not trainer.is_global_zero:
            return
        if self.epochs:
            print(f"\nStopped. Go on with: {PROGRAM} fit {self.command} --ckpt_path last")
        else:
            print("\nStopped before the first epoch had ended: nothing is kept.")
