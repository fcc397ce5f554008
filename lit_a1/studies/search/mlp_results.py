"""What `mlp search` found: its trials as a table, a figure and words."""

import inspect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lit_a1.environment import PROGRAM
from lit_a1.mlp.network import NN
from lit_a1.mlp.setup import Digits, Setup
from lit_a1.runs.folders import clock
from lit_a1.runs.wording import typed
from lit_a1.studies.search.mlp_space import SETTINGS, space_of
from lit_a1.studies.search.span import in_words
from lit_a1.studies.search.trial import Trial, best_of, gain, importance, interval, noise, ranked, states

PASSED = 0.97  # validation accuracy


@dataclass(frozen=True)
class Tried(Trial):
    """A trial of the numpy network, measured after every epoch."""

    architecture: str = ""

    @property
    def error(self) -> float:
        """The smallest of the errors; infinite where there is none."""
        return min((error for error in self.errors if math.isfinite(error)), default=math.inf)

    @property
    def best_epoch(self) -> int:
        """That of the smallest error, from 1 on."""
        return self.errors.index(self.error) + 1

    def row(self) -> list[str]:
        """The trial in `trials.csv`."""
        measured = math.isfinite(self.error)
        last = f"{1 - self.errors[-1]:.5f}" if measured and not self.diverged else ""
        figures = [f"{1 - self.error:.5f}", str(self.best_epoch)] if measured else ["", ""]
        about = [str(self.epochs), f"{self.seconds:.1f}", str(self.parameters), self.architecture]
        state = [str(self.number), self.state, "yes" if self.diverged else "no"]
        return [*state, *figures, last, *about, *(str(self.settings.get(name, "")) for name in SETTINGS)]

    def found(self) -> str:
        """Its accuracy for the terminal; empty where there is none."""
        return f"{super().found()} in epoch {self.best_epoch:2}" if math.isfinite(self.error) else ""


HEADER = (
    *("trial", "state", "diverged", "val_accuracy_best", "best_epoch", "val_accuracy_last", "epochs", "seconds"),
    *("parameters", "architecture", *SETTINGS),
)


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
        f"{states(tried, setup.epochs)} A validation accuracy of {PASSED:.0%} or more was reached by "
        f"{sum(1 - trial.error >= PASSED for trial in tried)} of {len(tried)}.",
    ]
    if best is None:
        parts.append("No trial ran to its end: there is no best one.")
        return "\n\n".join(parts) + "\n", {}
    parts.append(
        f"The best is trial {best.number}: validation accuracy {1 - best.error:.2%} in epoch {best.best_epoch} of "
        f"{setup.epochs} ({interval(best.error, pictures)}): {best.words}."
    )
    parts += [
        gain(tried, best, pictures, _own(tried, net)),
        noise(tried, best, pictures),
        _table(tried),
        importance(tried, importances),
    ]
    command = command_of(best, setup)
    parts.append(f"To train the best one:\n\n    {command}")
    parts.append(f"Searched: {in_words(space_of(setup))}.")
    found = {"trial": best.number, "val/error": best.error, "epoch": best.best_epoch, "setup": best.words}
    return "\n\n".join(part for part in parts if part) + "\n", found | {"command": command}


def _own(tried: Sequence[Tried], net: NN) -> str:
    """What the network is called that the search was started from."""
    start = next((trial for trial in reversed(tried) if trial.start), None)
    name = "the command's own network"
    if start is None:
        return name
    same = all(getattr(net, key) == start.settings.get(key) for key in SETTINGS)
    return name if same and start.architecture == net.architecture else f"{name} as nearly as the ranges allow"


def _table(tried: Sequence[Tried]) -> str:
    rows = ["| trial | accuracy | last epoch | time | network |", "| --- | --- | --- | --- | --- |"]
    for trial in ranked(tried):
        accuracies = f"{1 - trial.error:.2%} | {1 - trial.errors[-1]:.2%}"
        rows.append(f"| {trial.number} | {accuracies} | {clock(trial.seconds)} | {trial.words} |")
    return "\n".join(rows)


def command_of(trial: Tried, setup: Setup) -> str:
    """What to type to train a trial's network."""
    usual = {name: parameter.default for name, parameter in inspect.signature(NN).parameters.items()}
    shared = {
        name: value
        for name, value in setup.model.items()
        if name not in trial.settings and not np.array_equal(value, usual[name])
    }
    words = [*PROGRAM.split(), "mlp", "fit"]
    for name, value in {**trial.settings, **shared}.items():
        if name != "n_hidden":
            words += [f"--model.{name}", value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))]
    words += ["--seed_everything", str(setup.seed), "--trainer.max_epochs", str(setup.epochs)]
    return typed(*words, *(["--data.source", setup.source] if setup.source != "auto" else []))
