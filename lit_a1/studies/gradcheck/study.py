"""`mlp gradcheck`: backpropagation against central differences, for first-layer weights of a trained network."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lit_a1.data.files import write_csv, write_text
from lit_a1.mlp.network import NN
from lit_a1.mlp.setup import Examples, Setup, Study, load_weights, run_state
from lit_a1.runs.folders import PRETRAINED, relative_to_cwd
from lit_a1.runs.plotting import COLOURS, figure
from lit_a1.runs.printed import epoch_line
from lit_a1.runs.records import version_of
from lit_a1.runs.settings import UsageError
from lit_a1.runs.templates import render
from lit_a1.runs.wording import clock, counted
from lit_a1.studies.gradcheck.differences import (
    KINKED,
    MARGIN,
    SMALL,
    STEPS,
    Differences,
    Findings,
    backprop,
    compare,
    examine,
)

WEIGHTS_PER_SET = 10  # the first of the layer, and the first with a nonzero gradient
HEADER = ("weights", "index", "row", "column", "N", "epsilon", "analytic", "numeric", "absolute_difference")


def write(first: Differences, nonzero: Differences, findings: Findings, net: NN, **about: Any) -> str:
    """The conclusion, in Markdown, from the `first` weights and from the first weights with a `nonzero` gradient.

    `about` describes the `setup`, the `origin` of the weights and the `image` in words. `black` counts the first
    weights whose input pixel is black in every training image.
    """
    gradients, small = np.abs(nonzero.analytic), STEPS >= SMALL
    wrong = [np.where(d.usable, d.absolute, 0)[d.wrong(findings.roundoff)][:, small] for d in (first, nonzero)]
    conclusive = nonzero.usable[:, small].any(axis=1) & (gradients * 0.01 > MARGIN * findings.roundoff * SMALL)
    crossed = np.where(nonzero.crossed & np.isfinite(nonzero.absolute), nonzero.absolute, 0)
    return render(
        "studies/gradcheck/conclusion.md.j2",
        first=first,
        nonzero=nonzero,
        findings=findings,
        size=net.weights[0].size,
        kinked=net.nonlinearity in KINKED,
        nonlinearity=net.nonlinearity.replace("_", " "),
        gradients=_gradients(first, nonzero, findings.best_n, net.dims[0]),
        maxima=_maxima(first, nonzero),
        largest_gradient=gradients.max(initial=0),
        wrong=sum(map(len, wrong)),
        largest_wrong=max(values.max(initial=0) for values in wrong),
        n_conclusive=int(conclusive.sum()),
        crossing=[(n, count) for n, count in zip(STEPS, nonzero.crossed.sum(axis=0), strict=True) if count],
        worst_crossed=crossed.max(initial=0),
        nearest=None if findings.optimum is None else STEPS[np.abs(np.log(STEPS * findings.optimum)).argmin()],
        steps=STEPS,
        small=SMALL,
        margin=MARGIN,
        **about,
    )


def _gradients(first: Differences, nonzero: Differences, best_n: int | None, pixels: int) -> list[list[str]]:
    """A table of both sets of weights: their positions and gradients."""
    rows = [["i", *map(str, range(1, 1 + max(len(first.index), len(nonzero.index))))]]
    for differences, name in ((first, "first"), (nonzero, "nonzero")):
        rows.append([f"{name}: unit, pixel", *("{}, {}".format(*divmod(index, pixels)) for index in differences.index)])
        rows.append([f"{name}: $∂L/∂θ$", *map(_short, differences.analytic)])
    if best_n is not None:
        rows.append([f"difference at N = {best_n:,}", *map(_short, nonzero.absolute[:, best_n == STEPS].ravel())])
    return [row + [""] * (len(rows[0]) - len(row)) for row in rows]


def _maxima(first: Differences, nonzero: Differences) -> list[list[str]]:
    """A table of the largest differences, a column for each N."""
    rows = [["N", *(f"{n:,}" for n in STEPS)], ["first weights", *map(_short, first.largest())]]
    rows.append(["with a gradient", *map(_short, nonzero.largest())])
    if nonzero.crossed.any():
        rows.append(["of these without kinks", *map(_short, nonzero.largest(smooth=True))])
    return rows


def _short(value: float | np.floating) -> str:
    return "-" if not np.isfinite(value) else f"{value:.1e}" if value else "0"


def draw(path: Path, first: Differences, nonzero: Differences, findings: Findings, title: str) -> None:
    """Plots the maxima of both sets against N, with guide lines; values of exactly 0 are on the lower edge."""
    values = np.concatenate([first.absolute.ravel(), nonzero.absolute.ravel()])
    values = values[np.isfinite(values) & (values > 0)]
    low, high = (values.min(), values.max()) if len(values) else (1e-16, 1.0)
    bottom = max(low, high * 1e-16) / 30
    with figure(path, width=7.2, height=3.2) as (drawing, axes):
        axes.set(xscale="log", yscale="log", xlim=(0.7, 7e5), ylim=(bottom, high * 5))
        axes.set(xlabel="N = 1/ε", ylabel="max |difference|")
        axes.set_title(title, fontsize=8, loc="left")
        if findings.third is not None and findings.optimum is not None:
            n = np.geomspace(1, min(5 / findings.optimum, STEPS[-1]), 2)
            axes.plot(n, findings.third / 6 / n**2, "--", color=COLOURS[4], label="truncation, slope -2 (fitted)")
        if np.isfinite(findings.roundoff):
            axes.plot(STEPS, findings.roundoff * STEPS, ":", color=COLOURS[2], label="round-off, slope +1 (estimated)")
        if (kinks := nonzero.crossed.any(axis=0)).any():
            smooth = nonzero.largest(smooth=True)
            axes.plot(STEPS, smooth, "--o", linewidth=1, color=COLOURS[0], mfc="white", label="these without kinks")
        for differences, colour, marker, which in (
            (nonzero, COLOURS[0], "o", "with a gradient"),
            (first, COLOURS[3], "v", "of the layer"),
        ):
            label = f"first {len(differences.index)} weights {which}"
            largest = differences.largest()
            if np.isfinite(largest).any():
                shown = np.where(largest == 0, bottom, largest)
                label += ": exactly 0" if not largest.any() else ""
                axes.plot(STEPS, shown, marker=marker, color=colour, label=label, clip_on=False)
        if kinks.any():
            crossed = nonzero.largest()[kinks]
            axes.plot(STEPS[kinks], crossed, "x", color=COLOURS[1], ms=9, mew=2, label="some cross a kink")
        if axes.get_legend_handles_labels()[0]:
            drawing.legend(loc="outside lower center", ncol=3, fontsize=8)


def run(setup: Setup, weights: Path | None = None, sample: int = 0) -> Path:
    """Trains a network, or loads it from a `.npz`; then checks gradients of the first layer in float64.

    The loss is that of the training image number `sample`. Returns the folder with `differences.csv`,
    `differences.png`, `conclusion.md` and `record.json`. Raises a UsageError if there is no such sample, and a
    CheckpointError if the weights file is damaged.
    """
    setup = setup if weights is None else setup.like(weights)
    trained, digits = setup.network(dtype="float32"), setup.digits()
    if not 0 <= sample < len(digits.train.labels):
        raise UsageError(f"sample must be from 0 to {len(digits.train.labels) - 1}, a training image; got {sample}")
    if weights is not None:
        load_weights(trained, weights)
    study = Study(setup, trained, digits)
    if weights is None:
        _train(trained, digits.train, setup.epochs)
        origin = f"trained for this study, {counted(trained.epoch, 'epoch')}"
    else:
        name = weights.name if version_of(weights) is None else "/".join(weights.parts[-4:])
        published = "published " if weights.parent == PRETRAINED else ""
        origin = f"the {published}weights of {name}, after {counted(trained.epoch, 'epoch')}"
        origin += "" if run_state(weights) else " (the file does not say of what rate, mini-batches and seed)"
    net = setup.network(dtype="float64")
    net.parameters[:] = trained.parameters
    x, y = digits.train.images[sample : sample + 1].astype(np.float64), digits.train.labels[sample : sample + 1]
    with np.errstate(over="ignore", invalid="ignore"):
        gradient = backprop(net, x, y)
        first = compare(net, x, y, np.arange(min(WEIGHTS_PER_SET, gradient.size)))
        nonzero = compare(net, x, y, np.flatnonzero(gradient)[:WEIGHTS_PER_SET])
        findings = examine(net, x, y, nonzero)

    pixels = first.index % net.dims[0]
    black = int((digits.train.images[:, pixels].max(axis=0) == 0).sum())
    image = f"training image {sample}, a {y[0]}, whose loss is {findings.loss:.2g}"
    text = write(first, nonzero, findings, net, setup=study.words, origin=origin, image=image, black=black)
    write_csv(study.folder / "differences.csv", (*HEADER, "kink_crossed"), _rows(net, first=first, nonzero=nonzero))
    write_text(study.folder / "conclusion.md", text)
    subtitle = f"{net.architecture}, {net.nonlinearity}, {counted(trained.epoch, 'epoch')}; {image}"
    draw(study.folder / "differences.png", first, nonzero, findings, subtitle)
    results: dict[str, Any] = asdict(findings) | {
        "largest_first": first.largest().tolist(),
        "largest_nonzero": nonzero.largest().tolist(),
        "largest_without_kinks": nonzero.largest(smooth=True).tolist(),
    }
    if weights is not None and version_of(weights) is not None:
        results |= {"run": "/".join(weights.parts[-4:-2]), "checkpoint": weights.stem}
    study.record(weights=origin, epochs_done=trained.epoch, sample=sample, label=int(y[0]), n=STEPS.tolist(), **results)
    print(f"\n{text}\nNumbers, figure and this text: {relative_to_cwd(study.folder)}")
    return study.folder


def _train(net: NN, examples: Examples, epochs: int) -> None:
    """Trains, and prints a line for each epoch."""
    started = time.perf_counter()
    with np.errstate(over="ignore", invalid="ignore"):
        for epoch in range(epochs):
            loss, error = net.train(*examples)
            remaining = (time.perf_counter() - started) / (epoch + 1) * (epochs - epoch - 1)
            metrics = {"epoch": epoch, "train/loss": loss, "train/error": error}
            print(epoch_line(metrics, epochs, clock(remaining)), flush=True)


def _rows(net: NN, **sets: Differences) -> list[tuple[Any, ...]]:
    """The rows of `differences.csv`, one for each weight and N."""
    rows = []
    for name, d in sets.items():
        for i, index in enumerate(d.index.tolist()):
            for j, n in enumerate(STEPS.tolist()):
                numbers = (1 / n, d.analytic[i], d.numeric[i, j], d.absolute[i, j])
                rows.append((name, index, *divmod(index, net.dims[0]), n, *map(float, numbers), int(d.crossed[i, j])))
    return rows
