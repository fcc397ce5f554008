"""The study of initializations: zero, standard normal and Glorot, trained alike, measured and compared."""

import math
import textwrap
import time
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from lit_a1.data.files import write_csv, write_text
from lit_a1.mlp.network import INITIALIZATIONS
from lit_a1.mlp.setup import Digits, Setup, Study
from lit_a1.runs.events import event_writer
from lit_a1.runs.folders import relative_to_cwd
from lit_a1.runs.plotting import COLOURS, MARKERS, clip_for_log_axis, figure, percent_axis
from lit_a1.runs.printed import epoch_line
from lit_a1.runs.records import Metrics
from lit_a1.runs.wording import clock
from lit_a1.studies.inits.conclusions import write
from lit_a1.studies.inits.probe import Trial, first_step, moved, probe, unlike

MEASURED = ("train/loss", "train/error", "val/loss", "val/error")
LINES = ("--", ":", "-")


def run(setup: Setup) -> Path:
    """Trains the network from each initialization; raises as `NN` and `load_mnist` do.

    Returns the folder with `losses.csv`, `losses.png`, `comparison.md`, `record.json` and a TensorBoard run for each
    initialization.
    """
    net, digits = setup.network(), setup.digits()
    study = Study(setup, net, digits)
    print(f"Initializations: {study.words}")
    started = time.perf_counter()
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # divergence is a result
        trials = [_trial(setup, digits, name, study.folder / name, started) for name in INITIALIZATIONS]
    text = write(trials, net, digits, study.words)
    columns = ("epoch", "step", *MEASURED)
    rows = [[trial.name, *(f"{row[name]:.9g}" for name in columns)] for trial in trials for row in trial.epochs]
    write_csv(study.folder / "losses.csv", ["initialization", *(name.replace("/", "_") for name in columns)], rows)
    draw(study.folder / "losses.png", trials, net.dims[-1], len(digits.valid.labels), study.words)
    write_text(study.folder / "comparison.md", text)
    study.record(trials={trial.name: trial for trial in trials})
    print(f"\n{text}\nNumbers, figure and this text: {relative_to_cwd(study.folder)}")
    return study.folder


def _trial(setup: Setup, digits: Digits, name: str, folder: Path, started: float) -> Trial:
    net, start = (setup.network(initialization=name) for _ in range(2))
    before, epochs = probe(net, digits.train), []
    with event_writer(folder) as writer:
        for epoch in range(setup.epochs + 1):
            if epoch > 0:
                net.train(*digits.train)
            measured = dict(zip(MEASURED, (*net.test(*digits.train), *net.test(*digits.valid)), strict=True))
            epochs.append({"epoch": epoch, "step": net.step} | measured)
            print(f"{name:6}  {_line(epochs[-1], name, setup.epochs, started)}", flush=True)
            if epoch > 0:  # epochs and steps count from 0, as in the CNNs' logs
                for tag, value in (measured | {"epoch": epoch - 1}).items():
                    writer.add_scalar(tag, value, net.step - 1)
    after, changes = probe(net, digits.train), moved(net, start)
    return Trial(name, epochs, before, after, first_step(start, digits.train), changes, unlike(net))


def _line(row: Metrics, name: str, epochs: int, started: float) -> str:
    """An epoch's line in the terminal, with the time left for all initializations."""
    if row["epoch"] == 0:
        return f"before training  train loss {row['train/loss']:.4f} error {row['train/error']:6.2%}"
    done = list(INITIALIZATIONS).index(name) * epochs + row["epoch"]
    remaining = (time.perf_counter() - started) / done * (len(INITIALIZATIONS) * epochs - done)
    return epoch_line(row | {"epoch": row["epoch"] - 1}, epochs, clock(remaining))


def draw(path: Path, trials: list[Trial], classes: int, n_valid: int, words: str) -> None:
    """Plots training loss, and the error on `n_valid` images, against the epoch, with the values of a guess."""
    with figure(path, width=8.4, height=2.9, ncols=2) as (drawing, (left, right)):
        for trial, colour, marker, line in zip(trials, COLOURS, MARKERS, LINES, strict=False):
            look = {"color": colour, "marker": marker, "linestyle": line, "markerfacecolor": "white"}
            label = trial.label + ("" if trial.diverged is None else f" (not finite from epoch {trial.diverged} on)")
            losses = np.array(trial.losses)
            losses[~np.isfinite(losses)] = np.nan
            left.plot(np.maximum(losses, np.finfo(np.float32).eps), label=label, **look)
            right.plot([clip_for_log_axis(row["val/error"], n_valid) for row in trial.epochs[: trial.diverged]], **look)
        marks = ((left, math.log(classes), f"ln {classes}"), (right, 1 - 1 / classes, "by chance"))
        for axes, value, name in marks:
            axes.set_yscale("log")
            axes.axhline(value, color="#999999", linewidth=0.9, zorder=1)
            axes.annotate(name, (1, value), (4, 0), ("axes fraction", "data"), "offset points", va="center", fontsize=9)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_xlabel("Epoch (0: before training)")
        left.set_ylabel("Training loss (cross-entropy)")
        right.set_ylabel("Validation error")
        percent_axis(right)
        right.set_ylim(min(right.get_ylim()[0], 0.4), 1.15)  # so there are ticks even if all errors are equal
        drawing.legend(loc="outside lower center", ncols=len(trials), handlelength=4)
        drawing.suptitle(textwrap.fill(words, 130), fontsize=8)
