"""The search space: ranges of numbers and lists of choices, from a YAML in configs/spaces/."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from lit_a1.runs.settings import UsageError

KEYS = {"low": float, "high": float, "log": bool, "step": float, "none_below": float}


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, sampled uniformly or, with `log`, log-uniformly; below `none_below` they mean 0."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    none_below: float = 0.0
    whole: bool = False  # whether the numbers are integers

    @property
    def distribution(self) -> BaseDistribution:
        """The distribution for Optuna."""
        if self.whole:
            return IntDistribution(int(self.low), int(self.high), self.log, int(self.step or 1))
        return FloatDistribution(self.low, self.high, self.log, self.step)

    def nearest(self, value: float) -> float:
        """The possible sample nearest to a value."""
        value = min(max(value, self.low), self.high)
        if self.step is not None:
            value = self.low + round((value - self.low) / self.step) * self.step
        return min(round(value) if self.whole else value, self.high)

    def meaning(self, sampled: float) -> float:
        """The value that a sample means: rounded to three digits unless there are steps or integers; or 0."""
        if self.whole:
            value: float = round(sampled)
        elif self.step is not None:
            value = float(f"{sampled:.10g}")  # 0.8 + 3 * 0.05 is 0.9500000000000001
        else:
            digits = 2 - math.floor(math.log10(self.high - self.low))
            value = float(f"{sampled:.3g}") if self.log else round(sampled, digits)
            value = min(max(value, self.low), self.high)
        return type(value)(0) if self.none_below and value < self.none_below else value


Space = Mapping[str, Range | Sequence[Any]]  # hyperparameters by name: a range, or the values to choose from


def values_text(values: Range | Sequence[Any]) -> str:
    """A range or choices in words; different ones have different words, as a study is resumed with the same only."""
    if not isinstance(values, Range):
        return ", ".join(map(str, values))
    low, high, step, none_below = (
        f"{number or 0:,}".removesuffix(".0") for number in (values.low, values.high, values.step, values.none_below)
    )
    words = f"{low} to {high}{' (logarithmic)' if values.log else ''}"
    words += f", in steps of {step}" if values.step else ""
    words += ", whole" if values.whole else ""
    return words + (f" (below {none_below} means 0)" if values.none_below else "")


def distributions(space: Space, to_text: Callable[[Any], str] = str) -> dict[str, Any]:
    """The distributions for Optuna; `to_text` turns a choice into a string, as Optuna does not support lists."""
    return {
        name: values.distribution if isinstance(values, Range) else CategoricalDistribution(list(map(to_text, values)))
        for name, values in space.items()
    }


def nearest_sample(own: Mapping[str, Any], space: Space, to_text: Callable[[Any], str] = str) -> dict[str, Any]:
    """The sample nearest to a command's own settings; among choices that are not numbers, the same or the first."""
    sample: dict[str, Any] = {}
    for name, values in space.items():
        value = own[name]
        if isinstance(values, Range):
            sample[name] = values.nearest(value)
        elif value in values:
            sample[name] = to_text(values[values.index(value)])  # 0 if the command has 0.0
        elif all(isinstance(number, int | float) for number in (value, *values)):
            sample[name] = to_text(min(values, key=lambda number: abs(number - value)))
        else:
            sample[name] = to_text(values[0])
    return sample


def read_space(path: Path) -> dict[str, Range | list[Any]]:
    """The ranges and choices of a YAML, by hyperparameter; raises a UsageError if it holds anything else."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict) or not found:
        raise UsageError(f"{path} must hold lines such as `model.norm: [batch, group]`")
    return {str(name): _read(f"{name} in {path}", values) for name, values in found.items()}


def _read(name: str, values: Any) -> Range | list[Any]:
    if isinstance(values, list):
        if len(values) < 2 or any(values.count(value) > 1 for value in values):
            raise UsageError(f"{name} must have two different values or more; got {values}")
        if any(isinstance(value, dict) for value in values):
            raise UsageError(f"{name} must have numbers, words or lists to choose from; got {values}")
        return values
    if not isinstance(values, dict) or not {"low", "high"} <= values.keys() <= KEYS.keys():
        raise UsageError(f"{name} must be a list of values, or have low and high, and may have log, step, none_below")
    for key, value in values.items():
        if isinstance(value, bool) != (KEYS[key] is bool) or not isinstance(value, bool | int | float):
            expected = "true or false" if KEYS[key] is bool else "a number (0.00001, or 1.0e-5)"
            raise UsageError(f"{key} of {name} must be {expected}; got {value!r}")
    whole = all(isinstance(values.get(key, 0), int) for key in ("low", "high", "step"))
    found = Range(**values, whole=whole)
    if not -math.inf < found.low < found.high < math.inf or (found.log and found.low <= 0):
        raise UsageError(f"{name} must go up from low to high, with log from above 0; got {found.low} to {found.high}")
    if found.step is not None and (found.log or found.step <= 0):
        raise UsageError(f"step of {name} must be above 0, and there is none with log; got {found.step}")
    if found.step is not None and not math.isclose(steps := (found.high - found.low) / found.step, round(steps)):
        raise UsageError(f"step of {name} must lead from low to high in whole steps; got {steps:g} of them")
    if found.none_below and not 0 < found.none_below < found.high:
        raise UsageError(f"none_below of {name} must lie between 0 and high; got {found.none_below}")
    return found
