"""A comparison from beginning to end: runs are found, measured, drawn, told in words, and all of it is kept."""

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from lit_a1.data.files import write_csv, write_text
from lit_a1.data.mnist import Part, Wanted, draw_mnist, locate_mnist, read_mnist
from lit_a1.environment import commit, cpu, versions
from lit_a1.runs.folders import DRAWN, near, new_version
from lit_a1.runs.records import RECORD_FILE
from lit_a1.studies.comparison.changes import SHIFTS, changes, lost
from lit_a1.studies.comparison.figures import draw_curves, draw_disagreements, draw_robustness
from lit_a1.studies.comparison.measures import (
    Disagreements,
    Measured,
    disagreements,
    epochs_to,
    like_for_like,
    measure,
    passes,
    seconds_an_epoch,
)
from lit_a1.studies.comparison.runs import Weights, find_experiments
from lit_a1.studies.comparison.tables import GOALS
from lit_a1.studies.comparison.words import compare

FIGURES = ("curves", "robustness", "disagreements")


def run(names: Sequence[str], logs: Path, weights: Weights, source: Wanted, name: str) -> Path:
    """Compares the runs of experiments on the test pictures.

    Args:
        names: of the experiments, folders in `logs` (those on drawn digits with `-drawn` behind the name).
        logs: the folder of all runs.
        weights: which of a run's weights.
        source: of the digits, as `load_mnist` has it.
        name: of the results' folder in `logs`.

    Returns:
        The folder with `comparison.md`, four tables, three figures and `record.json`.

    Raises:
        DataError: as `load_mnist`.
        UsageError: fewer than two experiments have runs.
        CheckpointError: a checkpoint can't be used.
    """
    started, code = time.perf_counter(), commit()  # the code that runs: files may change meanwhile
    files = locate_mnist(source)
    experiments, left_out = find_experiments(names, logs, weights, drawn=files is None)
    for reason in left_out:
        print(f"Left out: {reason}")
    digits = draw_mnist() if files is None else read_mnist(files)
    with tqdm(total=passes(experiments), desc="test pictures", unit="pass", disable=None, leave=False) as bar:
        measured = measure(experiments, digits.valid, digits.test, bar.update)
    folder = new_version(logs / (name + DRAWN * digits.drawn))
    origin = "drawn digits (NOT MNIST)" if digits.drawn else f"the digits of {Path(digits.origin).resolve().name}/"
    words = f"{len(digits.test.labels):,} test pictures, {origin}"
    first, second = like_for_like(measured)
    kinds = [disagreements(second, first), disagreements(first, second)]
    _draw(folder, measured, weights, words, kinds, digits.test)
    text = compare(measured, kinds, weights, words, lost(digits.test.pictures, max(SHIFTS)), left_out)
    _write_tables(folder, measured, weights, digits.test)
    write_text(folder / "comparison.md", text)
    about = {
        "experiments": {e.name: [run.name for run in e.runs] for e in experiments},
        "left_out": left_out,
        "weights": weights,
        "pictures": words,
        "machine": cpu(),
        "versions": versions(),
        "commit": code,
        "seconds": round(time.perf_counter() - started, 1),
        "finished": time.strftime("%Y-%m-%d %H:%M"),
    }
    write_text(folder / RECORD_FILE, json.dumps(about, indent=1) + "\n")
    print(f"\n{text}\nThis text, tables and figures: {near(folder)}")
    return folder


def _draw(
    folder: Path, measured: Sequence[Measured], weights: Weights, words: str, kinds: list[Disagreements], test: Part
) -> None:
    """The figures, as PNG and, in an event file, for TensorBoard."""
    title = (
        f"Compared on {words}. {weights.capitalize()} weights; mean over seeds, band from the smallest to the largest."
    )
    draw_curves(
        folder / "curves.png",
        measured,
        "Errors at the end of each epoch; mean over seeds, band from the smallest to the largest.",
    )
    draw_robustness(folder / "robustness.png", measured, title)
    draw_disagreements(folder / "disagreements.png", kinds, test, f"Compared on {words}, {weights} weights.")
    with SummaryWriter(folder) as writer:
        for name in FIGURES:
            with Image.open(folder / f"{name}.png") as picture:
                writer.add_image(name, np.asarray(picture.convert("RGB")), 0, dataformats="HWC")


def _write_tables(folder: Path, measured: Sequence[Measured], weights: Weights, test: Part) -> None:
    """The numbers behind words and figures."""
    runs = [(each, run, k) for each in measured for k, run in enumerate(each.runs)]

    def write(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        texts = [
            ["" if cell is None else f"{cell:.6g}" if isinstance(cell, float) else str(cell) for cell in row]
            for row in rows
        ]
        write_csv(folder / f"{name}.csv", header, texts)

    goals = [f"epochs_to_{100 * goal:.0f}" for goal in GOALS]
    header = ["experiment", "seed", "parameters", "multiply_adds", "epochs", "seconds", "seconds_an_epoch"]
    header += ["training_seconds_an_epoch", *goals, "val_error", "weights", "test_error", "version", "commit"]
    rows = []
    for each, run, k in runs:
        training, whole = seconds_an_epoch(run)
        sizes = (run.network.parameters, run.network.multiply_adds, len(run.epochs), run.record["seconds"])
        found = [epochs_to(run, goal) for goal in GOALS]
        errors = (run.measured["val/error"], weights, each.errors[k])
        last = (run.name, run.record.get("commit", ""))
        rows.append([each.experiment.name, run.seed, *sizes, whole, training, *found, *errors, *last])
    write("results", header, rows)
    write(
        "curves",
        ["experiment", "seed", "epoch", "train_eval_error", "val_error"],
        [
            [each.experiment.name, run.seed, epoch, row.get("train_eval/error"), row["val/error"]]
            for each, run, _ in runs
            for epoch, row in enumerate(run.epochs, 1)
        ],
    )
    directions = defaultdict(list)
    for change in changes():
        directions[change.kind, change.level].append(change.direction)
    write(
        "robustness",
        ["experiment", "seed", "change", "level", "direction", "error"],
        [
            row
            for each, run, k in runs
            for row in [
                [each.experiment.name, run.seed, "none", 0, "", each.errors[k]],
                *(
                    [each.experiment.name, run.seed, *key, direction, error]
                    for key, errors in each.changed.items()
                    for direction, error in zip(directions[key], errors[k], strict=True)
                ),
            ]
        ],
    )
    names = [f"{each.experiment.name}-{run.seed}" for each, run, _ in runs]
    answers = np.stack([test.labels, *(each.answers[k] for each, _, k in runs)], axis=1)
    write("predictions", ["index", "label", *names], ([k, *row] for k, row in enumerate(answers.tolist())))
