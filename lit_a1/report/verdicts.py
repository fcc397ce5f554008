"""What the trials of Cats vs Dogs say in short: for `sections/hyperparameters.md.j2` and `further.md.j2`."""

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
"""Why a change may have helped, hurt or made no difference: shown where its verdict is the one that was measured."""
UNSAID = MACHINE | {LENGTH, "class_path"}


def conclusions(rows: Sequence[Row], source: str = "docs/runs.csv") -> dict[str, Any]:
    """The verdicts of the trials, against what the best network has of them.

    Args:
        rows: of docs/runs.csv, one at least.
        source: where they are from.

    Returns:
        `best` and `ensemble`, the settings with the fewest errors of one network and of several, or None; `trials`,
        the largest set of settings that have the same base, or None where nothing was compared; the `effects` of those
        that were better, in points by their names; and `ideas`, which hold and which the best network does without.
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
        "effects": {each["name"]: each["points"] for each in better},
        "ideas": [each for each in better if each["holds"] and each["used"] == "no"],
    }


def _trials(found: pd.DataFrame, tested: pd.DataFrame, settings: Mapping[str, str], source: str) -> dict[str, Any]:
    """Of trials that were tested, those that have the same base, the base of most of them."""
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
    """The settings of a YAML in configs/ by the names that docs/runs.csv has: `lr` for `model.lr`."""
    return {name.partition(".")[2]: str(value) for name, value in shipped(config).items()}


def _best(found: pd.DataFrame) -> dict[str, Any] | None:
    """The setting with the fewest errors of those without a failure."""
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
    """What a setting is about: of what is changed, the option that its theme names first, or all of several themes'."""
    own = {name: value for name, value in setting.values.items() if option_of(name) not in UNSAID}
    named = [option for option in setting.theme.options if option in map(option_of, own)]
    return {name: value for name, value in own.items() if option_of(name) in named[:1]} if named else own


def _described(setting: Any, settings: Mapping[str, str]) -> dict[str, Any]:
    """A change, and whether the best network, which has these settings, was trained with it: `yes`, `in part`, `no`."""
    idea = idea_of(setting)
    shared = sum(settings.get(name) == value for name, value in idea.items())
    return {
        "idea": idea,
        "name": short(idea),
        "theme": setting.theme.title,
        "accuracy": accuracy_of(setting.errors),
        "points": setting.points,
        "verdict": setting.verdict,
        "holds": setting.holds,
        "used": "" if not settings else "yes" if shared == len(idea) else "in part" if shared else "no",
    }


def _table(changes: Sequence[dict[str, Any]], base: pd.Series, source: str) -> dict[str, Any]:
    """All changes that are better or worse, and between them the base and one row for all others."""
    rows: dict[str, list[dict[str, str]]] = {"better": [], "inside the noise": [], "worse": []}
    for each in changes:
        rows[each["verdict"]].append({
            "change": each["name"],
            "accuracy": each["accuracy"],
            "points": f"{each['points']:+.2f}",
            "verdict": each["verdict"] + " *" * bool(each["holds"]),
            "best network": each["used"],
        })  # fmt: skip
    better, others, worse = rows.values()
    as_is = {
        "change": short({}),
        "accuracy": accuracy_of(base["errors"]),
        "points": "",
        "verdict": "base",
        "best network": "",
    }
    between = [as_is]
    if others:
        ends = {name: f"{others[-1][name]} to {others[0][name]}" for name in ("accuracy", "points")}
        between.append(as_is | ends | {"change": counted(len(others), "other"), "verdict": "inside the noise"})
    return table([*better, *between, *worse], source)


def _reasons(changes: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """By verdict, what `reasons.csv` says of changes that all have the one that it explains."""
    reasons: dict[str, list[str]] = {}
    for why in REASONS.itertuples():
        meant = set(why.changes.split(";"))
        of_these = [each for each in changes if {f"{name}={value}" for name, value in each["idea"].items()} & meant]
        if of_these and all(each["verdict"] == why.verdict for each in of_these):
            reasons.setdefault(why.verdict, []).append(why.reason)
    return reasons


def _long(found: pd.DataFrame, changes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Changes that made the trials worse and that the best network has, with longer runs that tell what they do."""
    both = []
    for each in changes:
        if each["verdict"] == "worse" and each["used"] == "yes":
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
