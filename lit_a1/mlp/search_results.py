"""What `mlp search` found: its trials as a table, a figure and words."""

import inspect
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lit_a1.confidence import wilson
from lit_a1.mlp.network import NN
from lit_a1.mlp.search_space import SETTINGS, Span, space_of
from lit_a1.mlp.setup import Digits, Setup
from lit_a1.runs import clock

PASSED = 0.97  # validation accuracy
SHOWN = 5  # trials in the table of the best


@dataclass(frozen=True)
class Tried:
    """A trial that is over."""

    number: int
    state: str
    """complete, pruned (stopped early) or failed (its process was)."""
    settings: Mapping[str, Any]
    words: str
    architecture: str
    parameters: int
    errors: Sequence[float]
    """Share of wrong validation pictures after each epoch; NaN where the loss was not finite."""
    seconds: float
    start: bool
    """Whether it is the first one, of the setup's own network."""

    @property
    def error(self) -> float:
        """The smallest of the errors; infinite where there is none."""
        return min((error for error in self.errors if math.isfinite(error)), default=math.inf)

    @property
    def diverged(self) -> bool:
        """Whether its loss was not finite in the end."""
        return any(map(math.isnan, self.errors))

    @property
    def best_epoch(self) -> int:
        """That of the smallest error, from 1 on."""
        return self.errors.index(self.error) + 1

    def row(self) -> list[str]:
        """The trial in `trials.csv`."""
        measured = math.isfinite(self.error)
        last = f"{1 - self.errors[-1]:.5f}" if measured and not self.diverged else ""
        figures = [f"{1 - self.error:.5f}", str(self.best_epoch)] if measured else ["", ""]
        about = [str(len(self.errors)), f"{self.seconds:.1f}", str(self.parameters), self.architecture]
        state = [str(self.number), self.state, "yes" if self.diverged else "no"]
        return [*state, *figures, last, *about, *(str(self.settings.get(name, "")) for name in SETTINGS)]

    def line(self) -> str:
        """The trial in the terminal."""
        found = f"accuracy {1 - self.error:7.2%} in epoch {self.best_epoch:2}" if math.isfinite(self.error) else ""
        state = "diverged" if self.diverged else self.state
        epochs = f"{len(self.errors):2} epochs in {clock(self.seconds)}"
        return f"trial {self.number:2}  {state:8}  {found:28}  {epochs}  {self.words}"


HEADER = (
    *("trial", "state", "diverged", "val_accuracy_best", "best_epoch", "val_accuracy_last", "epochs", "seconds"),
    *("parameters", "architecture", *SETTINGS),
)


def best_of(tried: Sequence[Tried]) -> Tried | None:
    """The complete trial with the smallest error, the first of equals."""
    complete = [trial for trial in tried if trial.state == "complete"]
    return min(complete, key=lambda trial: trial.error, default=None)


def conclude(
    tried: Sequence[Tried], setup: Setup, digits: Digits, net: NN, importances: Mapping[str, float] | None
) -> tuple[str, dict[str, Any]]:
    """What a search found, in words that follow from its numbers.

    Args:
        tried: its trials.
        setup: that they share.
        digits: that they learnt from.
        net: the setup's own.
        importances: of the hyper-parameters, adding up to 1; empty where none sets the best trials apart, None where
            there are too few trials for them.

    Returns:
        The text, in Markdown, and the best trial for the record (empty where there is none).
    """
    pictures, best = len(digits.valid.labels), best_of(tried)
    parts = [
        "# Hyper-parameter search",
        f"Trials: {len(tried)}, of up to {setup.epochs} epoch{'s' * (setup.epochs > 1)}, on {digits.name}"
        f"{' (NOT MNIST)' if digits.drawn else ''}: {len(digits.train.labels):,} pictures to learn from, {pictures:,} "
        f"to choose by; the test pictures were not used. Seed {setup.seed}.",
        _states(tried, setup.epochs),
    ]
    if best is None:
        parts.append("No trial ran to its end: there is no best one.")
        return "\n\n".join(parts) + "\n", {}
    low, high = wilson(best.error, pictures)
    parts.append(
        f"The best is trial {best.number}: validation accuracy {1 - best.error:.2%} in epoch {best.best_epoch} of "
        f"{setup.epochs} ({round(best.error * pictures)} of {pictures:,} wrong; 95% interval {1 - high:.2%} to "
        f"{1 - low:.2%}, Wilson): {best.words}."
    )
    parts += [
        _gain(tried, best, net, pictures),
        _noise(tried, best, pictures),
        _table(tried),
        _importances(tried, importances),
    ]
    command = command_of(best, setup)
    parts.append(f"To train the best one:\n\n    {command}")
    parts.append("Searched: " + "; ".join(_range(name, span) for name, span in space_of(setup).items()) + ".")
    found = {"trial": best.number, "val/error": best.error, "epoch": best.best_epoch, "setup": best.words}
    return "\n\n".join(part for part in parts if part) + "\n", found | {"command": command}


def _states(tried: Sequence[Tried], epochs: int) -> str:
    counts = count_states(tried)
    stopped = [trial for trial in tried if trial.state == "pruned"]
    text = f"Run to the end: {counts['complete']}; stopped early: {len(stopped)}"
    if diverged := sum(trial.diverged for trial in stopped):
        text += f" ({diverged} because the loss was no longer finite)"
    if counts["failed"]:
        text += f"; ended with their process: {counts['failed']}"
    if stopped:
        wanted = epochs * (len(stopped) + counts["complete"])
        saved = sum(epochs - len(trial.errors) for trial in stopped)
        text += f". Stopping early saved {saved} of {wanted} epochs ({saved / wanted:.0%})"
    passed = sum(1 - trial.error >= PASSED for trial in tried)
    return f"{text}. A validation accuracy of {PASSED:.0%} or more was reached by {passed} of {len(tried)}."


def count_states(tried: Sequence[Tried]) -> dict[str, int]:
    """How many trials are in which state."""
    return {state: sum(trial.state == state for trial in tried) for state in ("complete", "pruned", "failed")}


def _overlap(best: Tried, other: Tried, pictures: int) -> bool:
    """Whether the 95% interval of the best accuracy and that of another have a part in common."""
    return wilson(other.error, pictures)[0] <= wilson(best.error, pictures)[1]


def _gain(tried: Sequence[Tried], best: Tried, net: NN, pictures: int) -> str:
    """The best trial against the setup's own network."""
    start = next((trial for trial in reversed(tried) if trial.start), None)
    if start is None:
        return ""
    same = start.architecture == net.architecture
    same = same and all(getattr(net, name) == start.settings.get(name) for name in SETTINGS)
    name = "the command's own network" + ("" if same else " as nearly as the ranges allow")
    if start is best:
        return f"It is {name}: the search has gained nothing."
    if start.state != "complete":
        return f"Trial {start.number}, {name}, did not run to its end."
    fewer = round((start.error - best.error) * pictures)
    verdict = "overlap: the gain may be noise" if _overlap(best, start, pictures) else "do not overlap: that is a gain"
    return (
        f"Trial {start.number}, {name}, reached {1 - start.error:.2%}: the best makes {fewer} errors fewer. Their 95% "
        f"intervals {verdict}."
    )


def _noise(tried: Sequence[Tried], best: Tried, pictures: int) -> str:
    """The best trial against all others."""
    others = [trial for trial in tried if trial.state == "complete" and trial is not best]
    if not others:
        return ""
    second = best_of(others)
    assert second is not None
    close = sum(_overlap(best, trial, pictures) for trial in others)
    text = (
        f"The second best, trial {second.number}, makes {round((second.error - best.error) * pictures)} errors more. "
    )
    if close:
        text += (
            f"The intervals of {close} of the {len(others)} other complete trials overlap with that of the best: "
            f"{pictures:,} pictures don't tell these apart. "
        )
    else:
        text += "Its interval and those of all others lie apart from that of the best. "
    return text + f"The best of {len(tried)} was partly lucky on these pictures: expect a little less of it on others."


def _table(tried: Sequence[Tried]) -> str:
    complete = sorted((trial for trial in tried if trial.state == "complete"), key=lambda trial: trial.error)
    rows = ["| trial | accuracy | last epoch | time | network |", "| --- | --- | --- | --- | --- |"]
    for trial in complete[:SHOWN]:
        accuracies = f"{1 - trial.error:.2%} | {1 - trial.errors[-1]:.2%}"
        rows.append(f"| {trial.number} | {accuracies} | {clock(trial.seconds)} | {trial.words} |")
    return "\n".join(rows)


def _importances(tried: Sequence[Tried], importances: Mapping[str, float] | None) -> str:
    complete = count_states(tried)["complete"]
    if importances == {}:
        return f"No hyper-parameter sets the best quarter of the {complete} complete trials apart from the rest."
    if importances is None:
        return f"What matters most is not computed: {complete} complete trials are too few."
    largest = sorted(importances.items(), key=lambda item: -item[1])[:SHOWN]
    return (
        f"What sets the best quarter of the {complete} complete trials apart from the rest (PED-ANOVA; Watanabe et "
        f"al., 2023), as shares of all: {', '.join(f'{name} {share:.0%}' for name, share in largest)}. From so few "
        "trials this is a hint where to look next, not a measurement; those stopped early are not in it."
    )


def _range(name: str, span: Span | tuple[str, ...]) -> str:
    return f"{name} {span}" if isinstance(span, Span) else f"{name} {', '.join(span)}"


def command_of(trial: Tried, setup: Setup) -> str:
    """What to type to train a trial's network."""
    usual = {name: parameter.default for name, parameter in inspect.signature(NN).parameters.items()}
    shared = {
        name: value
        for name, value in setup.model.items()
        if name not in trial.settings and not np.array_equal(value, usual[name])
    }
    words = ["python", "main.py", "mlp", "fit"]
    for name, value in {**trial.settings, **shared}.items():
        if name != "n_hidden":
            words += [f"--model.{name}", value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))]
    words += ["--seed_everything", str(setup.seed), "--trainer.max_epochs", str(setup.epochs)]
    return shlex.join(words + (["--data.source", setup.source] if setup.source != "auto" else []))
