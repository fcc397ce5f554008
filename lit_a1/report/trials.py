"""The runs of docs/runs.csv compared like for like: themes, bases, the noise, verdicts.

A setting is all runs of one version of a recipe with the same changes and the same length; of runs with the same seed
the newest counts. It is compared with its base, the setting that differs from it in nothing but the idea.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from pathlib import Path
from statistics import mean, variance
from typing import NamedTuple

import scipy

from lit_a1.report.recipes import MACHINE, Row, option_of, parse_changes
from lit_a1.runs.statistics import ALPHA, holm

TRIAL = "catsdogs_trial"
ENSEMBLE = "catsdogs_ensemble"
RECIPES = ("catsdogs", "catsdogs_muon", "catsdogs_long", "catsdogs_tuned", "catsdogs_gpu", "catsdogs_best")
CONFIGS = (TRIAL, *RECIPES, ENSEMBLE)
FREEDOM = 4  # degrees of freedom from which on the noise between seeds is known well enough
WIDEST = 40  # letters of a value, before its middle is left out
LENGTH = "max_epochs"


class Theme(NamedTuple):
    """What a section is about."""

    title: str
    options: frozenset[str]  # one of which at least is changed
    also: frozenset[str] = frozenset()  # that may have to change with them


def _themes() -> list[Theme]:
    with Path(__file__).with_name("themes.csv").open(newline="", encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    return [Theme(title, frozenset(options.split()), frozenset(also.split())) for title, options, also in rows]


PRECISION = Theme("Precision and compilation", frozenset(MACHINE))
THEMES = [*_themes(), PRECISION]  # the first that fits has the setting; one that none fits is of several themes
SEVERAL, OTHER = Theme("Several at once", frozenset()), Theme("Other", frozenset())
TITLES = list(dict.fromkeys(theme.title for theme in (*THEMES[:-1], SEVERAL, OTHER, PRECISION)))  # in order


@dataclass(frozen=True, eq=False)
class RunGroup:
    """The newest run of each seed, and how all of them differ from their recipe."""

    runs: Sequence[Row]
    changes: Mapping[str, str]

    @property
    def recipe(self) -> tuple[str, str, int]:
        """Config, fingerprint, validation images: what is only compared where it is the same."""
        return self.runs[0]["config"], self.runs[0]["recipe"], int(self.runs[0]["val_images"])

    @property
    def measured(self) -> tuple[str, int]:
        """Config and validation images: where the noise is the same."""
        return self.recipe[0], self.recipe[2]

    @property
    def epochs(self) -> int:
        """How long each run took."""
        return int(self.runs[0]["epochs"])

    @property
    def options(self) -> frozenset[str]:
        """What is changed: `flip` for `augment.flip`."""
        return frozenset(map(option_of, self.changes))

    @property
    def changed_options(self) -> frozenset[str]:
        """Likewise, but for the length and what a machine decides."""
        return self.options - {LENGTH} - MACHINE

    @property
    def errors(self) -> list[float]:
        """Finite errors of the last epoch."""
        found = [float(run["last_val_error"] or "nan") for run in self.runs]
        return [error for error in found if isfinite(error)]

    @property
    def failure(self) -> str:
        """Why there is no mean over all runs; empty where there is one."""
        count, lost = len(self.runs), len(self.runs) - len(self.errors)
        if not lost:
            return ""
        missing = any(run["best_val_error"] not in ("", "nan") and not run["last_val_error"] for run in self.runs)
        word = "not measured" if missing else "diverged"
        return word if lost == count else f"partly {word} ({lost} of {count})"

    @property
    def theme(self) -> Theme:
        """The first that has one changed option at least, and allows for all others."""
        options = self.changed_options or self.options
        touched = [theme for theme in THEMES if options & theme.options]
        fitting = (theme for theme in touched if options <= theme.options | theme.also)
        return next(fitting, SEVERAL if touched else OTHER)


class Noise(NamedTuple):
    """How much the errors of runs that differ in their seeds alone differ."""

    deviation: float  # standard deviation of one run's error
    freedom: float  # degrees of freedom that it is known with

    @property
    def known(self) -> bool:
        """Whether it can be reckoned with."""
        return self.freedom >= FREEDOM and self.deviation > 0


class Compared(NamedTuple):
    """A setting against its base."""

    setting: RunGroup
    base: RunGroup | None
    difference: float = 0.0  # share of errors, minus the base's
    p: float | None = None  # None where nothing can be compared
    holds: bool = False  # after Holm's correction too

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.setting.failure:
            return self.setting.failure
        if self.p is None:
            return "no base"
        if self.p >= ALPHA:
            return "inside the noise"
        return "better" if self.difference < 0 else "worse"


def short(changes: Mapping[str, str]) -> str:
    """Changes for a narrow column: `blocks=[2,2]`, `size_schedule={0:32,8:48}`."""
    parts: dict[str, dict[str, str]] = defaultdict(dict)
    for name, value in changes.items():
        value = value.replace(", ", ",")
        value = value if len(value) <= WIDEST else f"{value[: WIDEST // 2]}…{value[-WIDEST // 2 :]}"
        parts[option_of(name)][name.removeprefix("augment.").partition(".")[2]] = value
    words = []
    for option, values in parts.items():
        inner = ",".join(f"{key}:{values[key]}" for key in sorted(values, key=lambda key: (len(key), key)))
        words.append(f"`{option}={values.get('', f'{{{inner}}}')}`")
    return ", ".join(words) or "as it is"


def settings_of(rows: Sequence[Row]) -> list[RunGroup]:
    """All settings of rows that come oldest first, in that order."""
    groups: dict[tuple[str, ...], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        key = tuple(row[name] for name in ("config", "recipe", "val_images", "epochs", "changes"))
        groups[key][row["seed"]] = row
    return [RunGroup(list(runs.values()), parse_changes(key[-1])) for key, runs in groups.items()]


def base_of(setting: RunGroup, settings: Sequence[RunGroup]) -> RunGroup | None:
    """The same recipe without the idea; the same length, too, unless that is the idea. None without such runs."""
    same = [each for each in settings if each.recipe == setting.recipe]
    same = [each for each in same if not each.changed_options and not each.failure]
    candidates = [each for each in same if each.options <= {LENGTH}]
    if setting.changed_options:
        switches = {name: value for name, value in setting.changes.items() if name in MACHINE}
        alike = [each for each in same if {**each.changes, LENGTH: ""} == {**switches, LENGTH: ""}]
        candidates = [*alike, *candidates]
    elif LENGTH in setting.options:
        return max((each for each in same if not each.changes), key=lambda each: each.epochs, default=None)
    if "members" in setting.changed_options:  # the epochs of an ensemble are its members': the newest base counts
        return max(candidates, key=lambda each: each.runs[-1]["finished"], default=None)
    return next((each for each in candidates if each.epochs == setting.epochs), None)


def noises(settings: Sequence[RunGroup]) -> dict[tuple[str, int], Noise]:
    """Standard deviation between seeds, pooled over all settings of a config that have several."""
    groups: dict[tuple[str, int], list[list[float]]] = defaultdict(list)
    for setting in settings:
        if len(setting.errors) > 1:
            groups[setting.measured].append(setting.errors)
    found = {}
    for key, several in groups.items():
        freedom = sum(len(errors) - 1 for errors in several)
        found[key] = Noise(sqrt(sum((len(errors) - 1) * variance(errors) for errors in several) / freedom), freedom)
    return found


def p_value(setting: RunGroup, base: RunGroup, noise: Noise | None) -> float:
    """Two-sided, of d / (s sqrt(1/n + 1/m)) for means over n and m runs, by Student's t.

    s is the noise between seeds. Where it isn't known, it is the binomial sqrt(q (1 - q) / N), q the mean error over
    all runs and N the images. With pi_i the share of trainings that get image i wrong, and images independent of
    each other, the variance between trainings is the mean of pi_i (1 - pi_i) over N, at most q (1 - q) / N.

    Source: Jordan 2023 ("Calibrated chaos: variance between runs of neural network training is harmless and
    inevitable", arXiv:2304.01910), who finds that independence.
    """
    if noise is None or not noise.known:
        q = mean(setting.errors + base.errors)
        noise = Noise(sqrt(q * (1 - q) / setting.recipe[2]), inf)
    difference = abs(mean(setting.errors) - mean(base.errors))
    deviation = noise.deviation * sqrt(1 / len(setting.errors) + 1 / len(base.errors))
    return 2 * float(scipy.stats.t.sf(difference / deviation, noise.freedom)) if deviation else 1.0


def compare(settings: Sequence[RunGroup]) -> list[Compared]:
    """All settings with a change against their bases."""
    noise, found = noises(settings), []
    for setting in settings:
        base = base_of(setting, settings)
        if setting.changes and base is not None and not setting.failure:
            p = p_value(setting, base, noise.get(setting.measured))
            found.append(Compared(setting, base, mean(setting.errors) - mean(base.errors), p))
        elif setting.changes:
            found.append(Compared(setting, base))
    corrected = iter(holm([each.p for each in found if each.p is not None]))
    return [each if each.p is None else each._replace(holds=next(corrected) <= ALPHA) for each in found]
