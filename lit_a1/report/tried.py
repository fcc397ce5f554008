"""The record of what was tried for Cats vs Dogs: docs/tried.md, all its numbers computed from docs/runs.csv."""

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
KINDS = {"better": "helped", "worse": "hurt", "inside the noise": "inside the noise"}  # as the summary calls verdicts


def page(rows: Sequence[Row], recipes: Mapping[str, str], source: str = SOURCE) -> str:
    """docs/tried.md, of rows in any order, of which those of other configs are left out.

    Args:
        rows: of docs/runs.csv.
        recipes: the fingerprint that each config has now.
        source: a sentence that says where the rows are from.

    Raises:
        SystemExit: a row's changes can't be read.
    """
    rows = sorted((row for row in rows if row["config"] in CONFIGS), key=lambda row: (row["finished"], *row.values()))
    if not rows:
        return render("report/tried.md.j2", rows=rows, source=source, gap=None, effects={})
    settings = trials.compare(rows)
    machines = dict.fromkeys(row["machine"] for row in rows)
    letters = {name: chr(65 + place) if place < 26 else f"A{place}" for place, name in enumerate(machines)}
    settings["cells"] = [_cells(each, letters) for each in settings.itertuples()]
    settings["version"] = [_version(each, recipes) for each in settings.itertuples()]
    settings["rank"] = [
        (CONFIGS.index(each.config), recipes.get(each.config) != each.recipe) for each in settings.itertuples()
    ]
    as_is = settings["values"].map(lambda values: {*map(option_of, values)} <= MACHINE) & (settings["base"] < 0)
    plain, found = settings[as_is].sort_values("rank", kind="stable"), settings[~as_is]
    return render(
        "report/tried.md.j2",
        rows=rows,
        settings=settings,
        seconds=sum(float(row["seconds"]) for row in rows if row["config"] != ENSEMBLE),
        days=sorted({row["finished"][:10] for row in rows}),
        repeated=len(rows) - int(settings["seeds"].str.len().sum()),
        ensembles=(settings["config"] == ENSEMBLE).any(),
        short=short,
        several_seeds=(settings["seeds"].str.len() > 1).any(),
        source=source,
        letters=letters,
        summaries=_groups(found, settings),
        alpha=ALPHA,
        least_freedom=trials.FREEDOM,
        noises=trials.noises(settings),
        measured=sorted(
            set(zip(*(found.loc[found["p"].notna(), name] for name in ("config", "val_images")), strict=True))
        ),
        tests=int(found["p"].count()),
        holding=int(found["holds"].sum()),
        recipes=_as_shipped(plain),
        highest=_highest(settings),
        gap=None,
        effects=conclusions(rows)["effects"],
        sections={
            title: _groups(each, settings)
            for title in TITLES
            if len(each := found[[theme.title == title for theme in found["theme"]]])
        },
    )


def _groups(found: pd.DataFrame, settings: pd.DataFrame) -> list[dict[str, Any]]:
    """Comparisons that have the same base, or lack the same one; those of recipes as they are now come first."""
    lengths = found["epochs"].where(found["base"] < 0, found["base"].map(settings["epochs"]))
    groups = []
    for (*_, images, epochs, place), compared in found.groupby([*RECIPE, lengths, "base"], sort=False):
        base = settings.loc[place] if place >= 0 else None
        switches = "" if base is None or base["switches"] == short({}) else f", {base['switches']}"
        tested = compared[compared["p"].notna()]
        kinds = {name: [] for name in KINDS.values()} if len(tested) else {}
        verdicts = compared["verdict"].str.partition(" (")[0]
        for each in sorted(compared.assign(kind=verdicts.replace(KINDS)).itertuples(), key=_order):
            points = "" if isnan(each.p) else f" ({each.points:+.2f})"
            kinds.setdefault(each.kind, []).append(short(each.values) + points)
        groups.append(
            {
                "rank": compared["rank"].iloc[0],
                "name": f"{compared['version'].iloc[0]}, {counted(int(epochs), 'epoch')}, {images:,} photos{switches}",
                "base": base,
                "compared": compared,
                "summary": kinds,
                "tested": len(tested),
                "best": min(tested.itertuples(), key=_order, default=None),
                "verdicts": [f"{count} {verdict}" for verdict, count in sorted(verdicts.value_counts().items())],
                "table": _table(compared, base),
            }
        )
    return sorted(groups, key=lambda group: group["rank"])


def _as_shipped(plain: pd.DataFrame) -> str:
    """The recipes without a change, or with their machine's alone, which are not compared with each other."""
    names = plain["version"] + [f", {switches}" if switches != short({}) else "" for switches in plain["switches"]]
    rows = [
        [name, *cells, failure] for name, cells, failure in zip(names, plain["cells"], plain["failure"], strict=True)
    ]
    failed = (plain["failure"] != "").any()
    heads = ["recipe", *HEAD[1:-2], "failed"]
    return table([row if failed else row[:-1] for row in (heads, *rows)]) if rows else ""


def _highest(settings: pd.DataFrame) -> dict[str, Any] | None:
    """The most accurate of all settings, changed ones included; None without one."""
    best = min(settings[settings["failure"] == ""].itertuples(), key=lambda each: each.error, default=None)
    if best is None:
        return None
    changes = short(best.values) if best.values else ""
    return {"name": best.version, "changes": changes, "accuracy": accuracy_of(best.errors), "epochs": best.epochs}


def _table(compared: pd.DataFrame, base: pd.Series | None) -> str:
    """A table of the base, then each theme's settings, those with the fewest errors first."""

    def order(each: Any) -> tuple[int, bool, float, str]:
        place = THEMES.index(each.theme) if each.theme in THEMES else len(THEMES)
        return place, bool(each.failure), min(each.error, 1.0), short(each.values)

    rows = [] if base is None else [[short(base["values"]), *base["cells"], "", "base"]]
    for each in sorted(compared.itertuples(), key=order):
        points = "" if isnan(each.p) else f"{each.points:+.2f}"
        verdict = f"**{each.verdict}**" if each.holds else each.verdict
        rows.append([short(each.values), *each.cells, points, verdict])
    return table([HEAD, *rows])


def _order(each: Any) -> tuple[float, str]:
    """The fewest errors against the base first; those that nothing is known of as if they had as many."""
    return 0.0 if isnan(each.points) else -each.points, short(each.values)


def _version(each: Any, recipes: Mapping[str, str]) -> str:
    other = "" if recipes.get(each.config) == each.recipe else f", another version of the recipe ({each.recipe})"
    return f"`{each.config}`{other}"


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
        accuracy_of(each.errors) if each.errors else "",
        f"{100 * (1 - high):.1f} to {100 * (1 - low):.1f}" if each.errors else "",
    ]
