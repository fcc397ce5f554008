"""The text of docs/tried.md, the record of what was tried for Cats vs Dogs; all numbers are from docs/runs.csv."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import pandas as pd

from lit_a1.report import trials
from lit_a1.report.recipes import MACHINE, Row, option_of
from lit_a1.report.trials import CONFIGS, ENSEMBLE, RECIPE, THEMES, TITLES, accuracy_of, short
from lit_a1.report.verdicts import conclusions
from lit_a1.runs.statistics import ALPHA, wilson
from lit_a1.runs.templates import render
from lit_a1.runs.wording import counted, duration, table

SOURCE = "Written by `python docs/tables.py write` from [runs.csv](runs.csv)."
HEAD = ("change", "date", "seed", "epochs", "parameters", "time", "on", "accuracy", "95 %", "points", "verdict")
KINDS = {"better": "helped", "worse": "hurt", "inside the noise": "inside the noise"}  # the summary's verdicts


def page(rows: Sequence[Row], recipes: Mapping[str, str], source: str = SOURCE) -> str:
    """The text of docs/tried.md from rows of docs/runs.csv in any order; rows of configs not in `CONFIGS` are left out.

    `recipes` has the current fingerprint of each config; `source` is a sentence on where the rows come from.

    Raises:
        SystemExit: a row's changes can't be read.
    """
    rows = sorted((row for row in rows if row["config"] in CONFIGS), key=lambda row: (row["finished"], *row.values()))
    if not rows:
        return render("report/tried.md.j2", rows=rows, source=source, gap=None, effects={})
    settings, verdicts = trials.compare(rows), conclusions(rows)
    machines = dict.fromkeys(row["machine"] for row in rows)
    letters = {name: chr(65 + place) if place < 26 else f"A{place}" for place, name in enumerate(machines)}
    settings["rank"] = [
        (CONFIGS.index(each.config), recipes.get(each.config) != each.recipe) for each in settings.itertuples()
    ]
    other = [f", another version of the recipe ({each.recipe})" * each.rank[1] for each in settings.itertuples()]
    settings["version"] = "`" + settings["config"] + "`" + other
    settings["name"] = settings["values"].map(short)
    settings["change"] = settings["points"].map(lambda points: "" if isnan(points) else f"{points:+.2f}")
    settings["cells"] = [_cells(each, letters) for each in settings.itertuples()]
    as_is = settings["values"].map(lambda values: {*map(option_of, values)} <= MACHINE) & (settings["base"] < 0)
    found = settings[~as_is]
    return render(
        "report/tried.md.j2",
        rows=rows,
        settings=settings,
        seconds=sum(float(row["seconds"]) for row in rows if row["config"] != ENSEMBLE),
        days=sorted({row["finished"][:10] for row in rows}),
        repeated=len(rows) - int(settings["seeds"].str.len().sum()),
        ensembles=(settings["config"] == ENSEMBLE).any(),
        several_seeds=(settings["seeds"].str.len() > 1).any(),
        source=source,
        letters=letters,
        summaries=_groups(found, settings),
        alpha=ALPHA,
        least_freedom=trials.FREEDOM,
        noises=trials.noises(settings),
        measured=sorted(found[found["p"].notna()].groupby(["config", "val_images"]).groups),
        tests=int(found["p"].count()),
        holding=int(found["holds"].sum()),
        recipes=_as_shipped(settings[as_is].sort_values("rank", kind="stable")),
        highest={"one network": verdicts["best"], "several networks together": verdicts["ensemble"]},
        gap=None,
        effects=verdicts["effects"],
        sections={
            title: _groups(each, settings)
            for title in TITLES
            if len(each := found[[theme.title == title for theme in found["theme"]]])
        },
    )


def _groups(found: pd.DataFrame, settings: pd.DataFrame) -> list[dict[str, Any]]:
    """Groups comparisons with the same base, or lacking the same base; current versions of recipes come first."""
    lengths = found["base"].map(settings["epochs"]).fillna(found["epochs"])
    found = found.assign(gain=found["points"].fillna(0))
    groups = []
    for (*_, images, epochs, place), compared in found.groupby([*RECIPE, lengths, "base"], sort=False):
        compared = compared.sort_values(["gain", "name"], ascending=[False, True])
        base = settings.loc[place] if place >= 0 else None
        switches = "" if base is None or base["switches"] == short({}) else f", {base['switches']}"
        tested = compared[compared["p"].notna()]
        verdicts = compared["verdict"].str.partition(" (")[0]
        said = compared["name"] + compared["change"].map(lambda points: points and f" ({points})")
        summary: dict[str, list[str]] = {name: [] for name in KINDS.values()} if len(tested) else {}
        groups.append({
            "rank": compared["rank"].iloc[0],
            "name": f"{compared['version'].iloc[0]}, {counted(int(epochs), 'epoch')}, {images:,} photos{switches}",
            "base": base,
            "count": len(compared),
            "summary": summary | said.groupby(verdicts.replace(KINDS), sort=False).agg(list).to_dict(),
            "best": next(tested.itertuples(), None),
            "verdicts": [f"{count} {verdict}" for verdict, count in sorted(verdicts.value_counts().items())],
            "table": _table(compared, base),
        })  # fmt: skip
    return sorted(groups, key=lambda group: group["rank"])


def _as_shipped(plain: pd.DataFrame) -> str:
    """A table of recipes without changes, or with machine options only; these are not compared with each other."""
    names = plain["version"] + plain["switches"].map(lambda switches: "" if switches == short({}) else f", {switches}")
    rows = [[name, *cells] for name, cells in zip(names, plain["cells"], strict=True)]
    return table([["recipe", *HEAD[1:-2]], *rows]) if rows else ""


def _table(compared: pd.DataFrame, base: pd.Series | None) -> str:
    """A table of the base, then the settings of each theme, the most accurate first."""
    places = compared["theme"].map(lambda theme: THEMES.index(theme) if theme in THEMES else len(THEMES))
    rows = [] if base is None else [[base["name"], *base["cells"], "", "base"]]
    ordered = compared.assign(place=places).sort_values(["place", "failure", "error", "name"])
    rows += [
        [each.name, *each.cells, each.change, f"**{each.verdict}**" if each.holds else each.verdict]
        for each in ordered.itertuples()
    ]
    return table([HEAD, *rows])


def _cells(each: Any, letters: Mapping[str, str]) -> list[str]:
    """A row of a table from the date to the interval."""
    low, high = wilson(each.error, each.val_images) if each.errors else (0, 0)
    return [
        each.finished[:10],
        ", ".join(sorted(each.seeds, key=lambda seed: (len(seed), seed))),
        str(each.epochs),
        f"{each.parameters / 1e6:.2f} M",
        duration(each.seconds),
        ", ".join(sorted({letters[machine] for machine in each.machines})),
        " ".join(filter(None, (accuracy_of(each.errors) if each.errors else "", each.failure))),
        f"{100 * (1 - high):.1f} to {100 * (1 - low):.1f}" if each.errors else "",
    ]
