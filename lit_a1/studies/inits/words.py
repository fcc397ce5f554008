"""The study of initializations in words, every one of which follows from what was measured."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from lit_a1.mlp.network import NN
from lit_a1.mlp.setup import Digits
from lit_a1.runs.wording import listed, number, percent, table
from lit_a1.studies.inits.probe import BOUNDED, FLAT, SURE, Trial

NAMES = {"zero": "zero", "normal": "standard normal", "glorot": "Glorot"}
ALIKE = 1e-3  # weights that differ by less than this share of the largest one differ by rounding alone
NEAR = 0.02  # losses that differ by less than this share are called about equal


def compare(trials: Sequence[Trial], net: NN, digits: Digits, words: str) -> str:
    """The comparison, in Markdown.

    Args:
        trials: zero, normal and glorot.
        net: a network as they were, for its layers and nonlinearity.
        digits: that they were trained on.
        words: what the study was run with.
    """
    by_name = {trial.name: trial for trial in trials}
    zero, normal, glorot = (by_name[name] for name in NAMES)
    pictures = len(digits.train.labels)
    parts = [
        "# Initialization: zero, standard normal, Glorot",
        f"Run with: {words}. All biases start at zero. Losses and errors are those of the weights as they are at the "
        f"end of an epoch, over all {pictures:,} training or {len(digits.valid.labels):,} validation pictures, "
        "nothing dropped. One run each, from one seed.",
        _result(trials, len(digits.valid.labels)),
        _curves(trials),
        "## Zero",
        _zero(zero, net, digits),
        "## Standard normal",
        _normal(normal, glorot, net),
        "## Glorot",
        _glorot(glorot, normal, net),
        "## Layer by layer",
        _layers(trials, net),
    ]
    return "\n\n".join(parts) + "\n"


# numbers in words


def _loss(value: float) -> str:
    return f"{value:.4f}" if 1e-2 <= value < 100 else number(value)


def _share(value: float) -> str:
    """A share in percent: 0 % and 100 % only where it is none or all."""
    if not math.isfinite(value):
        return "not finite"
    if value in (0, 1):
        return f"{100 * value:.0f} %"
    return "under 0.1 %" if value < 5e-4 else "over 99.9 %" if value > 0.9995 else f"{100 * value:.1f} %"


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _ratios(values: Sequence[float]) -> list[float]:
    return [after / before if before else math.nan for before, after in pairwise(values)]


def _widest(ratios: Sequence[float]) -> float:
    """The largest factor that something grows or shrinks by."""
    return max((max(ratio, 1 / ratio) if ratio else math.inf for ratio in ratios), default=1.0)


# the parts


def _result(trials: Sequence[Trial], validated: int) -> str:
    """Who ends with the smallest loss, who with the smallest validation error, and whether by more than chance."""
    lost = " ".join(
        f"{_capital(NAMES[trial.name])} diverged: its loss is not finite from epoch {trial.diverged} on."
        for trial in trials
        if trial.diverged is not None
    )
    ends = [(NAMES[trial.name], trial.epochs[-1]) for trial in trials if trial.diverged is None]
    if not ends:
        return lost
    (best, row), *others = sorted(ends, key=lambda end: end[1]["train/loss"])
    least = row["train/loss"]
    said = [f"After epoch {row['epoch']:.0f} the training loss is smallest with {best}, {_loss(least)}"]
    for name, row in others:
        times = row["train/loss"] / least if least else math.inf
        compared = "about equal" if times < 1 + NEAR else f"{number(times)} times as much"
        said.append(f"{name} has {_loss(row['train/loss'])}" + (f", {compared}" if math.isfinite(times) else ""))
    (best, row), *others = sorted(ends, key=lambda end: end[1]["val/error"])
    p = row["val/error"]
    said = ["; ".join(said) + ".", f"The validation error is smallest with {best}, {percent(p)}."]
    for name, row in others:
        q = row["val/error"]
        chance = 2 * math.sqrt((p * (1 - p) + q * (1 - q)) / validated)
        verdict = "more than" if q - p > chance else "no more than"
        verdict += " the choice of validation pictures explains"
        said.append(f"{_capital(name)} has {percent(q)}, {verdict} (two standard errors: {100 * chance:.2f} points).")
    return " ".join(filter(None, [*said, lost]))


def _curves(trials: Sequence[Trial]) -> str:
    """The table of losses and errors."""
    shown = dict.fromkeys((0, 1, len(trials[0].epochs) - 1))
    heads = ["loss before training" if epoch == 0 else f"loss after epoch {epoch}" for epoch in shown]
    rows = [["initialization", *heads, "training error", "validation error"]]
    for trial in trials:
        losses = [_loss(trial.epochs[epoch]["train/loss"]) for epoch in shown]
        errors = [
            trial.epochs[-1][name] if trial.diverged is None else math.nan for name in ("train/error", "val/error")
        ]
        rows.append([NAMES[trial.name], *losses, *map(percent, errors)])
    return table(rows)


def _zero(trial: Trial, net: NN, digits: Digits) -> str:
    classes, losses = net.dims[-1], [row["train/loss"] for row in trial.epochs]
    chance, rest = math.log(classes), float(net.activation(np.zeros(1, net.dtype))[0])
    said = [
        f"All logits are 0, so that each class has the probability 1/{classes} and each picture the loss ln {classes}, "
        f"{chance:.4f}; measured: {_loss(losses[0])}."
    ]
    if net.n_hidden == 0:
        said.append("There is no hidden layer whose units would have to become different.")
    elif rest == 0:
        said.append(
            "All hidden units give f(0) = 0, so that the output weights have the gradient h^T delta = 0; and delta W^T "
            "is 0, so that nothing flows back to the layers before. Only the output biases have a gradient, for ever."
        )
    else:
        said.append(
            f"All hidden units give f(0) = {rest:g}, so that the output weights do get a gradient, h^T delta, but the "
            "same for all units of a layer; so delta W^T is the same for all of them too, and they change alike: a "
            "layer is worth one unit."
            + (" Dropout, which treats units differently, breaks this." if net.dropout else "")
        )
    said += [_moved(trial), _alike(trial, net)]
    if all(abs(loss - chance) <= NEAR * chance for loss in losses):
        shares = np.bincount(digits.train.labels, minlength=classes) / len(digits.train.labels)
        entropy = -sum(share * math.log(share) for share in shares if share > 0)
        said.append(
            f"The loss stays near ln {classes}, between {_loss(min(losses))} and {_loss(max(losses))}; the least that "
            f"one answer to all pictures can reach is the entropy of the labels, {entropy:.4f}."
        )
    else:
        said.append(_outcome(trial))
    if trial.after.answers == 1:
        said.append("At the end all training pictures get the same answer.")
    return " ".join(filter(None, said))


def _moved(trial: Trial) -> str:
    """Which parameters training changed, and how far."""
    weights, biases = zip(*trial.moved, strict=True)
    if any(weights) or any(biases[:-1]):
        moves = f"weights moved by up to {listed(weights)}, biases by up to {listed(biases)}"
        return f"Measured from start to end, layer by layer: {moves}."
    return f"Measured from start to end: the output biases moved by up to {number(biases[-1])}, nothing else at all."


def _alike(trial: Trial, net: NN) -> str:
    """Whether the units of each hidden layer are still the same."""
    if not trial.unlike or not math.isfinite(sum(trial.unlike)):
        return ""
    widest = max(trial.unlike)
    if widest == 0:
        return "The units of each hidden layer are equal to the last bit."
    cause = "dropout has made them different" if net.dropout else "rounding errors have grown"
    return (
        f"Layer by layer, the weights of two hidden units differ by up to {listed(trial.unlike)} times the largest "
        f"weight: {'rounding' if widest < ALIKE else cause}."
    )


def _normal(trial: Trial, glorot: Trial, net: NN) -> str:
    before, start = trial.before, trial.epochs[0]
    times = number(start["train/loss"] / math.log(net.dims[-1]))
    said = [
        "A pre-activation is a sum over the units before; with weights of variance 1 its standard deviation grows with "
        f"the root of their number. Before training it is {listed(before.z)} from the first layer to the logits "
        f"(Glorot: {listed(glorot.before.z)}).",
        f"Softmax then gives one class more than {SURE:g} for {_share(before.sure)} of the training pictures "
        f"(Glorot: {_share(glorot.before.sure)}), and {percent(start['train/error'])} of the answers are wrong. The "
        f"loss is {_loss(start['train/loss'])}, {times} times ln {net.dims[-1]}.",
        _idle(trial, net),
        _step(trial, net),
        _outcome(trial),
    ]
    return " ".join(filter(None, said))


def _glorot(trial: Trial, normal: Trial, net: NN) -> str:
    said = [
        "Weights from U(-d, d), d = sqrt(6 / (fan_in + fan_out)), have the variance 2 / (fan_in + fan_out): between "
        "1 / fan_in, which keeps the variance of the pre-activations from layer to layer, and 1 / fan_out, which keeps "
        "that of the deltas on the way back."
    ]
    if net.n_hidden:
        (there, back), (normal_there, normal_back) = (
            (_ratios(state.z), _ratios(state.delta[::-1])) for state in (trial.before, normal.before)
        )
        expected = [
            math.sqrt(2 * fan_out / (fan_in + fan_out)) * slope
            for (fan_in, fan_out), slope in zip(pairwise(net.dims[1:]), trial.before.slope, strict=True)
        ]
        said += [
            f"Before training the standard deviation of the pre-activations is {listed(trial.before.z)} from the "
            f"first layer to the logits: from layer to layer {listed(there)} times as much (standard normal: "
            f"{listed(normal_there)}). That of the deltas is {listed(trial.before.delta[::-1])} from the logits "
            f"back: {listed(back)} times as much (standard normal: {listed(normal_back)}), where the widths and the "
            f"measured f' let one expect {listed(expected[::-1])}.",
        ]
    if net.n_hidden > 1:
        widest, others = (_widest(_ratios(s.z[:-1]) + _ratios(s.delta[:-1])) for s in (trial.before, normal.before))
        verdict = "both roughly keep their size" if widest <= 2 else "they do not keep their size"
        said.append(
            f"From hidden layer to hidden layer {verdict}: the largest factor, there or back, is {number(widest)} "
            f"(standard normal: {number(others)})."
        )
    said += [_idle(trial, net), _step(trial, net), _outcome(trial)]
    return " ".join(filter(None, said))


def _idle(trial: Trial, net: NN) -> str:
    """Dead or saturated units of the hidden layers, before and after."""
    if not net.n_hidden:
        return ""
    before, after = trial.before, trial.after
    lost = not math.isfinite(sum(after.stuck))
    then = "and after it the weights are not finite" if lost else f"{listed(after.stuck, _share)} after it"
    said = f"{_kind(net).capitalize()} units, layer by layer: {listed(before.stuck, _share)} before training, {then}."
    if net.nonlinearity in BOUNDED:
        said += (
            f" Picture by picture, |f'| is at most {FLAT:g} in {listed(before.flat, _share)} of all cases before it."
        )
    return said


def _kind(net: NN) -> str:
    return "saturated" if net.nonlinearity in BOUNDED else "dead"


def _step(trial: Trial, net: NN) -> str:
    """The size of the first step, and what it bodes."""
    bodes = ", too far for the slope to be a guide" if max(trial.first_step) > 0.5 else ""
    return (
        f"With the learning rate {net.lr:g}, the first step is {listed(trial.first_step)} times as long as the "
        f"weights, layer by layer{bodes}."
    )


def _outcome(trial: Trial) -> str:
    """How the training went."""
    last = trial.epochs[-1]
    a, b = trial.epochs[0]["train/loss"], last["train/loss"]
    if trial.diverged is not None:
        return f"The loss is {_loss(a)} before training, and is not finite from epoch {trial.diverged} on."
    verb = "falls" if b < a * (1 - NEAR) else "rises" if b > a * (1 + NEAR) else "hardly changes:"
    way = f" ({_loss(trial.epochs[1]['train/loss'])} after epoch 1)" if len(trial.epochs) > 2 else ""
    return (
        f"The loss {verb} from {_loss(a)}{way} to {_loss(b)}. At the end the training error is "
        f"{percent(last['train/error'])}, the validation error {percent(last['val/error'])}."
    )


def _layers(trials: Sequence[Trial], net: NN) -> str:
    """The table of what was measured in each layer."""
    unit = "on average over" if net.nonlinearity in BOUNDED else "for each of"
    about = (
        "Before training → after it, over all units of a layer and all training pictures. z: pre-activations; delta: "
        f"the derivative of one picture's loss by z; flat: |f'(z)| is at most {FLAT:g}. A unit is {_kind(net)} if it "
        f"is flat {unit} the training pictures."
    )
    rows = [["initialization", "layer", "std of z", "std of delta", "rms of f'", "flat f'", f"{_kind(net)} units"]]
    for trial in trials:
        for k in range(net.n_hidden + 1):
            cells = [_cell(trial, name, k, number) for name in ("z", "delta", "slope")]
            cells += [_cell(trial, name, k, _share) for name in ("flat", "stuck")]
            rows.append([NAMES[trial.name], f"{k + 1}" + (" (logits)" if k == net.n_hidden else ""), *cells])
    return f"{about}\n\n{table(rows)}"


def _cell(trial: Trial, name: str, layer: int, words: Callable[[float], str]) -> str:
    """Before → after; nothing for a layer that has no such measure."""
    before, after = getattr(trial.before, name), getattr(trial.after, name)
    return f"{words(before[layer])} → {words(after[layer])}" if layer < len(before) else ""
