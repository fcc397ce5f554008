"""Conclusions from the study of initializations: numbers and verdicts for the template `comparison.md.j2`."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from lit_a1.mlp.network import NN
from lit_a1.mlp.setup import Digits
from lit_a1.runs.templates import render
from lit_a1.runs.wording import number
from lit_a1.studies.inits.probe import BOUNDED, CONFIDENT, FLAT, Trial

ROUNDING_LIMIT = 1e-3  # weights that differ by less than this share of the largest weight differ only by rounding
MOST_COLUMNS = 12  # columns of numbers that fit on a page
ABOUT_EQUAL = 0.02  # losses that differ by less than this share are called about equal


def write(trials: Sequence[Trial], net: NN, digits: Digits, words: str) -> str:
    """The comparison of the trials zero, normal and glorot, in Markdown; `net` is a network with their settings."""
    zero, _, glorot = trials
    n_valid, classes = len(digits.valid.labels), net.dims[-1]
    finite = [trial for trial in trials if trial.diverged is None]
    by_error = sorted(finite, key=lambda trial: trial.last["val/error"])
    variances = {trial.name: (p := trial.last["val/error"]) * (1 - p) / n_valid for trial in by_error}
    shares = np.bincount(digits.train.labels, minlength=classes) / len(digits.train.labels)
    return render(
        "studies/inits/comparison.md.j2",
        trials=trials,
        net=net,
        words=words,
        n_train=len(digits.train.labels),
        n_valid=n_valid,
        losses=_losses(trials),
        by_loss=sorted(finite, key=lambda trial: trial.losses[-1]),
        by_error=by_error,
        chance={name: 2 * math.sqrt(variances[by_error[0].name] + variance) for name, variance in variances.items()},
        loss_by_chance=math.log(classes),
        stays_by_chance=all(abs(loss - math.log(classes)) <= ABOUT_EQUAL * math.log(classes) for loss in zero.losses),
        entropy=-sum(share * math.log(share) for share in shares if share > 0),
        f_of_0=float(net.activation(np.zeros(1, net.dtype))[0]),
        expected=[
            math.sqrt(2 * fan_out / (fan_in + fan_out)) * slope
            for (fan_in, fan_out), slope in zip(pairwise(net.dims[1:]), glorot.before.slope, strict=True)
        ],
        bounded=net.nonlinearity in BOUNDED,
        columns={"z": number, "delta": number, "slope": number, "flat": share, "stuck": share},
        about_equal=ABOUT_EQUAL,
        rounding_limit=ROUNDING_LIMIT,
        flat=FLAT,
        confident=CONFIDENT,
        loss=loss,
        share=share,
        ratios=ratios,
        largest_factor=largest_factor,
    )


def _losses(trials: Sequence[Trial]) -> list[list[str]]:
    """The table of all losses: a column for each epoch, or a row if there are many."""
    rows = [["epoch", *(str(epoch) for epoch in range(len(trials[0].epochs)))]]
    rows += [[trial.label, *map(loss, trial.losses)] for trial in trials]
    return rows if len(rows[0]) <= MOST_COLUMNS else [list(row) for row in zip(*rows, strict=True)]


def loss(value: float) -> str:
    """A loss, with four decimals unless it is tiny or huge."""
    return f"{value:.4f}" if 1e-2 <= value < 100 else number(value)


def share(value: float) -> str:
    """A share in percent: 0 % and 100 % only if it is exactly none or all."""
    if not math.isfinite(value):
        return "not finite"
    if value in (0, 1):
        return f"{100 * value:.0f} %"
    return "under 0.1 %" if value < 5e-4 else "over 99.9 %" if value > 0.9995 else f"{100 * value:.1f} %"


def ratios(values: Sequence[float]) -> list[float]:
    """The ratio of each value to the previous one."""
    return [after / before if before else math.nan for before, after in pairwise(values)]


def largest_factor(trial: Trial) -> float:
    """The largest factor by which z or delta grows or shrinks between two hidden layers, before training."""
    factors = ratios(trial.before.z[:-1]) + ratios(trial.before.delta[:-1])
    return max((max(ratio, 1 / ratio) if ratio else math.inf for ratio in factors), default=1.0)
