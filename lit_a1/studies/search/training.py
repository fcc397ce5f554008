"""A trial of a CNN: a `fit` in its study's folder, without checkpoints, stopped early if it is bad."""

import contextlib
import io
import sys
from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.trainer import Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lit_a1.callbacks.progress import ProgressLines
from lit_a1.callbacks.record import epoch_metrics
from lit_a1.models.rules import RuleError
from lit_a1.runs.records import CheckpointError, DivergedError, read_record
from lit_a1.runs.settings import UsageError
from lit_a1.studies.fits import FolderCLI
from lit_a1.studies.search.objective import Report


class PruningCallback(Callback):
    """Reports each validated epoch, and ends the training if the answer is that the trial is bad."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.interrupted = False

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reports the epoch."""
        error = epoch_metrics(trainer).get("val/error")
        if error is not None and self.report(trainer.current_epoch + 1, error):
            trainer.should_stop = True

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Records an interruption, which Lightning turns into an exit, and reports divergence."""
        if isinstance(exception, DivergedError):
            self.report(trainer.current_epoch + 1, nan)
        self.interrupted = isinstance(exception, KeyboardInterrupt)


class TrialCLI(FolderCLI):
    """`fit` of a trial."""

    run_name, several_devices_hint = "trial", "the search once for each, with --study and"

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Builds the trainer."""
        return super().instantiate_trainer(enable_checkpointing=False, enable_progress_bar=False, **kwargs)

    def _callbacks(self) -> list[Callback]:
        return [c for c in super()._callbacks() if not isinstance(c, ModelCheckpoint | ProgressLines)]


def train(arguments: Sequence[str], folder: Path, report: Report, *, quiet: bool) -> dict[str, Any]:
    """Trains as `fit` with these arguments, without its progress and final output; returns the record of the run.

    Files of an interrupted process in the folder are overwritten. `quiet` also hides the messages on which data were
    found and what this machine lacks. Raises KeyboardInterrupt if the user ended it, SystemExit if a signal did, and
    UsageError if the settings are refused.
    """
    pruning, refusal = PruningCallback(report), io.StringIO()
    try:
        diverging = contextlib.suppress(DivergedError)  # divergence is a result, and is reported
        with diverging, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(refusal):
            TrialCLI(arguments, folder, pruning, quiet=quiet)
    except SystemExit as leaving:
        if pruning.interrupted:
            raise KeyboardInterrupt from leaving
        if leaving.code != 2:  # of a signal, not of refused settings
            raise
        raise UsageError(refusal_sentence(refusal)) from leaving
    except (CheckpointError, RuleError, MisconfigurationException) as error:
        raise UsageError(str(error)) from error
    except Exception:
        sys.stderr.write(refusal.getvalue())
        raise
    if not quiet:
        sys.stderr.write(refusal.getvalue())  # warnings
    return read_record(folder)


def refusal_sentence(refusal: io.StringIO) -> str:
    """The sentence that `Parser` wrote to standard error before it exited."""
    return refusal.getvalue().strip().rpartition("error: ")[2]
