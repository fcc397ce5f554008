"""The record of what was tried for Cats vs Dogs: docs/tried.md, all its numbers computed from docs/runs.csv."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import NamedTuple

from lit_a1.report import trials
from lit_a1.report.recipes import MACHINE, Row
from lit_a1.report.trials import CONFIGS, ENSEMBLE, LENGTH, THEMES, TITLES, Compared, RunGroup, short
from lit_a1.runs.statistics import ALPHA, wilson
from lit_a1.runs.templates import render
from lit_a1.runs.wording import counted, duration, percent, probability, spread, table

FURTHER = "What would help further and was not done"
SOURCE = "Written by `python docs/tables.py write` from [runs.csv](runs.csv)."
HEAD = ("change", "date", "seed", "epochs", "parameters", "time", "on", "error", "95 %", "points", "verdict")
SUMMARY = {"better": "helped", "worse": "hurt"}  # verdicts as the summary calls them


class Group(NamedTuple):
    """Comparisons that have the same base, or lack the same one."""

    name: str
    base: RunGroup | None
    compared: list[Compared]

    @property
    def tested(self) -> list[Compared]:
        """Those that have a base and an error."""
        return [each for each in self.compared if each.p is not None]

    @property
    def best(self) -> Compared:
        """The one with the fewest errors of those that were tested."""
        return min(self.tested, key=lambda each: (each.difference, short(each.setting.changes)))

    @property
    def verdicts(self) -> list[str]:
        """`3 better`, `1 diverged`: how many have each verdict, whatever the number of runs that failed."""
        kinds = [_kind(each) for each in self.compared]
        return [f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))]

    @property
    def summary(self) -> dict[str, list[str]]:
        """The changes that helped, that hurt and that made no difference, with their points."""
        kinds: dict[str, list[str]] = {"helped": [], "hurt": [], "inside the noise": []} if self.tested else {}
        for each in sorted(self.compared, key=lambda each: (each.difference, short(each.setting.changes))):
            points = "" if each.p is None else f" ({100 * each.difference:+.2f})"
            kind = _kind(each)
            kinds.setdefault(SUMMARY.get(kind, kind), []).append(short(each.setting.changes) + points)
        return kinds


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
    settings = trials.settings_of(rows)
    found = [each for each in trials.compare(settings) if each.base or not each.setting.options <= MACHINE]
    machines = dict.fromkeys(row["machine"] for row in rows)
    letters = {name: chr(65 + place) if place < 26 else f"A{place}" for place, name in enumerate(machines)}
    themes = {title: [each for each in found if each.setting.theme.title == title] for title in TITLES}
    return render(
        "report/tried.md.j2",
        rows=rows,
        settings=settings,
        seconds=sum(float(row["seconds"]) for row in rows if row["config"] != ENSEMBLE),
        days=sorted({row["finished"][:10] for row in rows}),
        repeated=len(rows) - sum(len(setting.runs) for setting in settings),
        ensembles=any(row["config"] == ENSEMBLE for row in rows),
        several_seeds=any(len(setting.runs) > 1 for setting in settings),
        source=source,
        letters=letters,
        summaries=_groups(found, recipes),
        alpha=ALPHA,
        least_freedom=trials.FREEDOM,
        noises=trials.noises(settings),
        measured=sorted({each.setting.measured for each in found if each.p is not None}),
        tests=sum(each.p is not None for each in found),
        holding=sum(each.holds for each in found),
        **_as_shipped(settings, recipes, letters),
        sections={title: _groups(compared, recipes) for title, compared in themes.items() if compared},
        comparisons=lambda group: _comparisons(group, letters),
        short=short,
        probability=probability,
        further=FURTHER,
    )


def _groups(found: Sequence[Compared], recipes: Mapping[str, str]) -> list[Group]:
    """Comparisons by their base; those of recipes as they are now come first."""
    groups: dict[tuple[tuple[str, str, int], int, RunGroup | None], list[Compared]] = defaultdict(list)
    for each in found:
        groups[each.setting.recipe, (each.base or each.setting).epochs, each.base].append(each)
    ordered = sorted(groups.items(), key=lambda item: _rank(item[0][0], recipes))
    named = []
    for (recipe, epochs, base), compared in ordered:
        switches = {name: value for name, value in base.changes.items() if name != LENGTH} if base else {}
        name = f"{_version(recipe, recipes)}, {counted(epochs, 'epoch')}, {recipe[2]:,} photos"
        named.append(Group(name + (f", {short(switches)}" if switches else ""), base, compared))
    return named


def _rank(recipe: tuple[str, str, int], recipes: Mapping[str, str]) -> tuple[int, bool]:
    return CONFIGS.index(recipe[0]), recipes.get(recipe[0]) != recipe[1]


def _version(recipe: tuple[str, str, int], recipes: Mapping[str, str], switches: str = "") -> str:
    config, version, _ = recipe
    other = "" if recipes.get(config) == version else f", another version of the recipe ({version})"
    return f"`{config}`{switches}{other}"


def _as_shipped(
    settings: Sequence[RunGroup], recipes: Mapping[str, str], letters: Mapping[str, str]
) -> dict[str, object]:
    """The recipes without a change, or with their machine's alone, which are not compared with each other."""
    as_is = [each for each in settings if each.options <= MACHINE]
    plain = [each for each in as_is if not each.changes or trials.base_of(each, settings) is None]
    plain.sort(key=lambda each: _rank(each.recipe, recipes))
    names = {each: _version(each.recipe, recipes, f", {short(each.changes)}" if each.changes else "") for each in plain}
    rows = [[names[each], *_cells(each, letters), each.failure] for each in plain]
    heads = ["recipe", *HEAD[1:-2], "failed"]
    if not any(each.failure for each in plain):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    best = min((each for each in plain if not each.failure), key=lambda each: mean(each.errors), default=None)
    return {
        "recipes": table([heads, *rows]) if rows else "",
        "best": names[best] if best and len(plain) > 1 else "",
        "smallest": f"{percent(mean(best.errors))} after {counted(best.epochs, 'epoch')}" if best else "",
    }


def _comparisons(group: Group, letters: Mapping[str, str]) -> str:
    """A table of the base, then each theme's settings, those with the fewest errors first."""

    def order(each: Compared) -> tuple[int, bool, float, str]:
        theme = each.setting.theme
        place = THEMES.index(theme) if theme in THEMES else len(THEMES)
        return place, bool(each.setting.failure), mean(each.setting.errors or [1.0]), short(each.setting.changes)

    rows = [[short(group.base.changes), *_cells(group.base, letters), "", "base"]] if group.base else []
    for each in sorted(group.compared, key=order):
        points = "" if each.p is None else f"{100 * each.difference:+.2f}"
        verdict = f"**{each.verdict}**" if each.holds else each.verdict
        rows.append([short(each.setting.changes), *_cells(each.setting, letters), points, verdict])
    return table([HEAD, *rows])


def _cells(setting: RunGroup, letters: Mapping[str, str]) -> list[str]:
    """A row of a table from the date to the interval."""
    runs, errors = setting.runs, setting.errors
    error = interval = ""
    if errors:
        error = spread(errors) if len(errors) > 1 else percent(errors[0])
        low, high = wilson(mean(errors), setting.recipe[2])
        interval = f"{100 * low:.1f} to {100 * high:.1f}"
    return [
        max(run["finished"] for run in runs)[:10],
        ", ".join(sorted((run["seed"] for run in runs), key=lambda seed: (len(seed), seed))),
        str(setting.epochs),
        f"{int(runs[-1]['parameters']) / 1e6:.2f} M",
        duration(median(float(run["seconds"]) for run in runs)),
        ", ".join(sorted({letters[run["machine"]] for run in runs})),
        error,
        interval,
    ]


def _kind(each: Compared) -> str:
    """The verdict without the number of runs that failed."""
    return each.verdict.partition(" (")[0]
