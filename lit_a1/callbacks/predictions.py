"""The files that `predict` writes: a submission, checked before it is written, and the probabilities."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import BasePredictionWriter
from rich.console import Console
from rich.table import Table

from lit_a1.callbacks.devices import gather_batches
from lit_a1.data.catsdogs import COURSE_TEST_IMAGES
from lit_a1.data.errors import DataError
from lit_a1.data.files import write_csv
from lit_a1.runs.wording import counted

MAX_SHOWN = 20  # photos on the terminal


def check_submission(rows: Sequence[tuple[str, str]], classes: Sequence[str], count: int | None) -> None:
    """Raises a DataError for rows of (id, label) that Kaggle would not accept, or would score wrongly.

    Kaggle requires `count` rows with ids 1..count in numeric order; if `count` is None, any names are accepted.
    """
    if count is not None and len(rows) != count:
        raise DataError(f"A submission needs {count} rows, one per test image; there are {len(rows)}.")
    for number, (name, label) in enumerate(rows, start=1):
        if count is not None and name != str(number):
            raise DataError(f"A submission's ids run from 1 to {count} in numeric order; row {number} has id {name!r}.")
        if label not in classes:
            raise DataError(f"A submission's labels are {' or '.join(classes)}; image {name} has {label!r}.")


def submission_path(path: str | Path, drawn: bool) -> Path:
    """The file for labels; labels of drawn images have their own."""
    path = Path(path)
    return path.with_stem(f"{path.stem}-drawn") if drawn else path


def print_photos(names: Sequence[str], labels: Sequence[str], probabilities: Sequence[float]) -> None:
    """Prints photos with their predicted labels and probabilities."""
    table = Table("photo", "answer")
    table.add_column("probability", justify="right")
    for name, label, probability in list(zip(names, labels, probabilities, strict=True))[:MAX_SHOWN]:
        table.add_row(name, label, f"{probability:.1%}")
    Console(highlight=False, markup=False).print(table)
    if len(names) > MAX_SHOWN:
        print(f"... and {len(names) - MAX_SHOWN:,} more")


class PredictionFiles(BasePredictionWriter):
    """Writes a submission (`id,label`) after prediction, and the probabilities to a second file in its folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(write_interval="epoch")
        self.path = path

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Checks the path before the work is done."""
        super().setup(trainer, pl_module, stage)
        self.check_writable()

    def check_writable(self) -> None:
        """Raises a DataError if the path can't be written to."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.is_dir() or not os.access(self.path.parent, os.W_OK):
            reason = "it is a folder, or in one that is read-only"
            raise DataError(f"The submission can't be written to {self.path}: {reason}.")

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Checks the names before the work is done."""
        self.check_names(trainer.datamodule)  # type: ignore[attr-defined]

    @staticmethod
    def check_names(data: Any) -> None:
        """Raises a DataError if the images of a data module can't be the rows of a submission."""
        check_submission([(name, data.classes[0]) for name in data.predict_names], data.classes, data.predict_count)

    def write_on_epoch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, predictions: Sequence[Any], batch_indices: Sequence[Any]
    ) -> None:
        """Writes both files, on the first of several devices."""
        index, probabilities = gather_batches(predictions)
        if trainer.is_global_zero:
            self.write(trainer.datamodule, index, probabilities)  # type: ignore[attr-defined]

    def write(self, data: Any, index: np.ndarray, probabilities: np.ndarray) -> None:
        """Checks the submission, and writes both files: (N,K) probabilities of the images `index` of a data module."""
        names = [data.predict_names[i] for i in index]
        labels = [data.classes[k] for k in probabilities.argmax(1)]
        rows = list(zip(names, labels, strict=True))
        if len(rows) < len(data.predict_names):
            reason = "without trainer.limit_predict_batches and trainer.fast_dev_run all are"
            raise DataError(f"Only {len(rows)} of {len(data.predict_names)} images were labelled; {reason}.")
        check_submission(rows, data.classes, data.predict_count)
        if data.predict_count is None:
            print_photos(names, labels, probabilities.max(1))
        path = self.path
        if data.outside and data.predict_count == COURSE_TEST_IMAGES:
            path = path.with_stem(f"{path.stem}-outside")
        replaced = ", in place of what it held" if path.exists() else ""
        write_csv(path, ("id", "label"), rows)
        probabilities_path = path.with_name(f"{path.stem}_probabilities.csv")
        probability_rows = [(name, *(f"{p:.6f}" for p in row)) for name, row in zip(names, probabilities, strict=True)]
        write_csv(probabilities_path, ("id", *data.classes), probability_rows)
        counts = ", ".join(f"{labels.count(name)} {name}" for name in data.classes)
        summary = f"{counted(len(rows), 'image')}: {counts}."
        print(f"{summary}\nLabels: {path}{replaced}\nProbabilities: {probabilities_path}")
