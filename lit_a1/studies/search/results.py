"""What a search found: its trials as a table and in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lit_a1.runs.folders import clock
from lit_a1.runs.wording import counted, table
from lit_a1.studies.search.setup import Setup, in_full, short
from lit_a1.studies.search.span import Space
from lit_a1.studies.search.trial import Trial, best_of, gain, importance, interval, noise, ranked, states

HEADER = (
    *("trial", "state", "diverged", "val_accuracy_last", "val_accuracy_best", "epochs", "seconds", "parameters"),
    "machine",
)


@dataclass(frozen=True)
class Tried(Trial):
    """A trial of a CNN."""

    steps: Sequence[int] = ()
    """The epochs, from 1 on, after which it was measured."""
    machine: str = ""
    own: Mapping[str, Any] | None = None
    """Of the first one: what the command was set to."""
    refused: str = ""
    """Why its settings can't be used together; empty if they can."""

    @property
    def error(self) -> float:
        """The last one, which no validation chose; infinite where there is none, or the loss is not finite."""
        return self.errors[-1] if self.errors and not self.diverged else math.inf

    @property
    def epochs(self) -> int:
        """How many it was trained for, as far as it was measured."""
        return self.steps[-1] if self.steps else 0

    def found(self) -> str:
        """Its accuracy for the terminal, or why it has none."""
        return self.refused or super().found()

    def row(self, space: Space) -> list[str]:
        """The trial in `trials.csv`."""
        measured = [f"{1 - error:.5f}" for error in (self.errors[-1], min(self.errors))] if self.measured else ["", ""]
        about = [str(self.epochs), f"{self.seconds:.1f}", str(self.parameters), self.machine]
        values = [str(self.settings.get(name, "")) for name in space]
        return [str(self.number), self.state, "yes" if self.diverged else "no", *measured, *about, *values]

    @property
    def measured(self) -> bool:
        """Whether it has an error."""
        return math.isfinite(self.error)


def conclude(
    tried: Sequence[Tried], setup: Setup, pictures: int, importances: Mapping[str, float] | None
) -> tuple[str, dict[str, Any]]:
    """What a search found, in words that follow from its numbers.

    Args:
        tried: its trials.
        setup: of the search.
        pictures: that trials were measured on.
        importances: as `importance` takes them.

    Returns:
        The text, in Markdown, and the best trial for the record (empty where there is none).
    """
    best = best_of(tried)
    parts = [
        "# Hyper-parameter search",
        f"{setup.words}, {counted(pictures, 'picture')} to choose by; the test pictures were not used. Trials: "
        f"{len(tried)}, of up to {counted(setup.epochs, 'epoch')} each.",
        states(tried, setup.epochs),
        *(f"Trial {trial.number} ({trial.words}) was refused: {trial.refused}." for trial in tried if trial.refused),
    ]
    if best is None:
        parts.append("No trial ran to its end: there is no best one.")
        return "\n\n".join(parts) + "\n", {}
    start = next((trial for trial in reversed(tried) if trial.start), None)
    same = start is None or start.settings == start.own
    command = setup.command_of(best.settings)
    parts += [
        f"The best is trial {best.number}: validation accuracy {1 - best.error:.2%} after its last epoch "
        f"({interval(best.error, pictures)}): {best.words}.",
        gain(tried, best, pictures, "the command's own settings" + ("" if same else ", as far as the space has them")),
        noise(tried, best, pictures),
        _table(tried),
        importance(tried, importances and {short(name): share for name, share in importances.items()}),
        f"To train the best one:\n\n    {command}",
        "Searched: " + "; ".join(f"{short(name)} {in_full(span)}" for name, span in setup.space.items()) + ".",
    ]
    found = {"trial": best.number, "val/error": best.error, "settings": dict(best.settings), "command": command}
    return "\n\n".join(part for part in parts if part) + "\n", found


def _table(tried: Sequence[Tried]) -> str:
    rows = [["settings", "trial", "accuracy", "parameters", "time"]]
    for trial in ranked(tried):
        figures = [f"{1 - trial.error:.2%}", f"{trial.parameters:,}", clock(trial.seconds)]
        rows.append([trial.words, str(trial.number), *figures])
    return table(rows)
