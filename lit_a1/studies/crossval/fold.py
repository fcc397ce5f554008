"""One fold: a `fit` without the fold's photos, in a run of its own, and what the network says of these photos."""

import logging
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.trainer import Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from lit_a1.callbacks import RunRecord
from lit_a1.data.files import write_csv
from lit_a1.runs.checkpoints import read
from lit_a1.runs.records import RECORD_FILE, read_json, sound
from lit_a1.training import TrainingCLI

LAST = Path("checkpoints", "last.ckpt")
OUT_OF_FOLD = "out_of_fold.csv"
ABOUT = ["name", "label", "fold"]  # its columns before those of the classes


def is_finished(run: Path) -> bool:
    """Whether a fold's run came to its end; one that diverged did not."""
    record = read_json(run / RECORD_FILE)
    return isinstance(record, dict) and "diverged" not in record and (run / OUT_OF_FOLD).is_file()


def settings_of(run: Path) -> dict[str, Any] | None:
    """What a fold's run is set to, finished or not, flat; None where there is none to go on with."""
    if is_finished(run):
        return read_json(run / RECORD_FILE).get("settings", {})
    if not (run / LAST).is_file():
        return None
    checkpoint = read(run / LAST)
    with sound(run / LAST):
        return checkpoint["callbacks"][RunRecord.__qualname__]["settings"]


class HeldOut(Callback):
    """Writes the probabilities of the held-out photos whenever they are measured: those of the last epoch stay."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.measured: list[tuple[Tensor, Tensor]] = []

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forgets an earlier epoch."""
        self.measured = []

    def on_validation_batch_end(self, trainer: L.Trainer, *of_batch: Any) -> None:
        """Keeps a batch's probabilities; a second loader has training photos."""
        _, log_probabilities, batch, _, *loader = of_batch
        if not any(loader):
            self.measured.append((batch.indices.cpu(), log_probabilities.double().exp().cpu()))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes them."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        labels, rows = data.sets["val"].labels, []
        for index, probabilities in zip(*map(torch.cat, zip(*self.measured, strict=True)), strict=True):
            about = [data.names[index], data.classes[labels[index]], str(data.fold)]
            rows.append([*about, *(f"{p:.9g}" for p in probabilities.tolist())])
        write_csv(self.path, [*ABOUT, *data.classes], rows)


class FoldCLI(TrainingCLI):
    """`fit` of a fold, in a folder of its own; it goes on from the last checkpoint there."""

    def __init__(self, arguments: Sequence[str], run: Path) -> None:
        self.folder = run
        super().__init__(["fit", *arguments, *(["--ckpt_path", str(run / LAST)] if (run / LAST).is_file() else [])])

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Builds the trainer."""
        trainer = super().instantiate_trainer(**kwargs)
        self._runs = self.folder.parent
        if trainer.world_size > 1:
            self.parser.error(
                f"a fold is trained on one device, not on {trainer.world_size}: start the same command once for each, "
                "with --trainer.devices [0], [1] and so on"
            )
        return trainer

    def _loggers(self, folder: Path, name: str, **others: Any) -> list[Logger]:
        return super()._loggers(self.folder.parent, "", version=int(self.folder.name[8:]))

    def _callbacks(self) -> list[Callback]:
        record = RunRecord(self._settings(), command=None)
        own = [record if isinstance(each, RunRecord) else each for each in super()._callbacks()]
        return [*own, HeldOut(self.folder / OUT_OF_FOLD)]


def train(arguments: Sequence[str], run: Path, *, quiet: bool) -> None:
    """Trains as `fit` with these arguments, or goes on; a run that ends before its first checkpoint leaves nothing.

    `quiet` leaves out which data were found and what this machine can't do.
    """
    logging.getLogger("lit_a1").setLevel(logging.WARNING if quiet else logging.INFO)
    torch.compiler.reset()  # forgets the networks of other folds
    if not (run / LAST).is_file():  # a process was killed before its first one
        shutil.rmtree(run, ignore_errors=True)
    try:
        FoldCLI(arguments, run)
    except BaseException as error:
        if not (run / LAST).is_file():
            shutil.rmtree(run, ignore_errors=True)
        if isinstance(error, SystemExit) and error.code != 2:  # a signal's, and no refusal's
            print("\nStopped. The same command goes on, and keeps the folds that are finished.")
        if isinstance(error, SIGTERMException):
            raise SystemExit(128 + signal.SIGTERM) from error  # its own status is 0
        raise
