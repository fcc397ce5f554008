"""Resuming a run exactly where it was interrupted."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.environments import SLURMEnvironment

from lit_a1.callbacks.devices import gather_objects
from lit_a1.models.metrics import Mean
from lit_a1.runs.records import CheckpointError

Checkpoint = dict[str, Any]
EVENTS = "events.out.tfevents.*"


def slurm_job() -> str | None:
    """The subfolder of a run's folder for SLURM's checkpoints of this job, requeued or not; None without SLURM."""
    return f"slurm-{os.environ.get('SLURM_JOB_ID', 'unknown')}" if SLURMEnvironment.detect() else None


def loop_states(step: int, batches: int, epoch_completed: bool) -> dict[str, Any]:
    """The state of Lightning's loops after a step, independent of when the checkpoint was written.

    The state that Lightning saves depends on the hook that writes the checkpoint, and loses the rest of an interrupted
    epoch. Here a batch is a step, so the number of steps determines the state.

    Args:
        step: steps done.
        batches: batches in an epoch.
        epoch_completed: whether the last epoch was validated and recorded.
    """
    epoch, done = divmod(step, batches)
    end_pending = int(step > 0 and done == 0 and not epoch_completed)
    epoch, done = epoch - end_pending, batches if end_pending else done
    epochs_begun = epoch + (done > 0)
    counts = [(epochs_begun, epoch), (0, 0), (end_pending, 0)]
    epochs, no_progress, validation = ({"ready": a, "started": a, "processed": b, "completed": b} for a, b in counts)
    total, current = (dict.fromkeys(no_progress, count) for count in (step, done))
    return {
        "epoch_progress": {"total": epochs, "current": epochs},
        "epoch_loop.batch_progress": {"total": total, "current": current, "is_last_batch": bool(end_pending)},
        "epoch_loop.state_dict": {"_batches_that_stepped": step - end_pending},  # the coming validation counts one
        "epoch_loop.val_loop.batch_progress": {"total": validation, "current": no_progress, "is_last_batch": False},
    }


class Continuation(Callback):
    """Saves and restores what Lightning does not: the position within an epoch, and its metrics so far.

    Under SLURM, a signal to requeue is answered by a checkpoint in the run's folder, after the current step, as weights
    from the middle of a step are of no use. This callback must come before those that use an epoch's metrics.
    """

    def __init__(self) -> None:
        self._resumes_at_epoch_end = False  # whether the run resumes between an epoch's last step and its end
        self._signalled = False  # whether SLURM has sent its signal
        self._requeue: Callable[..., Any] | None = None  # Lightning's answer to SLURM's signal

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: Checkpoint) -> None:
        """Adds `run`: steps per epoch, devices, whether a step is in progress, an event file, each device's sums."""
        sums = [value for metric in _metrics(pl_module).values() for value in (metric.total, metric.weight)]
        checkpoint["run"] = {
            "steps_per_epoch": trainer.datamodule.steps_per_epoch,  # type: ignore[attr-defined]
            "devices": trainer.world_size,
            "torn": pl_module.in_step,
            "events": next((path.name for path in sorted(Path(trainer.log_dir or "").glob(EVENTS))), ""),
            "measured": torch.stack(gather_objects(torch.stack(sums).cpu())),
        }

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: Checkpoint) -> None:
        """Sets the loops to the step, restores the sums, and drops the recorded metrics of an interrupted epoch."""
        if trainer.state.fn != "fit":
            return
        step, run = checkpoint["global_step"], checkpoint.get("run", {})
        batches = trainer.datamodule.steps_per_epoch  # type: ignore[attr-defined]
        if run.get("steps_per_epoch", batches) != batches:
            raise CheckpointError(
                f"The run had {run['steps_per_epoch']} steps per epoch, and would have {batches} now: other images "
                "were found. Put back those that it was started with, or start a new one without --ckpt_path."
            )
        record = checkpoint["callbacks"]["RunRecord"]
        record["epochs"] = [row for row in record["epochs"] if row["epoch"] < step // batches]
        epoch_completed = any(row["step"] == step for row in record["epochs"])
        self._resumes_at_epoch_end = step > 0 and step % batches == 0 and not epoch_completed
        checkpoint["loops"]["fit_loop"] |= loop_states(step, batches, epoch_completed)
        if not epoch_completed and "measured" in run:
            sums_by_device = run["measured"]
            if len(sums_by_device) != trainer.world_size:  # the first device gets the sums of all
                sums_by_device = F.pad(sums_by_device.sum(0, keepdim=True), (0, 0, 0, trainer.world_size - 1))
            sums = sums_by_device[trainer.global_rank].view(-1, 2)
            for metric, (total, weight) in zip(_metrics(pl_module).values(), sums, strict=True):
                metric.total, metric.weight = total.to(metric.total), weight.to(metric.weight)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Makes Lightning begin an epoch at its first step, and end an epoch whose steps are all done."""
        loop = trainer.fit_loop.epoch_loop
        if loop.batch_progress.current.ready == 0:
            loop.restarting = False  # with `max_steps`, it looks for an interrupted validation
        if self._resumes_at_epoch_end and not loop._should_check_val_epoch():
            loop.val_loop._has_run = True
            loop._batches_that_stepped += 1
        handler = signal.getsignal(signal.SIGUSR1) if slurm_job() and hasattr(signal, "SIGUSR1") else None
        if callable(handler):
            self._requeue = handler
            signal.signal(signal.SIGUSR1, lambda *_: setattr(self, "_signalled", True))

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Answers SLURM's signal after the same step on all devices, as they receive it at different times."""
        if self._requeue and trainer.strategy.reduce_boolean_decision(self._signalled, all=False):
            self._signalled = False
            self._requeue(signal.SIGUSR1, None)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Logs the metrics of an epoch whose last step was before the interruption."""
        if self._resumes_at_epoch_end:
            self._resumes_at_epoch_end = trainer.fit_loop.epoch_loop.restarting = False
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            for name, value in (_metrics(pl_module) | {"learning_rate": rate}).items():
                pl_module.log(f"train/{name}", value, on_step=False, on_epoch=True)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Removes SLURM's checkpoints of a run that has ended."""
        log_dir = trainer.log_dir  # the devices share it, so all must ask
        if (folder := slurm_job()) and log_dir and trainer.is_global_zero:
            shutil.rmtree(Path(log_dir, folder), ignore_errors=True)


def _metrics(model: L.LightningModule) -> dict[str, Mean]:
    """The metrics of a training epoch, by the end of their tags."""
    metrics = model.metrics
    return {"loss": metrics["train_loss"], "error": metrics["train_error"], "gradient_norm": model.gradient_norm}  # type: ignore[dict-item,index]
