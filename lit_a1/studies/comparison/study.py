"""A comparison from start to end: finds runs, measures them, and writes figures, tables and conclusions."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lit_a1.data.files import write_text
from lit_a1.data.mnist import LabelledSplit, SourceName, draw_mnist, locate_mnist, read_mnist
from lit_a1.runs.folders import DRAWN, new_version, relative_to_cwd
from lit_a1.runs.records import StudyRecord
from lit_a1.studies.comparison.changes import SHIFTS, ink_lost
from lit_a1.studies.comparison.conclusions import write
from lit_a1.studies.comparison.figures import draw_curves, draw_disagreements, draw_robustness
from lit_a1.studies.comparison.measures import GOAL, Measurements, measure
from lit_a1.studies.comparison.runs import find_experiments

TABLES = {
    "results": [
        "experiment", "seed", "parameters", "multiply_adds", "epochs", "seconds", "seconds_per_epoch",
        "training_seconds_per_epoch", f"epochs_to_{GOAL}", "train_error", "val_error",
        "test_error", "version", "commit",
    ],
    "curves": ["experiment", "seed", "epoch", "train_eval_error", "val_error"],
    "robustness": ["experiment", "seed", "change", "level", "direction", "error"],
}  # fmt: skip


def run(names: Sequence[str], logs: Path, source: SourceName, name: str, count: int | None = None) -> Path:
    """Compares the runs of experiments, folders in `logs`, on all test images or the first `count`.

    Returns the folder with `comparison.md`, four tables, three figures and `record.json`: `logs/NAME/version_N`.

    Raises:
        DataError: as `load_mnist`.
        UsageError: fewer than two experiments have runs.
        CheckpointError: a checkpoint can't be used.
    """
    study = StudyRecord()  # first, as files may change meanwhile
    files = locate_mnist(source)
    experiments, left_out = find_experiments(names, logs, drawn=files is None)
    for reason in left_out:
        print(f"Left out: {reason}")
    digits = draw_mnist() if files is None else read_mnist(files)
    test = LabelledSplit(digits.test.images[:count], digits.test.labels[:count])
    measurements = measure(experiments, digits.valid, test)
    study.folder = folder = new_version(logs / (name + DRAWN if digits.drawn else name))
    origin = "drawn digits (NOT MNIST)" if digits.drawn else f"the digits of {Path(digits.origin).resolve().name}/"
    images = f"{len(test.labels):,} test images, {origin}"
    lost = ink_lost(test.images, max(SHIFTS))
    text = write(measurements, images=images, ink_lost=lost, left_out=left_out)
    title = f"Compared on {images}, with the last weights"
    lines = "mean over seeds, band from the smallest to the largest."
    draw_curves(folder / "curves.png", measurements, f"Errors at the end of each epoch; {lines}")
    draw_robustness(folder / "robustness.png", measurements, f"{title}; {lines}")
    draw_disagreements(folder / "disagreements.png", measurements, test.images, f"{title}.")
    _write_tables(folder, measurements)
    write_text(folder / "comparison.md", text)
    versions = {name: [run.name for run in runs] for name, runs in experiments.items()}
    study.record(experiments=versions, left_out=left_out, images=images)
    print(f"\n{text}\nThis text, tables and figures: {relative_to_cwd(folder)}")
    return folder


def _write_tables(folder: Path, measurements: Measurements) -> None:
    """Writes the numbers behind text and figures, to six digits."""
    names = [f"{row.experiment}-{row.seed}" for row in measurements.runs.itertuples()]
    predictions = pd.DataFrame(measurements.predictions.T, columns=names)
    predictions.insert(0, "label", measurements.digits)
    frames = (measurements.runs, measurements.curves, measurements.changed)
    for name, frame in zip(TABLES, frames, strict=True):
        write_text(folder / f"{name}.csv", frame[TABLES[name]].to_csv(index=False, float_format="%.6g"))
    write_text(folder / "predictions.csv", predictions.to_csv(index_label="index"))
