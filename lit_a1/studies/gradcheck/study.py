"""`mlp gradcheck`: backpropagation against central differences, for weights of the first layer, after training."""

import textwrap
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lit_a1.data.files import write_csv, write_text
from lit_a1.mlp.network import NN
from lit_a1.mlp.setup import Examples, Setup, Study, load_weights
from lit_a1.runs.folders import relative_to_cwd
from lit_a1.runs.plotting import COLOURS, figure
from lit_a1.runs.printed import epoch_line
from lit_a1.runs.settings import UsageError
from lit_a1.runs.templates import render
from lit_a1.runs.wording import clock
from lit_a1.studies.gradcheck.differences import (
    KINKED,
    MARGIN,
    SMALL,
    STEPS,
    UNIT,
    Differences,
    Findings,
    backpropagated,
    compare,
    examine,
)

MOST = 10  # weights of each set
HEADER = ("weights", "index", "row", "column", "N", "epsilon", "analytic", "numeric", "absolute_difference")


def write(
    first: Differences, nonzero: Differences, found: Findings, nonlinearity: str, black: int, **about: str
) -> str:
    """The conclusion from the first weights and the first with a gradient, in Markdown.

    `black` is how many of the first weights start at a pixel that is black in every training image; `about` has
    `setup`, `origin` of the weights and the `image`, in words.
    """
    gradients, crossed = np.abs(nonzero.analytic), nonzero.crossed.sum(axis=0)
    small, worst = STEPS >= SMALL, nonzero.largest(crossed=True)
    wrong = np.where(nonzero.usable, nonzero.absolute, 0)[nonzero.wrong(found.roundoff)][:, small]
    clear = nonzero.usable[:, small].any(axis=1) & (gradients * 0.01 > MARGIN * found.roundoff * SMALL)
    return render(
        "studies/gradcheck/conclusion.md.j2",
        first=first,
        nonzero=nonzero,
        found=found,
        kinked=nonlinearity in KINKED,
        nonlinearity=nonlinearity.replace("_", " "),
        black=black,
        gradients=dict.fromkeys(f"{size:.1e}" for size in (gradients.min(), gradients.max())) if len(gradients) else {},
        largest_gradient=gradients.max(initial=0),
        off=wrong.max(initial=0),
        judged=int(clear.sum()),
        crossed=crossed,
        crossing=[(n, count) for n, count in zip(STEPS, crossed, strict=True) if count],
        worst_crossed=np.nanmax(worst) if np.isfinite(worst).any() else None,
        nearest=None if found.optimum is None else STEPS[np.abs(np.log(STEPS * found.optimum)).argmin()],
        steps=STEPS,
        small=SMALL,
        margin=MARGIN,
        unit=UNIT,
        **about,
    )


def draw(path: Path, first: Differences, nonzero: Differences, found: Findings, words: str) -> None:
    """The maxima of both sets against N, with guide lines; what is exactly 0 sits on the lower edge."""
    values = np.concatenate([first.absolute.ravel(), nonzero.absolute.ravel()])
    values = values[np.isfinite(values) & (values > 0)]
    low, high = (values.min(), values.max()) if len(values) else (1e-16, 1.0)
    with figure(path, width=6.8, height=5.6) as (drawing, axes):
        axes.set(xscale="log", yscale="log", xlim=(0.6, 9e5), ylim=(low / 30, high * 5))
        axes.set(xlabel="N = 1 / epsilon", ylabel="|central difference - backpropagation|")
        drawing.suptitle("Backpropagation against central differences, one training image", fontsize=11)
        axes.set_title(words, fontsize=8)
        single = np.where(nonzero.usable & (nonzero.absolute > 0), nonzero.absolute, np.nan)
        for i, own in enumerate(single):
            label = None if i else f"first {len(single)} with a gradient: each, without kinks"
            axes.plot(STEPS, own, color="#bbbbbb", linewidth=0.7, label=label)
        if found.third is not None and found.optimum is not None:
            n = np.geomspace(1, min(5 / found.optimum, STEPS[-1]), 2)
            label = f"truncation |L'''| / (6 N²), slope -2; fitted {found.slope:.2f}"
            axes.plot(n, found.third / 6 / n**2, "--", color=COLOURS[4], label=label)
        if np.isfinite(found.roundoff):
            axes.plot(STEPS, found.roundoff * STEPS, ":", color=COLOURS[2], label="round-off e N, slope +1; estimated")
        for differences, colour, marker, which in (
            (nonzero, COLOURS[0], "o", "with a gradient"),
            (first, COLOURS[3], "v", "of the layer"),
        ):
            name, largest = f"first {len(differences.index)} {which}", differences.largest()
            all_of_them = differences.usable.all(axis=0)
            for mask, line, face, label in (
                (all_of_them, "-", colour, "maximum"),
                (~all_of_them, "", "white", "maximum without kinks"),
            ):
                if (at := mask & (largest > 0)).any():
                    style = {"color": colour, "markerfacecolor": face, "label": f"{name}: {label}"}
                    axes.plot(STEPS, np.where(at, largest, np.nan), marker=marker, linestyle=line, **style)
            if (zero := largest == 0).any():
                edge = {"transform": axes.get_xaxis_transform(), "clip_on": False, "label": f"{name}: exactly 0"}
                axes.plot(STEPS[zero], np.zeros(zero.sum()), marker, color=colour, **edge)
        if np.isfinite(crossed := nonzero.largest(crossed=True)).any():
            axes.plot(STEPS, crossed, "X", color=COLOURS[1], label="maximum of those that cross a kink, left out")
        if axes.get_legend_handles_labels()[0]:
            drawing.legend(loc="outside lower center", ncol=2, fontsize=8)


def run(setup: Setup, weights: Path | None = None, sample: int = 0) -> Path:
    """Trains, or takes the weights of a `.npz`; then checks gradients of the first layer in float64.

    The loss is that of one training image, number `sample`. Returns the folder with `differences.csv`,
    `differences.png`, `conclusion.md` and `record.json`. UsageError where there is no such sample, CheckpointError
    where the weights are of another network, or damaged.
    """
    trained, digits = setup.network(dtype="float32"), setup.digits()
    if not 0 <= sample < len(digits.train.labels):
        raise UsageError(f"sample must be from 0 to {len(digits.train.labels) - 1}, a training image; got {sample}")
    known = weights is None or load_weights(trained, weights)
    study = Study(setup, trained, digits)
    if weights is None:
        _train(trained, digits.train, setup.epochs)
        origin = f"trained here, epochs: {trained.epoch}"
    else:
        origin = f"weights of {'/'.join(weights.parts[-4:])}, epochs: {trained.epoch}"
        origin += "" if known else " (of what rate, mini-batches and seed, the file does not say)"
    net = setup.network(dtype="float64")
    net.parameters[:] = trained.parameters
    x, y = digits.train.images[sample : sample + 1].astype(np.float64), digits.train.labels[sample : sample + 1]
    with np.errstate(over="ignore", invalid="ignore"):
        gradient = backpropagated(net, x, y)
        first = compare(net, x, y, np.arange(min(MOST, gradient.size)))
        nonzero = compare(net, x, y, np.flatnonzero(gradient)[:MOST])
        found = examine(net, x, y, nonzero)

    pixels = first.index % net.dims[0]
    black = int((digits.train.images[:, pixels].max(axis=0) == 0).sum())
    image = f"training image {sample}, a {y[0]}, with a loss of {found.loss:.2g}"
    text = write(first, nonzero, found, net.nonlinearity, black, setup=study.words, origin=origin, image=image)
    write_csv(study.folder / "differences.csv", (*HEADER, "kink_crossed"), _rows(net, first=first, nonzero=nonzero))
    write_text(study.folder / "conclusion.md", text)
    subtitle = textwrap.fill(study.words, 100) + f"\nepochs: {trained.epoch}; {image}"
    draw(study.folder / "differences.png", first, nonzero, found, subtitle)
    largest = {"first": first.largest(), "nonzero": nonzero.largest(), "crossed": nonzero.largest(crossed=True)}
    results = asdict(found) | {f"largest_{name}": row.tolist() for name, row in largest.items()}
    study.record(weights=origin, sample=sample, label=int(y[0]), n=STEPS.tolist(), **results)
    print(f"\n{text}\nFigure, numbers and words: {relative_to_cwd(study.folder)}")
    return study.folder


def _train(net: NN, examples: Examples, epochs: int) -> None:
    """Epochs of plain training, a line each."""
    started = time.perf_counter()
    with np.errstate(over="ignore", invalid="ignore"), tqdm(total=epochs, unit="epoch", disable=None) as bar:
        for epoch in range(epochs):
            loss, error = net.train(*examples)
            left = (time.perf_counter() - started) / (epoch + 1) * (epochs - epoch - 1)
            tqdm.write(epoch_line({"epoch": epoch, "train/loss": loss, "train/error": error}, epochs, clock(left)))
            bar.update()


def _rows(net: NN, **sets: Differences) -> list[tuple[str, ...]]:
    """Of `differences.csv`, one for each weight and N."""
    rows = []
    for name, found in sets.items():
        for i, index in enumerate(found.index.tolist()):
            place, analytic = divmod(index, net.dims[0]), float(found.analytic[i])
            for j, n in enumerate(STEPS.tolist()):
                numbers = (1 / n, analytic, float(found.numeric[i, j]), float(found.absolute[i, j]))
                rows.append((name, *map(str, (index, *place, n)), *map(repr, numbers), str(int(found.crossed[i, j]))))
    return rows
