"""`mlp gradcheck`: backpropagation against central differences, for weights of the first layer, after training."""

import textwrap
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lit_a1.data.files import write_csv, write_text
from lit_a1.mlp.network import NN, Array
from lit_a1.mlp.setup import Examples, Setup, Study, load_weights
from lit_a1.runs.folders import near
from lit_a1.runs.plotting import COLOURS, figure
from lit_a1.runs.records import epoch_line
from lit_a1.runs.settings import UsageError
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


def explain(first: Differences, nonzero: Differences, found: Findings, nonlinearity: str, black: int) -> list[str]:
    """The conclusion in paragraphs; `black` of the first weights start at a pixel that is black in every picture."""
    if not np.isfinite(found.loss):
        return [f"The loss of the sample is {found.loss}: the training diverged, and nothing can be compared."]
    parts = [_first(first, found.roundoff, black), _verdict(nonzero, found)]
    if nonlinearity in KINKED and len(nonzero.index):
        parts.append(_kinks(nonzero, nonlinearity.replace("_", " ")))
    if found.best_n is not None:
        parts += [_left(found, nonlinearity in KINKED), _right(found), _between(nonzero, found)]
    return parts


def _first(first: Differences, roundoff: float, black: int) -> str:
    p, wrong = len(first.index), int(first.wrong(roundoff).sum())
    text = f"**The first {p} weights.** {black} of them start at a pixel that is black in every training picture. "
    if not first.analytic.any() and not first.absolute.any():
        why = "" if black == p else " (the pixel is black in this picture, or the unit is off)"
        text += f"The loss does not depend on any of the {p}{why}: all gradients and differences are exactly 0. "
        return text + "A backward pass could be wrong everywhere else and still pass this: it says nothing."
    text += f"{np.count_nonzero(first.analytic)} of the {p} gradients are not 0; "
    return text + (f"{wrong} of the {p} are wrong." if wrong else "no difference contradicts any of them.")


def _verdict(nonzero: Differences, found: Findings) -> str:
    p, e, gradients = len(nonzero.index), found.roundoff, np.abs(nonzero.analytic)
    if p == 0:
        return "**Weights with a gradient.** The first layer has none whose gradient is not 0: nothing can be checked."
    text = f"**The first {p} weights with a gradient.** Their gradients are {_span(gradients)} in size. "
    wrong, small = nonzero.wrong(e), STEPS >= SMALL
    if wrong.any():
        off = np.where(nonzero.usable, nonzero.absolute, 0)[wrong][:, small].max()
        text += f"From N = {SMALL:,} on, backpropagation and differences are up to {off:.1e} apart for {wrong.sum()} "
        text += f"of the {p}, where round-off explains about {e * SMALL:.0e}: "
        return text + "**the backward pass is wrong.**"
    judged = nonzero.usable[:, small].any(axis=1) & (gradients * 0.01 > MARGIN * e * SMALL)
    if found.best_n is not None:
        text += f"At N = {found.best_n:,} the largest difference is {found.smallest:.1e}, "
        text += f"{found.smallest / gradients.max():.0e} of the largest gradient. "
    if judged.all():
        return text + "**Backpropagation and differences agree.**"
    why = "their gradients are lost in round-off, or a kink is crossed at every small epsilon"
    if not judged.any():
        return text + f"But nothing is shown: {why}."
    return text + f"**Backpropagation and differences agree** for {judged.sum()}; the others can't be judged ({why})."


def _kinks(nonzero: Differences, nonlinearity: str) -> str:
    crossed, p = nonzero.crossed.sum(axis=0), len(nonzero.index)
    text = f"**Kinks.** Of these {nonzero.crossed.size} differences "
    if not crossed.any():
        return text + f"none crosses a kink of {nonlinearity}."
    where = ", ".join(f"{count} of {p} at N = {n:,}" for n, count in zip(STEPS, crossed, strict=True) if count)
    text += f"{crossed.sum()} cross a kink of {nonlinearity} ({where}). "
    if np.isfinite(worst := nonzero.largest(crossed=True)).any():
        text += f"Up to {np.nanmax(worst):.1e} off, they are marked and left out. "
    if (crossed == p).all():
        return text + "None is left."
    if ((crossed > 0) & (crossed < p)).any():
        text += "Where only some cross, the maximum is one over fewer weights, and so may be lower than at a larger N."
    return text.rstrip()


def _left(found: Findings, kinked: bool) -> str:
    text = "**Left arm, truncation.** A central difference leaves out epsilon² |L'''| / 6, a slope of -2. "
    if found.slope is None or found.fitted_n is None:
        return text + f"No slope can be fitted: no weight has two uncrossed differences above {MARGIN} times round-off."
    text += f"Over the {found.fitted} uncrossed differences above {MARGIN} times the estimated round-off, from "
    text += f"N = {found.fitted_n[0]:,} to {found.fitted_n[1]:,}, with a constant for each weight, the slope is "
    if found.third is None:
        return text + f"{found.slope:.2f}: something other than truncation sets them."
    text += f"{found.slope:.2f}, and the largest |L'''| is {found.third:.1e}."
    if kinked:
        text += " Between kinks the logits are straight lines in one weight: the softmax alone bends."
    return text


def _right(found: Findings) -> str:
    text = "**Right arm, round-off.** With a relative error u = 2^-53 of both losses it would be u L N, a slope of +1. "
    if found.right_slope is None or found.right_factor is None:
        return text + "It does not show at these N."
    times, last, plain = found.right_factor / found.roundoff, int(STEPS[-1]), UNIT * found.loss
    scatter = ", which scatter" if abs(found.right_slope - 1) > 0.3 else ""
    text += f"Beyond N = {found.best_n:,} the slope of the maximum is {found.right_slope:.2f} "
    text += f"({found.right_points} points{scatter})"
    if not 1 / MARGIN < times < MARGIN:
        return text + f": not round-off, which is about {found.roundoff * last:.0e} at N = {last:,}."
    text += f" and its mean {found.right_factor:.1e} N; u L is {plain:.1e}. "
    if found.roundoff > 3 * plain:
        text += "It is more than that as L is log(a sum of at least 1) - logit: these larger numbers are rounded. "
    estimate = f"u (max(1, L) + sum |z dL/dz|) = {found.roundoff:.1e} over the logits z"
    return text + f"The estimate e = {estimate} gives the arm to a factor of {times:.2g}."


def _between(nonzero: Differences, found: Findings) -> str:
    where = "no weight crosses a kink" if nonzero.usable.all(axis=0).any() else "there is one"
    text = f"**Between them.** Among the N where {where}, the maximum is smallest at N = {found.best_n:,}"
    if found.optimum is None:
        return text + "; without truncation to be seen there is no optimum to predict."
    nearest = int(STEPS[np.abs(np.log(STEPS * found.optimum)).argmin()])
    text += f". Both arms together are smallest at epsilon = (3 e / |L'''|)^(1/3) = {found.optimum:.1e}, "
    text += f"N = {1 / found.optimum:,.0f}; the nearest of the twelve is {nearest:,}"
    return text + (", as measured." if nearest == found.best_n else ".")


def _span(values: Array) -> str:
    return " to ".join(dict.fromkeys(f"{value:.1e}" for value in (values.min(), values.max())))


def table(first: Differences, nonzero: Differences) -> list[str]:
    """The maxima at each N, in Markdown."""
    a, b = (f"{name} {len(found.index)}" for name, found in (("first", first), ("with a gradient,", nonzero)))
    lines = [f"| N | {a} | {b} | cross a kink | largest of those |", "| ---: | ---: | ---: | ---: | ---: |"]
    maxima = first.largest(), nonzero.largest(), nonzero.largest(crossed=True)
    for n, *values, count in zip(STEPS, *maxima, nonzero.crossed.sum(axis=0), strict=True):
        cells = ["-" if np.isnan(value) else f"{value:.1e}" if value else "0" for value in values]
        lines.append(f"| {n:,} | {cells[0]} | {cells[1]} | {count} | {cells[2]} |")
    return lines


def draw(path: Path, first: Differences, nonzero: Differences, found: Findings, words: str) -> None:
    """The maxima of both sets against N, with guide lines; what is exactly 0 sits on the lower edge."""
    values = np.concatenate([first.absolute.ravel(), nonzero.absolute.ravel()])
    values = values[np.isfinite(values) & (values > 0)]
    low, high = (values.min(), values.max()) if len(values) else (1e-16, 1.0)
    with figure(path, width=6.8, height=5.6) as (drawing, axes):
        axes.set(xscale="log", yscale="log", xlim=(0.6, 9e5), ylim=(low / 30, high * 5))
        axes.set(xlabel="N = 1 / epsilon", ylabel="|central difference - backpropagation|")
        drawing.suptitle("Backpropagation against central differences, one training picture", fontsize=11)
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
    """Trains for `setup.epochs`, or takes trained weights; then checks gradients of the first layer in float64.

    Args:
        setup: of the command.
        weights: `.npz` that `NN.save` wrote.
        sample: which of the training pictures the loss is of.

    Returns:
        The folder with differences.csv, differences.png, conclusion.md and record.json.

    Raises:
        DataError: as `Setup.digits`.
        UsageError: there is no such sample.
        CheckpointError: the weights are of another network, or damaged.
    """
    trained, digits = setup.network(dtype="float32"), setup.digits()
    if not 0 <= sample < len(digits.train.labels):
        raise UsageError(f"sample must be from 0 to {len(digits.train.labels) - 1}, a training picture; got {sample}")
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
    x, y = digits.train.pictures[sample : sample + 1].astype(np.float64), digits.train.labels[sample : sample + 1]
    with np.errstate(over="ignore", invalid="ignore"):
        gradient = backpropagated(net, x, y)
        first = compare(net, x, y, np.arange(min(MOST, gradient.size)))
        nonzero = compare(net, x, y, np.flatnonzero(gradient)[:MOST])
        found = examine(net, x, y, nonzero)

    pixels = first.index % net.dims[0]
    black = int((digits.train.pictures[:, pixels].max(axis=0) == 0).sum())
    paragraphs = explain(first, nonzero, found, net.nonlinearity, black)
    picked = f"training picture {sample}, a {y[0]}, with a loss of {found.loss:.2g}"
    how = (
        "in float64 without dropout; L is its cross-entropy. Weights are counted along the rows of W1 (units, pixels)."
    )
    head = ["# Backpropagation against central differences", f"{study.words}; {origin}."]
    head.append(f"{picked.capitalize()}, {how} N = 1 / epsilon; largest |central difference - backpropagation|:")
    text = "\n\n".join([*head, "\n".join(table(first, nonzero)), *paragraphs])
    write_csv(study.folder / "differences.csv", (*HEADER, "kink_crossed"), _rows(net, first=first, nonzero=nonzero))
    write_text(study.folder / "conclusion.md", text + "\n")
    subtitle = textwrap.fill(study.words, 100) + f"\nepochs: {trained.epoch}; {picked}"
    draw(study.folder / "differences.png", first, nonzero, found, subtitle)
    largest = {"first": first.largest(), "nonzero": nonzero.largest(), "crossed": nonzero.largest(crossed=True)}
    results = asdict(found) | {f"largest_{name}": row.tolist() for name, row in largest.items()}
    study.record(weights=origin, sample=sample, label=int(y[0]), n=STEPS.tolist(), **results)
    print(f"\n{text}\n\nFigure, numbers and words: {near(study.folder)}")
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
