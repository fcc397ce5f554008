"""One fold: a `fit` without the fold's photos, in its own run, and the network's predictions for these photos."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lit_a1.callbacks.devices import gather_batches
from lit_a1.callbacks.record import RunRecord
from lit_a1.data.files import write_csv
from lit_a1.runs.checkpoints import read
from lit_a1.runs.records import RECORD_FILE, loading, read_json
from lit_a1.studies.fits import FolderCLI

LAST = Path("checkpoints", "last.ckpt")
OUT_OF_FOLD = "out_of_fold.csv"
PHOTO_COLUMNS = ["name", "label", "fold"]  # its first columns; one for each class follows


def is_finished(run: Path) -> bool:
    """Whether a fold's run has ended without diverging."""
    record = read_json(run / RECORD_FILE)
    return record is not None and "diverged" not in record and (run / OUT_OF_FOLD).is_file()


def settings_of(run: Path) -> dict[str, Any] | None:
    """The flat settings of a fold's run, finished or not; None if there is no run to resume."""
    if is_finished(run):
        return read_json(run / RECORD_FILE).get("settings", {})
    if not (run / LAST).is_file():
        return None
    checkpoint = read(run / LAST)
    with loading(run / LAST):
        return checkpoint["callbacks"][RunRecord.__qualname__]["settings"]


class HeldOut(Callback):
    """Writes the probabilities of the held-out photos after each validation, so those of the last one remain."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.batches: list[tuple[Tensor, Tensor]] = []

    def on_validation_batch_end(self, trainer: L.Trainer, *batch_arguments: Any) -> None:
        """Collects a batch's probabilities, and drops those of earlier epochs; a second loader has training photos."""
        _, log_probabilities, batch, batch_idx, *dataloader_idx = batch_arguments
        if not any(dataloader_idx):
            self.batches = self.batches if batch_idx else []
            self.batches.append((batch.indices, log_probabilities.double().exp()))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the probabilities."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        labels, rows = data.sets["val"].labels, []
        for index, probabilities in zip(*gather_batches(self.batches), strict=True):
            photo = [data.names[index], data.classes[labels[index]], str(data.fold)]
            rows.append([*photo, *(f"{p:.9g}" for p in probabilities.tolist())])
        write_csv(self.path, [*PHOTO_COLUMNS, *data.classes], rows)


class FoldCLI(FolderCLI):
    """`fit` of a fold."""

    run_name, several_devices_hint = "fold", "the same command once for each, with"

    def _callbacks(self) -> list[Callback]:
        record = RunRecord(self._settings(), command=None)
        return [record if isinstance(callback, RunRecord) else callback for callback in super()._callbacks()]


def train(arguments: Sequence[str], run: Path, *, quiet: bool) -> None:
    """Trains as `fit` with these arguments, or resumes; a run that ends before its first checkpoint leaves nothing."""
    if (run / LAST).is_file():
        arguments = [*arguments, "--ckpt_path", str(run / LAST)]
    else:  # a process was killed before its first checkpoint
        shutil.rmtree(run, ignore_errors=True)
    try:
        FoldCLI(arguments, run, HeldOut(run / OUT_OF_FOLD), quiet=quiet)
    except BaseException as error:
        if not (run / LAST).is_file():
            shutil.rmtree(run, ignore_errors=True)
        if isinstance(error, SystemExit) and error.code != 2:  # of a signal, not of refused settings
            print("\nStopped. The same command resumes, and keeps the folds that are finished.")
        raise
