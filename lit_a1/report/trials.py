"""Compares the runs of docs/runs.csv like for like: themes, bases, noise, verdicts.

A setting is all runs of one version of a recipe with the same changes and length; only the newest run of each seed
counts. It is compared with its base, the setting that differs from it only in the idea.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import inf, isnan, sqrt
from pathlib import Path
from statistics import mean, median_low, variance
from typing import Any, NamedTuple

import pandas as pd
import scipy

from lit_a1.report.recipes import Row, parse_changes
from lit_a1.runs.settings import MACHINE_OPTIONS, option_of
from lit_a1.runs.statistics import ALPHA, holm
from lit_a1.runs.wording import percent, spread

TRIAL = "catsdogs_trial"
ENSEMBLE = "catsdogs_ensemble"
RECIPES = ("catsdogs", "catsdogs_float32", "catsdogs_gpu", "catsdogs_best")
CONFIGS = (TRIAL, *RECIPES, ENSEMBLE)
MIN_FREEDOM = 4  # degrees of freedom from which the noise between seeds is known well enough
MAX_LETTERS = 40  # letters of a value; the middle of a longer one is left out
LENGTH = "max_epochs"
NO_BASE = "no base"  # the verdict on a setting that nothing can be compared with
RECIPE = ["config", "recipe", "val_images"]  # only settings that agree in these are compared
SETTING = [*RECIPE, "epochs", "changes"]  # columns of docs/runs.csv in which the runs of a setting agree


class Theme(NamedTuple):
    """The subject of a section."""

    title: str
    options: Sequence[str] = ()  # at least one of them is changed; the first changed one is the idea
    also: Sequence[str] = ()  # options that may have to change with them


_CSV = pd.read_csv(Path(__file__).with_name("themes.csv"), keep_default_na=False)
PRECISION = Theme("Precision and compilation", sorted(MACHINE_OPTIONS))
THEMES = [*(Theme(title, options.split(), also.split()) for title, options, also in _CSV.to_numpy()), PRECISION]
SEVERAL, OTHER = Theme("Several at once"), Theme("Other")
TITLES = list(dict.fromkeys(theme.title for theme in (*THEMES[:-1], SEVERAL, OTHER, PRECISION)))  # in order


def theme_of(changes: Mapping[str, str]) -> Theme:
    """The first theme that has at least one of the changed options and allows for all others."""
    options = set(map(option_of, changes))
    options = options - {LENGTH} - MACHINE_OPTIONS or options
    themes = [theme for theme in THEMES if options.intersection(theme.options)]
    return next((theme for theme in themes if options <= {*theme.options, *theme.also}), SEVERAL if themes else OTHER)


def format_changes(changes: Mapping[str, str]) -> str:
    """Changes for a narrow column: `blocks=[2,2]`, `size_schedule={0:32,8:48}`."""
    values_by_option: dict[str, dict[str, str]] = defaultdict(dict)
    for name, value in changes.items():
        value = value.replace(", ", ",")
        value = value if len(value) <= MAX_LETTERS else f"{value[: MAX_LETTERS // 2]}…{value[-MAX_LETTERS // 2 :]}"
        values_by_option[option_of(name)][name.removeprefix("augment.").partition(".")[2]] = value
    words = []
    for option, values in values_by_option.items():
        inner = ",".join(f"{key}:{values[key]}" for key in sorted(values, key=lambda key: (len(key), key)))
        words.append(f"`{option}={values.get('', f'{{{inner}}}')}`")
    return ", ".join(words) or "as it is"


def accuracy_of(errors: Sequence[float]) -> str:
    """Accuracy; for several runs, mean and standard deviation."""
    accuracies = [1 - error for error in errors]
    return spread(accuracies) if len(accuracies) > 1 else percent(accuracies[0])


def settings_of(rows: Sequence[Row]) -> pd.DataFrame:
    """The settings of rows in any order, sorted by their oldest run.

    Returns:
        The columns `SETTING`. Of the newest run of each seed: `seeds`, `machines`, finite `errors` of the last epoch,
        when the newest `finished`, median `seconds` and `parameters`. `failure`: why there is no mean over all of them,
        or "". The changes: `values` by name, names of `idea_options`, `switches` that depend on the machine, and the
        `theme`.

    Raises:
        SystemExit: a row's changes can't be read.
    """
    frame = pd.DataFrame(rows).astype({"epochs": int, "val_images": int, "seconds": float, "parameters": float})
    runs = frame.sort_values(["finished", *frame.columns]).groupby([*SETTING, "seed"], sort=False).last().reset_index()
    runs["error"] = pd.to_numeric(runs["last_val_error"], errors="coerce").where(lambda error: error < inf)
    runs["unmeasured"] = ~runs["best_val_error"].isin(["", "nan"]) & (runs["last_val_error"] == "")
    settings = runs.groupby(SETTING, sort=False).agg(
        seeds=("seed", list), machines=("machine", set), finished=("finished", "max"), seconds=("seconds", median_low),
        parameters=("parameters", "last"), errors=("error", lambda errors: list(errors.dropna())),
        unmeasured=("unmeasured", "any"),
    ).reset_index()  # fmt: skip
    settings["error"] = [mean(errors) if errors else inf for errors in settings["errors"]]
    settings["failure"] = [_failure(setting) for setting in settings.itertuples()]
    settings["values"] = settings["changes"].map(parse_changes)
    settings["idea_options"] = [{*map(option_of, values)} - {LENGTH} - MACHINE_OPTIONS for values in settings["values"]]
    settings["switches"] = [
        format_changes({k: v for k, v in values.items() if k in MACHINE_OPTIONS}) for values in settings["values"]
    ]
    settings["theme"] = settings["values"].map(theme_of)
    return settings


def _failure(setting: Any) -> str:
    count, measured = len(setting.seeds), len(setting.errors)
    word = "not measured" if setting.unmeasured else "diverged"
    return "" if measured == count else f"partly {word} ({count - measured} of {count})" if measured else word


class Noise(NamedTuple):
    """How much errors vary between runs that differ only in their seeds."""

    deviation: float  # standard deviation of one run's error
    freedom: float  # degrees of freedom of this estimate

    @property
    def known(self) -> bool:
        """Whether the estimate is good enough to use."""
        return self.freedom >= MIN_FREEDOM and self.deviation > 0


def noises(settings: pd.DataFrame) -> dict[tuple[str, int], Noise]:
    """Standard deviation between seeds, by config and number of images, pooled over settings with several seeds."""
    noise = {}
    for key, group in settings[settings["errors"].str.len() > 1].groupby(["config", "val_images"]):
        freedom = sum(len(errors) - 1 for errors in group["errors"])
        noise[key] = Noise(sqrt(sum((len(each) - 1) * variance(each) for each in group["errors"]) / freedom), freedom)
    return noise


def p_value(errors: Sequence[float], others: Sequence[float], images: int, noise: Noise | None) -> float:
    """Two-sided p-value by Student's t of d / (s sqrt(1/n + 1/m)), d the difference of means over n and m runs.

    s is the noise between seeds. If unknown, it is the binomial sqrt(q (1 - q) / N), with q the mean error over all
    runs and N the number of images. Let pi_i be the share of trainings that get image i wrong. If images are
    independent of each other, the variance between trainings is the mean of pi_i (1 - pi_i) over N, at most q (1 - q) /
    N.

    Source: Jordan 2023 ("Calibrated chaos: variance between runs of neural network training is harmless and
    inevitable", arXiv:2304.01910), who finds this independence.
    """
    if noise is None or not noise.known:
        q = mean([*errors, *others])
        noise = Noise(sqrt(q * (1 - q) / images), inf)
    deviation = noise.deviation * sqrt(1 / len(errors) + 1 / len(others))
    difference = abs(mean(errors) - mean(others))
    return 2 * float(scipy.stats.t.sf(difference / deviation, noise.freedom)) if deviation else 1.0


def compare(rows: Sequence[Row]) -> pd.DataFrame:
    """The settings of rows from `settings_of`, each compared with its base.

    Returns:
        Further columns: `base`, a row's index, or -1; `points`, the accuracy minus the base's, in percent of the
        images, and its `p`, both NaN if nothing can be compared; whether it also `holds` after Holm's correction; and a
        short `verdict`.
    """
    settings = settings_of(rows)
    noise = noises(settings)
    settings["base"] = -1
    for _, same_recipe in settings.groupby(RECIPE, sort=False):
        candidates = same_recipe[~same_recipe["idea_options"].astype(bool) & (same_recipe["failure"] == "")]
        settings.loc[same_recipe.index, "base"] = [_base(setting, candidates) for _, setting in same_recipe.iterrows()]
    tested = settings[(settings["base"] >= 0) & (settings["failure"] == "")]
    bases = settings.loc[tested["base"]].set_index(tested.index)
    settings["points"] = (100 * (bases["error"] - tested["error"])).round(9) + 0.0  # no -0
    settings["p"] = pd.Series(
        [
            p_value(setting.errors, base_errors, setting.val_images, noise.get((setting.config, setting.val_images)))
            for setting, base_errors in zip(tested.itertuples(), bases["errors"], strict=True)
        ],
        index=tested.index,
        dtype=float,
    )
    settings["holds"] = False
    settings.loc[tested.index, "holds"] = [p <= ALPHA for p in holm(settings["p"].dropna().tolist())]
    settings["verdict"] = [_verdict(setting) for setting in settings.itertuples()]
    return settings


def _base(setting: pd.Series, candidates: pd.DataFrame) -> int:
    """The setting of the same recipe without an idea, and of the same length unless that is the idea; -1 if none."""
    if not setting["values"]:
        return -1
    if not setting["idea_options"] and LENGTH in setting["values"]:
        indices = candidates[candidates["changes"] == ""].sort_values("epochs").index[::-1]
    else:
        switches = [setting["switches"], format_changes({})] if setting["idea_options"] else [format_changes({})]
        matching = candidates[candidates["switches"].isin(switches)].sort_values(
            "switches", key=lambda names: names.map(switches.index), kind="stable"
        )
        if "members" in setting["idea_options"]:  # an ensemble has the epochs of its members: the newest base counts
            indices = matching.sort_values("finished").index[::-1]
        else:
            indices = matching[matching["epochs"] == setting["epochs"]].index
    return next(iter(indices), -1)


def _verdict(setting: Any) -> str:
    if setting.failure or isnan(setting.p):
        return setting.failure or NO_BASE
    return "inside the noise" if setting.p >= ALPHA else "better" if setting.points > 0 else "worse"
