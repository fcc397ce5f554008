"""The text of docs/tried.md, the record of what was tried for Cats vs Dogs; all numbers are from docs/runs.csv."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import pandas as pd

from lit_a1.report import trials
from lit_a1.report.recipes import Row
from lit_a1.report.trials import CONFIGS, ENSEMBLE, NO_BASE, RECIPE, THEMES, TITLES, accuracy_of, format_changes
from lit_a1.report.verdicts import conclusions
from lit_a1.runs.settings import MACHINE_OPTIONS, option_of
from lit_a1.runs.statistics import ALPHA, wilson
from lit_a1.runs.templates import render
from lit_a1.runs.wording import counted, duration, table

SOURCE = "Written by `python docs/tables.py write` from [runs.csv](runs.csv)."
COLUMNS = ("change", "date", "seed", "epochs", "parameters", "time", "on", "accuracy", "95 %", "points", "verdict")
SUMMARY_WORDS = {"better": "helped", "worse": "hurt", "inside the noise": "inside the noise"}  # the summary's verdicts


def render_page(rows: Sequence[Row], recipes: Mapping[str, str], source: str = SOURCE) -> str:
    """The text of docs/tried.md from rows of docs/runs.csv in any order; rows of configs not in `CONFIGS` are left out.

    `recipes` has the current fingerprint of each config; `source` is a sentence on where the rows come from.

    Raises:
        SystemExit: a row's changes can't be read.
    """
    rows = sorted((row for row in rows if row["config"] in CONFIGS), key=lambda row: (row["finished"], *row.values()))
    if not rows:
        return render("report/tried.md.j2", rows=rows, source=source, effects={})
    settings, verdicts = trials.compare(rows), conclusions(rows)
    machines = dict.fromkeys(row["machine"] for row in rows)
    letters = {name: chr(65 + k) if k < 26 else f"A{k}" for k, name in enumerate(machines)}
    settings["rank"] = [
        (CONFIGS.index(each.config), recipes.get(each.config) != each.recipe) for each in settings.itertuples()
    ]
    other = [f", another version of the recipe ({each.recipe})" * each.rank[1] for each in settings.itertuples()]
    settings["version"] = "`" + settings["config"] + "`" + other
    settings["name"] = settings["values"].map(format_changes)
    settings["change"] = settings["points"].map(lambda points: "" if isnan(points) else f"{points:+.2f}")
    settings["cells"] = [_cells(each, letters) for each in settings.itertuples()]
    as_is = settings["values"].map(lambda values: {*map(option_of, values)} <= MACHINE_OPTIONS) & (settings["base"] < 0)
    ideas = settings[~as_is]
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
        summaries=_groups(ideas, settings),
        alpha=ALPHA,
        least_freedom=trials.MIN_FREEDOM,
        noises=trials.noises(settings),
        noise_keys=sorted(ideas[ideas["p"].notna()].groupby(["config", "val_images"]).groups),
        tests=int(ideas["p"].count()),
        significant=int(ideas["holds"].sum()),
        recipes=_recipes_table(settings[as_is].sort_values("rank", kind="stable")),
        highest={"one network": verdicts["best"], "several networks together": verdicts["ensemble"]},
        effects=verdicts["effects"],
        sections={
            title: _groups(group, settings)
            for title in TITLES
            if len(group := ideas[[theme.title == title for theme in ideas["theme"]]])
        },
    )


def _groups(ideas: pd.DataFrame, settings: pd.DataFrame) -> list[dict[str, Any]]:
    """Groups comparisons with the same base, or lacking the same base; current versions of recipes come first."""
    lengths = ideas["base"].map(settings["epochs"]).fillna(ideas["epochs"])
    ideas = ideas.assign(gain=ideas["points"].fillna(0))
    groups = []
    for (*_, images, epochs, base_index), group in ideas.groupby([*RECIPE, lengths, "base"], sort=False):
        group = group.sort_values(["gain", "name"], ascending=[False, True])
        base = settings.loc[base_index] if base_index >= 0 else None
        switches = "" if base is None or base["switches"] == format_changes({}) else f", {base['switches']}"
        tested = group[group["p"].notna()]
        verdicts = group["verdict"].str.partition(" (")[0]
        phrases = group["name"] + group["change"].map(lambda points: points and f" ({points})")
        compared = phrases[verdicts != NO_BASE]
        summary: dict[str, list[str]] = {name: [] for name in SUMMARY_WORDS.values()} if len(tested) else {}
        groups.append({
            "rank": group["rank"].iloc[0],
            "name": f"{group['version'].iloc[0]}, {counted(int(epochs), 'epoch')}, "
            f"{images:,} validation photos{switches}",
            "base": base,
            "count": len(group),
            "summary": summary | compared.groupby(verdicts.replace(SUMMARY_WORDS), sort=False).agg(list).to_dict(),
            "best": next(tested.itertuples(), None),
            "verdicts": [f"{count} {verdict}" for verdict, count in sorted(verdicts.value_counts().items())],
            "table": _table(group, base),
        })  # fmt: skip
    return sorted(groups, key=lambda group: group["rank"])


def _recipes_table(recipes: pd.DataFrame) -> str:
    """A table of recipes without changes, or with machine options only; these are not compared with each other."""
    names = recipes["version"] + recipes["switches"].map(lambda text: "" if text == format_changes({}) else f", {text}")
    rows = [[name, *cells] for name, cells in zip(names, recipes["cells"], strict=True)]
    return table([["recipe", *COLUMNS[1:-2]], *rows]) if rows else ""


def _table(settings: pd.DataFrame, base: pd.Series | None) -> str:
    """A table of the base, then the settings of each theme, the most accurate first."""
    ranks = settings["theme"].map(lambda theme: THEMES.index(theme) if theme in THEMES else len(THEMES))
    rows = [] if base is None else [[base["name"], *base["cells"], "", "base"]]
    ordered = settings.assign(place=ranks).sort_values(["place", "failure", "error", "name"])
    rows += [
        [setting.name, *setting.cells, setting.change, f"**{setting.verdict}**" if setting.holds else setting.verdict]
        for setting in ordered.itertuples()
    ]
    return table([COLUMNS, *rows])


def _cells(setting: Any, letters: Mapping[str, str]) -> list[str]:
    """A row of a table from the date to the interval."""
    low, high = wilson(setting.error, setting.val_images) if setting.errors else (0, 0)
    return [
        setting.finished[:10],
        ", ".join(sorted(setting.seeds, key=lambda seed: (len(seed), seed))),
        str(setting.epochs),
        f"{setting.parameters / 1e6:.2f} M",
        duration(setting.seconds),
        ", ".join(sorted({letters[machine] for machine in setting.machines})),
        " ".join(filter(None, (accuracy_of(setting.errors) if setting.errors else "", setting.failure))),
        f"{100 * (1 - high):.1f} to {100 * (1 - low):.1f}" if setting.errors else "",
    ]
