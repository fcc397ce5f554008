"""What `mlp search` found: its trials as a table, a figure and words."""

import inspect
import json
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lit_a1.figures import COLOURS, figure
from lit_a1.mlp.network import NN
from lit_a1.mlp.search_space import SETTINGS, Space
from lit_a1.mlp.setup import Digits, Setup
from lit_a1.runs import clock

PASSED = 0.97  # validation accuracy
SHOWN = 5  # trials in the table of the best
Z = 1.96  # of a 95 % interval


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


HEADER = ("trial", "state", "diverged", "val_accuracy_best", "best_epoch", "val_accuracy_last", "epochs", "seconds")
HEADER += ("parameters", "architecture", *SETTINGS)


def wilson(errors: int, count: int) -> tuple[float, float]:
    """95 % interval of an error rate, `errors` of `count` pictures (Wilson, 1927)."""
    centre, spread = (errors + Z**2 / 2), Z * math.sqrt(errors * (count - errors) / count + Z**2 / 4)
    return (centre - spread) / (count + Z**2), (centre + spread) / (count + Z**2)


# the figure

LEVELS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9))


def draw(path: Path, tried: Sequence[Tried], digits: Digits, title: str) -> None:
    """Draws the smallest validation error of each trial against each hyper-parameter, in panels."""
    count = len(digits.valid.labels)
    measured = [trial for trial in tried if math.isfinite(trial.error)]
    complete = [trial for trial in measured if trial.state == "complete"]
    groups = [
        ("stopped early", [trial for trial in measured if trial.state != "complete"], {"color": "#999999", "alpha": 0.45}),
        ("complete", [trial for trial in complete if not trial.start], {"color": COLOURS[0], "alpha": 0.85}),
        ("the command's own", [trial for trial in complete if trial.start], {"color": COLOURS[4], "marker": "s"}),
    ]
    best = best_of(complete)
    ...
