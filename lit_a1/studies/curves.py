"""The curves of recorded runs: training and validation loss and error, against epochs done."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lit_a1.data.files import write_csv
from lit_a1.runs.finished import Run
from lit_a1.runs.plotting import clip_for_log_axis, draw_line, figure, headline, percent_axis
from lit_a1.runs.records import RECORD_FILE, CheckpointError, read_record
from lit_a1.runs.settings import UsageError
from lit_a1.runs.templates import render

PARTS = {"train": "training, as it ran", "val": "validation", "train_eval": "training images, measured as validation"}
STYLES = {"train": "--", "val": "-", "train_eval": ":"}
AXES = {"loss": "Loss (cross-entropy)", "error": "Error"}


def read(folder: Path) -> Run:
    """The run in `lightning_logs/NAME/version_N`, from its record alone; raises a UsageError without a valid record."""
    try:
        record = read_record(folder, needed=())
    except CheckpointError as error:
        raise UsageError(f"{error}") from error
    folder = folder.absolute()  # the parent folder has the experiment's name
    return Run(folder, folder / "checkpoints" / "last.ckpt", record)


def is_training(run: Run) -> bool:
    """Whether `fit` wrote the record, and not a study or the validation of an ensemble."""
    return "settings" in run.record and "members" not in run.record


def keep_curves(folder: Path, runs: Sequence[Run]) -> None:
    """Writes `curves.png`, as `draw` does, and `curves.csv`: a row for each run and epoch, empty where not measured.

    In the CSV, `epoch` counts from 1, and `step` counts the steps done. Losses are in nats, errors are shares of the
    images, all to six digits. Raises a UsageError if there is no run, a run has no epoch, or two have the same seed.
    """
    if not runs:
        raise UsageError("There is no run to draw curves of: one at least was expected.")
    seeds: dict[str, Path] = {}
    for run in runs:
        if not isinstance(run.record.get("epochs"), list) or not run.epochs:
            raise UsageError(f"{run.folder / RECORD_FILE} has no epoch: the record of a training was expected.")
        if str(run.seed) in seeds:
            both = f"{seeds[str(run.seed)]} and {run.folder}"
            raise UsageError(f"{both} have the same seed, {run.seed}: give one run of each seed.")
        seeds[str(run.seed)] = run.folder
    draw(folder / "curves.png", runs)
    tags = sorted({tag for run in runs for row in run.epochs for tag in row if "/" in tag})
    rows = []
    for run in runs:
        for row in run.epochs:
            measured = [f"{row[tag]:.6g}" if tag in row else "" for tag in tags]
            rows.append([run.name, str(run.seed), f"{row['epoch'] + 1:.0f}", f"{row['step']:.0f}", *measured])
    write_csv(folder / "curves.csv", ["run", "seed", "epoch", "step", *tags], rows)


def draw(path: Path, runs: Sequence[Run]) -> None:
    """Plots loss and error, a panel each, against epochs done.

    The lines are training as it ran, validation and, if recorded, the training images evaluated like the validation
    images. Each validated epoch has a mark. Several runs are plotted as their mean, in a band from minimum to maximum.
    """
    with figure(path, width=9.6, height=4.4, ncols=2) as (drawing, panels):
        for panel, (name, axis_label) in zip(panels, AXES.items(), strict=True):
            for number, part in enumerate(PARTS):
                epochs, values = curve(runs, f"{part}/{name}")
                if epochs:
                    label = PARTS[part] + (conditions(runs[0]) if part == "train" else "")
                    size = max(2.0, min(4.5, 160 / len(epochs)))  # in points: the marks share the width of the panel
                    marks = {} if part == "val" or len(epochs) == 1 else {"marker": ""}  # a single point has no line
                    style = {"linestyle": STYLES[part], "markersize": size, **marks}
                    draw_line(panel, textwrap.fill(label, 56), number, epochs, values, **style)
            panel.set_xlabel("Epochs done")
            panel.set_ylabel(axis_label)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        percent_axis(panels[1])
        drawing.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=len(PARTS), fontsize=9)
        headline(drawing, title(runs))


def curve(runs: Sequence[Run], tag: str) -> tuple[list[int], NDArray[np.float64]]:
    """The epochs (from 1) in which all runs measured a tag such as `val/error`, and the values (runs, epochs).

    Errors of zero are raised to what a logarithmic axis can show.
    """
    part, _, name = tag.partition("/")
    measured = []
    for run in runs:
        values = {int(row["epoch"]) + 1: row[tag] for row in run.epochs if tag in row}
        if name == "error":
            counts = {"val": run.record["images"]["val"], "train_eval": run.training_images_measured}
            images = counts.get(part, run.record["images"]["train"])
            values = {epoch: clip_for_log_axis(error, images) for epoch, error in values.items()}
        measured.append(values)
    epochs = sorted(set[int].intersection(*map(set, measured)))
    return epochs, np.array([[values[epoch] for epoch in epochs] for values in measured])


def conditions(run: Run) -> str:
    """What makes the training metrics worse than the network is: ` (augmented, smoothed labels)`."""
    settings = {
        "augmented": run.augmented,
        "mixed": run.augmentation(("mixup", "cutmix")),
        "smoothed labels": run.settings.get("model.label_smoothing"),
        "teachers' predictions": run.settings.get("model.teachers") and run.settings.get("model.teacher_share", 1) > 0,
        "dropout": run.settings.get("model.dropout") or run.settings.get("model.input_dropout"),
        "stochastic depth": run.settings.get("model.stochastic_depth"),
    }
    return f" ({', '.join(names)})" if (names := [words for words, value in settings.items() if value]) else ""


def title(runs: Sequence[Run]) -> str:
    """What was trained, how well, how long, with what code and machine; for several runs, what the lines mean."""
    validated = [[row for row in run.epochs if "val/error" in row] for run in runs]
    last_rows = [rows[-1] for rows in validated if rows]
    seeds, commits, machines = (
        dict.fromkeys(str(run.record[name]) or "unknown" for run in runs) for name in ("seed", "commit", "machine")
    )
    text = render(
        "studies/curves_title.md.j2",
        name=runs[0].folder.parent.name,
        runs=len(runs),
        seeds=seeds,
        errors=[row["val/error"] for row in last_rows],
        epochs=sorted({int(row["epoch"]) + 1 for row in last_rows}),
        commits=commits,
        machines=machines,
        seconds=median(run.record["seconds"] for run in runs),
    )
    return text.strip().replace("\n\n", "\n")
