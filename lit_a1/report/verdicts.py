"""The trials of Cats vs Dogs in short, for `sections/hyperparameters.md.j2` and `further.md.j2`."""

from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import pandas as pd

from lit_a1.report.document import table
from lit_a1.report.recipes import Row, fingerprint, shipped_settings
from lit_a1.report.trials import ENSEMBLE, LENGTH, RECIPES, SEVERAL, TRIAL, accuracy_of, compare, format_changes, noises
from lit_a1.runs.settings import MACHINE_OPTIONS, option_of
from lit_a1.runs.statistics import ALPHA, wilson
from lit_a1.runs.wording import counted

REASONS = pd.read_csv(Path(__file__).with_name("reasons.csv"))
"""Why a change may have helped, hurt or made no difference; shown if this verdict was the one measured."""
RECIPE_WORDS = pd.read_csv(Path(__file__).with_name("recipes.csv"), index_col="recipe")["words"]  # what each is
UNNAMED_OPTIONS = MACHINE_OPTIONS | {LENGTH, "class_path"}


def conclusions(rows: Sequence[Row], source: str = "docs/runs.csv") -> dict[str, Any]:
    """The verdicts of the trials, compared with what the best network uses; needs at least one row.

    Returns:
        `best` and `ensemble`: the settings with the fewest errors of one network and of several, or None. `trials`: the
        largest set of settings with the same base, or None if nothing was compared. `recipe_table`: the recipes as they
        are. `effects`: the points of each better idea. `ideas`: the better ideas that hold and that the best network
        does not use.
    """
    settings = compare(rows)
    best = _best(settings[settings["config"].isin(RECIPES)])
    single = settings["idea_options"].astype(bool) & (settings["theme"].map(lambda theme: theme.title) != SEVERAL.title)
    tested = settings[(settings["config"] == TRIAL) & settings["p"].notna() & single]
    trials = None if tested.empty else _trials(settings, tested, best["settings"] if best else {}, source)
    better = trials["better"] if trials else []
    return {
        "best": best,
        "ensemble": _best(settings[settings["config"] == ENSEMBLE]),
        "trials": trials,
        "recipe_table": _recipe_table(settings),
        "effects": {format_changes(each["idea"]): each["points"] for each in better},
        "ideas": [each for each in better if each["holds"] and each["used"] == "no"],
    }


def _trials(settings: pd.DataFrame, tested: pd.DataFrame, best: Mapping[str, str], source: str) -> dict[str, Any]:
    """The tested trials that share the most frequent base."""
    base_index = tested["base"].mode()[0]
    base, tested = settings.loc[base_index], tested[tested["base"] == base_index].sort_values("points", ascending=False)
    images = int(base["val_images"])
    changes = [_describe_change(setting, best) for setting in tested.itertuples()]
    return {
        "base": {"accuracy": accuracy_of(base["errors"]), "seeds": len(base["errors"]), "epochs": int(base["epochs"])},
        "images": images,
        "noise": noises(settings).get((TRIAL, images)),
        "binomial": sqrt(base["error"] * (1 - base["error"]) / images),
        "changes": changes,
        "alpha": ALPHA,
        **{name: [change for change in changes if change["verdict"] == name] for name in ("better", "worse")},
        "table": _table(changes, base, source),
        "reasons": _reasons(changes),
        "hurt_but_used": _with_longer_runs(settings, changes, int(base["epochs"])),
    }


def unprefixed_settings(config: str) -> dict[str, str]:
    """The settings of a YAML in configs/, named as in docs/runs.csv: `lr` for `model.lr`."""
    return {name.partition(".")[2]: str(value) for name, value in shipped_settings(config).items()}


def _best(settings: pd.DataFrame) -> dict[str, Any] | None:
    """The setting with the fewest errors, among those without a failure."""
    complete = settings[settings["failure"] == ""]
    if complete.empty:
        return None
    best = complete.loc[complete["error"].idxmin()]
    low, high = wilson(best["error"], best["val_images"])
    is_current = best["recipe"] == fingerprint(shipped_settings(best["config"]))
    return {
        "name": best["config"],
        "changes": format_changes(best["values"]) if best["values"] else "",
        "settings": unprefixed_settings(best["config"]) | best["values"] if is_current else {},
        "seeds": best["seeds"],
        "epochs": int(best["epochs"]),
        "images": int(best["val_images"]),
        "accuracy": float(1 - best["error"]),
        "correct": round((1 - best["error"]) * best["val_images"]),
        "interval": (1 - high, 1 - low),
        "tried": len(settings),
    }


def _describe_change(setting: Any, best: Mapping[str, str]) -> dict[str, Any]:
    """A change, and whether the network with the settings `best` was trained with it: `yes`, `in part`, `no`.

    The idea is the changed option that the theme names first, or all changed options if it names none. `no` means that
    the network has nothing of the idea, even if it has options that go with the idea.
    """
    changes = {name: value for name, value in setting.values.items() if option_of(name) not in UNNAMED_OPTIONS}
    named = [option for option in setting.theme.options if option in map(option_of, changes)]
    idea = {name: value for name, value in changes.items() if option_of(name) in named[:1]} if named else changes
    others = {name: value for name, value in changes.items() if name not in idea}
    shared = {name for name, value in changes.items() if best.get(name) == value}
    words = format_changes(idea) + (f" with {format_changes(others)}" if others else "")
    return {
        "idea": idea,
        "options": changes,
        "name": words,
        "with_points": f"{words} ({setting.points:+.2f})",
        "theme": setting.theme.title,
        "accuracy": accuracy_of(setting.errors),
        "points": setting.points,
        "verdict": setting.verdict,
        "holds": setting.holds,
        "used": "" if not best else "yes" if shared == changes.keys() else "in part" if shared & idea.keys() else "no",
    }


def _table(changes: Sequence[dict[str, Any]], base: pd.Series, source: str) -> dict[str, Any]:
    """The most telling changes: all better ones, worse ones that the best network has, a theme's largest by verdict."""
    ordered = sorted(changes, key=lambda each: -abs(each["points"]))
    largest = {(each["verdict"], each["theme"]): each["options"] for each in reversed(ordered)}.values()
    as_is = {"change": format_changes({}), "accuracy": accuracy_of(base["errors"]), "points": "", "verdict": "base"}
    rows = []
    for verdict in ("better", "inside the noise", "worse"):
        with_verdict = [each for each in changes if each["verdict"] == verdict]
        shown = with_verdict
        if verdict != "better":
            used = ("yes", "in part") if verdict == "worse" else ()
            shown = [each for each in with_verdict if each["options"] in largest or each["used"] in used]
        rows += [
            {
                "change": each["name"],
                "accuracy": each["accuracy"],
                "points": f"{each['points']:+.2f}",
                "verdict": each["verdict"] + " *" * bool(each["holds"]),
                "best network": each["used"],
            }
            for each in shown
        ]
        if others := [each for each in with_verdict if each not in shown]:
            ends = {name: _from_to(others[-1][name], others[0][name]) for name in ("accuracy", "points")}
            rows.append(
                as_is | ends | {"change": counted(len(others), "other"), "verdict": verdict, "best network": ""}
            )
        if verdict == "better":
            rows.append(as_is | {"best network": ""})
    return table(rows, source)


def _from_to(low: str | float, high: str | float) -> str:
    low, high = (f"{each:+.2f}" if isinstance(each, float) else each for each in (low, high))
    return low if low == high else f"{low} to {high}"


def _recipe_table(settings: pd.DataFrame) -> dict[str, Any] | None:
    """A table of the recipes as they are, the most accurate first; None if none was run."""
    current = settings["config"].map(lambda config: fingerprint(shipped_settings(config))) == settings["recipe"]
    shown = settings[current & ~settings["idea_options"].astype(bool) & (settings["failure"] == "")]
    shown = shown[shown["config"].isin([*RECIPES, ENSEMBLE])].sort_values("error").drop_duplicates("config")
    rows = [
        {
            "recipe": f"`{setting.config}`",
            "what it is": RECIPE_WORDS[setting.config],
            "epochs": str(setting.epochs),
            "parameters": f"{setting.parameters / 1e6:.2f} M",
            "seeds": str(len(setting.errors)),
            "accuracy": accuracy_of(setting.errors),
            "95 %": "{1:.1f} to {0:.1f}".format(*(100 * (1 - x) for x in wilson(setting.error, setting.val_images))),
        }
        for setting in shown.itertuples()
    ]
    return table(rows, "docs/runs.csv and the runs here", text_columns=2) if rows else None


def _reasons(changes: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """The reasons in `reasons.csv` by verdict, if all the changes that a reason explains have its verdict."""
    reasons: dict[str, list[str]] = {}
    for reason in REASONS.itertuples():
        names = set(reason.changes.split(";"))
        cases = [each for each in changes if ", ".join(f"{k}={v}" for k, v in sorted(each["options"].items())) in names]
        if cases and all(each["verdict"] == reason.verdict for each in cases):
            reasons.setdefault(reason.verdict, []).append(reason.reason)
    return reasons


def _with_longer_runs(settings: pd.DataFrame, changes: Sequence[dict[str, Any]], epochs: int) -> list[dict[str, Any]]:
    """Changes that hurt the trials but that the best network has, with runs of over `epochs` that show their effect."""
    contradictions = []
    for change in changes:
        if change["verdict"] == "worse" and change["used"] in ("yes", "in part"):
            long_runs = settings[(settings["config"] != TRIAL) & (settings["epochs"] > epochs) & settings["p"].notna()]
            long_runs = long_runs[[change["idea"].items() <= values.items() for values in long_runs["values"]]]
            longer = [
                {
                    "name": run.config, "epochs": run.epochs, "points": run.points,
                    "verdict": run.verdict, "change": format_changes(run.values),
                }
                for run in long_runs.itertuples()
            ]  # fmt: skip
            contradictions.append(change | {"longer": longer})
    return contradictions
