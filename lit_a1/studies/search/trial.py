"""Trials of a search, and what they say: words that follow from their numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lit_a1.runs.confidence import wilson
from lit_a1.runs.folders import clock
from lit_a1.runs.wording import counted

SHOWN = 5  # trials in the table of the best, and hyper-parameters in the list of what matters


@dataclass(frozen=True)
class Trial:
    """A trial that is over."""

    number: int
    state: str
    """complete, pruned (stopped early) or failed (its process was)."""
    settings: Mapping[str, Any]
    words: str
    parameters: int
    errors: Sequence[float]
    """Share of wrong validation pictures, each time it was measured; NaN where the loss was not finite."""
    seconds: float
    start: bool
    """Whether it is of the values that the search was started from."""

    @property
    def error(self) -> float:
        """What trials are compared by; infinite where there is none."""
        raise NotImplementedError

    @property
    def diverged(self) -> bool:
        """Whether its loss was not finite in the end."""
        return any(map(math.isnan, self.errors))

    @property
    def epochs(self) -> int:
        """How many it was trained for, as far as it was measured."""
        return len(self.errors)

    def found(self) -> str:
        """Its accuracy for the terminal; empty where there is none."""
        return f"accuracy {1 - self.error:7.2%}" if math.isfinite(self.error) else ""

    def line(self) -> str:
        """The trial in the terminal."""
        state = "diverged" if self.diverged else self.state
        epochs = f"{self.epochs:2} epochs in {clock(self.seconds)}"
        return f"trial {self.number:2}  {state:8}  {self.found():28}  {epochs}  {self.words}"


T = TypeVar("T", bound=Trial)


def best_of(tried: Sequence[T]) -> T | None:
    """The complete trial with the smallest error, the first of equals."""
    complete = [trial for trial in tried if trial.state == "complete"]
    return min(complete, key=lambda trial: trial.error, default=None)


def count_states(tried: Sequence[Trial]) -> dict[str, int]:
    """How many trials are in which state."""
    return {state: sum(trial.state == state for trial in tried) for state in ("complete", "pruned", "failed")}


def states(tried: Sequence[Trial], epochs: int) -> str:
    """How many trials ran to their end, and what stopping the others early saved of `epochs` each."""
    counts = count_states(tried)
    stopped = [trial for trial in tried if trial.state == "pruned"]
    text = f"Run to the end: {counts['complete']}; stopped early: {len(stopped)}"
    if diverged := sum(trial.diverged for trial in stopped):
        text += f" ({diverged} because the loss was no longer finite)"
    if counts["failed"]:
        text += f"; ended with their process: {counts['failed']}"
    if stopped:
        wanted = epochs * (len(stopped) + counts["complete"])
        saved = sum(epochs - trial.epochs for trial in stopped)
        text += f". Stopping early saved {saved} of {wanted} epochs ({saved / wanted:.0%})"
    return f"{text}."


def interval(error: float, pictures: int) -> str:
    """An accuracy's mistakes and 95 % interval, for brackets."""
    low, high = wilson(error, pictures)
    return f"{round(error * pictures)} of {pictures:,} wrong; 95% interval {1 - high:.2%} to {1 - low:.2%}, Wilson"


def _overlap(best: Trial, other: Trial, pictures: int) -> bool:
    """Whether the 95% interval of the best accuracy and that of another have a part in common."""
    return wilson(other.error, pictures)[0] <= wilson(best.error, pictures)[1]


def gain(tried: Sequence[Trial], best: Trial, pictures: int, name: str) -> str:
    """The best trial against the newest of the values that the search was started from; `name` says whose they are."""
    start = next((trial for trial in reversed(tried) if trial.start), None)
    if start is None:
        return ""
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


def noise(tried: Sequence[Trial], best: Trial, pictures: int) -> str:
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


def importance(tried: Sequence[Trial], importances: Mapping[str, float] | None) -> str:
    """What matters most.

    Args:
        tried: the trials.
        importances: of the hyper-parameters, adding up to 1; empty where none sets the best trials apart, None where
            there are too few trials for them.
    """
    complete = count_states(tried)["complete"]
    if importances == {}:
        return f"No hyper-parameter sets the best quarter of the {complete} complete trials apart from the rest."
    if importances is None:
        words = f"{counted(complete, 'complete trial')} {'is' if complete == 1 else 'are'} too few"
        return f"What matters most is not computed: {words}."
    largest = sorted(importances.items(), key=lambda item: -item[1])[:SHOWN]
    return (
        f"What sets the best quarter of the {complete} complete trials apart from the rest (PED-ANOVA; Watanabe et "
        f"al., 2023), as shares of all: {', '.join(f'{name} {share:.0%}' for name, share in largest)}. From so few "
        "trials this is a hint where to look next, not a measurement; those stopped early are not in it."
    )


def ranked(tried: Sequence[T]) -> list[T]:
    """The best complete trials, the best first."""
    complete = [trial for trial in tried if trial.state == "complete"]
    return sorted(complete, key=lambda trial: trial.error)[:SHOWN]
