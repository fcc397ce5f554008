"""The trials of Cats vs Dogs in short, for `sections/hyperparameters.md.j2` and `further.md.j2`."""

from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import pandas as pd

from lit_a1.report.document import table
from lit_a1.report.recipes import MACHINE, Row, fingerprint, option_of, shipped
from lit_a1.report.trials import ENSEMBLE, LENGTH, RECIPES, SEVERAL, TRIAL, accuracy_of, compare, noises, short
from lit_a1.runs.statistics import ALPHA, wilson
from lit_a1.runs.wording import counted

REASONS = pd.read_csv(Path(__file__).with_name("reasons.csv"))
"""Why a change may have helped, hurt or made no difference; shown if this verdict was the one measured."""
WORDS = pd.read_csv(Path(__file__).with_name("recipes.csv"), index_col="recipe")["words"]  # what each long recipe is
UNSAID = MACHINE | {LENGTH, "class_path"}


def conclusions(rows: Sequence[Row], source: str = "docs/runs.csv") -> dict[str, Any]:
    """The verdicts of the trials, compared with what the best network uses; needs at least one row.

    Returns:
        `best` and `ensemble`: the settings with the fewest errors of one network and of several, or None. `long`: a
        table of the recipes as they are. `trials`: the largest set of settings with the same base, or None if nothing
        was compared. `effects`: the points of each better idea. `ideas`: the better ideas that hold and that the best
        network does not use.
    """
    found = compare(rows)
    best = _best(found[found["config"].isin(RECIPES)])
    single = found["own"].astype(bool) & (found["theme"].map(lambda theme: theme.title) != SEVERAL.title)
    tested = found[(found["config"] == TRIAL) & found["p"].notna() & single]
    settings = best["settings"] if best else {}
    trials = None if tested.empty else _trials(found, tested, settings, source)
    better = trials["better"] if trials else []
    return {
        "best": best,
        "ensemble": _best(found[found["config"] == ENSEMBLE]),
        "trials": trials,
        "long": _recipes(found),
        "effects": {short(each["idea"]): each["points"] for each in better},
        "ideas": [each for each in better if each["holds"] and each["used"] == "no"],
    }


def _trials(found: pd.DataFrame, tested: pd.DataFrame, settings: Mapping[str, str], source: str) -> dict[str, Any]:
    """The tested trials that share the most frequent base."""
    place = tested["base"].mode()[0]
    base, tested = found.loc[place], tested[tested["base"] == place].sort_values("points", ascending=False)
    images = int(base["val_images"])
    changes = [_described(each, settings) for each in tested.itertuples()]
    return {
        "base": {"accuracy": accuracy_of(base["errors"]), "seeds": len(base["errors"]), "epochs": int(base["epochs"])},
        "images": images,
        "noise": noises(found).get((TRIAL, images)),
        "binomial": sqrt(base["error"] * (1 - base["error"]) / images),
        "changes": changes,
        "alpha": ALPHA,
        **{name: [each for each in changes if each["verdict"] == name] for name in ("better", "worse")},
        "table": _table(changes, base, source),
        "reasons": _reasons(changes),
        "long": _long(found, changes),
    }


def unprefixed(config: str) -> dict[str, str]:
    """The settings of a YAML in configs/, named as in docs/runs.csv: `lr` for `model.lr`."""
    return {name.partition(".")[2]: str(value) for name, value in shipped(config).items()}


def _best(found: pd.DataFrame) -> dict[str, Any] | None:
    """The setting with the fewest errors, among those without a failure."""
    whole = found[found["failure"] == ""]
    if whole.empty:
        return None
    best = whole.loc[whole["error"].idxmin()]
    low, high = wilson(best["error"], best["val_images"])
    is_current = best["recipe"] == fingerprint(shipped(best["config"]))
    return {
        "name": best["config"],
        "changes": short(best["values"]) if best["values"] else "",
        "settings": unprefixed(best["config"]) | best["values"] if is_current else {},
        "seeds": best["seeds"],
        "epochs": int(best["epochs"]),
        "images": int(best["val_images"]),
        "accuracy": float(1 - best["error"]),
        "right": round((1 - best["error"]) * best["val_images"]),
        "interval": (1 - high, 1 - low),
        "tried": len(found),
    }


def idea_of(setting: Any) -> dict[str, str]:
    """The idea of a setting: of its changes, the option that its theme names first, or all if it names none."""
    own = {name: value for name, value in setting.values.items() if option_of(name) not in UNSAID}
    named = [option for option in setting.theme.options if option in map(option_of, own)]
    return {name: value for name, value in own.items() if option_of(name) in named[:1]} if named else own


def _described(setting: Any, settings: Mapping[str, str]) -> dict[str, Any]:
    """A change, and whether the best network, which has these settings, was trained with it: `yes`, `in part`, `no`.

    `no` if it has nothing of the idea, even if it has options that go with the idea.
    """
    idea = idea_of(setting)
    own = idea | {name: value for name, value in setting.values.items() if option_of(name) not in UNSAID}
    rest = {name: value for name, value in own.items() if name not in idea}
    shared = {name for name, value in own.items() if settings.get(name) == value}
    return {
        "idea": idea,
        "own": own,
        "name": short(idea) + (f" with {short(rest)}" if rest else ""),
        "theme": setting.theme.title,
        "accuracy": accuracy_of(setting.errors),
        "points": setting.points,
        "verdict": setting.verdict,
        "holds": setting.holds,
        "used": "" if not settings else "yes" if shared == own.keys() else "in part" if shared & idea.keys() else "no",
    }


def _table(changes: Sequence[dict[str, Any]], base: pd.Series, source: str) -> dict[str, Any]:
    """The most telling changes: all better ones, worse ones that the best network has, a theme's largest by verdict."""
    ordered = sorted(changes, key=lambda each: -abs(each["points"]))
    largest = {(each["verdict"], each["theme"]): each["own"] for each in reversed(ordered)}.values()
    as_is = {"change": short({}), "accuracy": accuracy_of(base["errors"]), "points": "", "verdict": "base"}
    rows = []
    for verdict in ("better", "inside the noise", "worse"):
        of_it = [each for each in changes if each["verdict"] == verdict]
        shown = [
            each
            for each in of_it
            if verdict == "better" or each["own"] in largest or (verdict == "worse" and each["used"] not in ("", "no"))
        ]
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
        if others := [each for each in of_it if each not in shown]:
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


def _recipes(found: pd.DataFrame) -> dict[str, Any] | None:
    """A table of the recipes as they are, the most accurate first; None if none was run."""
    current = found["config"].map(lambda config: fingerprint(shipped(config))) == found["recipe"]
    own = [*RECIPES, ENSEMBLE]
    shown = found[found["config"].isin(own) & current & ~found["own"].astype(bool) & (found["failure"] == "")]
    shown = shown.sort_values("error").drop_duplicates("config")
    rows = [
        {
            "recipe": f"`{each.config}`",
            "what it is": WORDS[each.config],
            "epochs": str(each.epochs),
            "parameters": f"{each.parameters / 1e6:.2f} M",
            "seeds": str(len(each.errors)),
            "accuracy": accuracy_of(each.errors),
            "95 %": "{1:.1f} to {0:.1f}".format(*(100 * (1 - end) for end in wilson(each.error, each.val_images))),
        }
        for each in shown.itertuples()
    ]
    return table(rows, "docs/runs.csv and the runs here", text_columns=2) if rows else None


def _reasons(changes: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """The reasons in `reasons.csv` by verdict, if all the changes that a reason explains have its verdict."""
    reasons: dict[str, list[str]] = {}
    for why in REASONS.itertuples():
        meant = set(why.changes.split(";"))
        of_these = [each for each in changes if ", ".join(f"{k}={v}" for k, v in sorted(each["own"].items())) in meant]
        if of_these and all(each["verdict"] == why.verdict for each in of_these):
            reasons.setdefault(why.verdict, []).append(why.reason)
    return reasons


def _long(found: pd.DataFrame, changes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Changes that hurt the trials but that the best network has, with longer runs that show their effect."""
    both = []
    for each in changes:
        if each["verdict"] == "worse" and each["used"] in ("yes", "in part"):
            others = found[(found["config"] != TRIAL) & found["p"].notna()]
            others = others[[each["idea"].items() <= values.items() for values in others["values"]]]
            longer = [
                {
                    "name": other.config, "epochs": other.epochs, "points": other.points,
                    "verdict": other.verdict, "change": short(other.values),
                }
                for other in others.itertuples()
            ]  # fmt: skip
            both.append(each | {"longer": longer})
    return both
