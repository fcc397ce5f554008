"""The record of what was tried for Cats vs Dogs: docs/tried.md, all its numbers computed from docs/runs.csv."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import mean, median

from lit_a1.report.trials import (
    CONFIGS,
    ENSEMBLE,
    FREEDOM,
    LENGTH,
    MACHINE,
    ORDER,
    THEMES,
    Compared,
    Row,
    Setting,
    base_of,
    compare,
    known,
    noises,
    settings_of,
    short,
    theme_of,
)
from lit_a1.runs.confidence import wilson
from lit_a1.runs.significance import ALPHA
from lit_a1.runs.wording import counted, listed, percent, table
from lit_a1.studies.comparison.tables import probability, spread

FURTHER = "What would help further and was not done"
NOT_DONE = (
    "Larger pictures: the course's are 64 pixels a side; Microsoft's archive has the same photos in full.",
    "More computing: the best recipe takes minutes on a GPU; wider and deeper networks, and more epochs, would fit.",
    "Distillation from more networks than two, such as the three that `catsdogs_best` was chosen from, whose mean has "
    "fewer errors than each alone.",
    "A policy of augmentations that is searched for or drawn at random (AutoAugment, RandAugment, TrivialAugment).",
    "Optimisers that scale the gradient by curvature (Shampoo, SOAP).",
    "Labels: a few training photos show neither a cat nor a dog, or both; only exact copies that contradict each other "
    "are left out.",
    "Crops around the animal, found by the network itself: many photos show a small animal in a large room.",
)
SOURCE = "Written by `python docs/tables.py write` from [runs.csv](runs.csv)."
HEAD = ("change", "date", "seed", "epochs", "parameters", "time", "on", "error", "95 %", "points", "verdict")
KINDS = {"better": "helped", "worse": "hurt"}  # of a verdict, in the summary; others are called as they are
Place = tuple[tuple[str, str, int], int, Setting | None]
"""Recipe, epochs and base of a comparison."""


def duration(seconds: float) -> str:
    """Minutes from two on, else seconds."""
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.0f} s"


def page(rows: Sequence[Row], recipes: Mapping[str, str], source: str = SOURCE) -> str:
    """docs/tried.md.

    Args:
        rows: of docs/runs.csv, in any order; those of other configs are left out.
        recipes: the fingerprint that each config has now.
        source: says where the rows are from.

    Raises:
        SystemExit: a row's changes can't be read.
    """
    rows = sorted((row for row in rows if row["config"] in CONFIGS), key=lambda row: (row["finished"], *row.values()))
    settings = settings_of(rows)
    found = [each for each in compare(settings) if each.base or not each.setting.names <= MACHINE.names]
    letters = {machine: _letter(place) for place, machine in enumerate(dict.fromkeys(run["machine"] for run in rows))}
    parts = [
        "# What was tried for Cats vs Dogs",
        _numbers(rows, settings, source),
        *_lists(found, recipes),
        "## How to read the tables",
        _columns(settings, letters),
        _rule(settings, found),
        *_as_shipped(settings, recipes, letters),
    ]
    for title in dict.fromkeys(theme.title for theme in ORDER):
        if section := [each for each in found if theme_of(each.setting).title == title]:
            parts.append(f"## {title}")
            for place, group in _by_place(section, recipes).items():
                parts += [f"{_called(place, recipes)}:", _table(group, letters), _words(group)]
    parts += [f"## {FURTHER}", "\n".join(f"- {item}" for item in NOT_DONE)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _letter(place: int) -> str:
    return chr(ord("A") + place) if place < 26 else f"A{place}"


def _by_place(found: Sequence[Compared], recipes: Mapping[str, str]) -> dict[Place, list[Compared]]:
    """Comparisons that have the same base, or lack the same one; those of recipes as they are now come first."""
    groups: dict[Place, list[Compared]] = defaultdict(list)
    for each in found:
        groups[each.setting.recipe, (each.base or each.setting).epochs, each.base].append(each)
    return dict(sorted(groups.items(), key=lambda item: _rank(item[0][0], recipes)))


def _rank(recipe: tuple[str, str, int], recipes: Mapping[str, str]) -> tuple[int, bool]:
    return CONFIGS.index(recipe[0]), recipes.get(recipe[0]) != recipe[1]


def _called(place: Place, recipes: Mapping[str, str]) -> str:
    (config, recipe, pictures), epochs, base = place
    switches = {name: value for name, value in base.changes.items() if name != LENGTH} if base else {}
    also = f", {short(switches)}" if switches else ""
    return f"`{config}`{_version(config, recipe, recipes)}, {counted(epochs, 'epoch')}, {pictures:,} photos{also}"


def _version(config: str, recipe: str, recipes: Mapping[str, str]) -> str:
    return "" if recipes.get(config) == recipe else f", another version of the recipe ({recipe})"


def _numbers(rows: Sequence[Row], settings: Sequence[Setting], source: str) -> str:
    """How much was done, when and where."""
    if not rows:
        return f"No run is recorded yet. {source}"
    hours = sum(float(row["seconds"]) for row in rows if row["config"] != ENSEMBLE) / 3600
    days = sorted({row["finished"][:10] for row in rows})
    when = f"on {days[0]}" if len(days) == 1 else f"from {days[0]} to {days[-1]}"
    said = [
        f"{counted(len(rows), 'run')} of {counted(len(settings), 'setting')}, {when}: {hours:.1f} hours of training."
    ]
    if any(row["config"] == ENSEMBLE for row in rows):
        said.append("(The hours of an ensemble are those of its members, which are not counted twice.)")
    if again := len(rows) - sum(len(setting.runs) for setting in settings):
        said.append(f"{counted(again, 'run')} had the setting and the seed of a newer one, which counts instead.")
    return " ".join([*said, source])


def _lists(found: Sequence[Compared], recipes: Mapping[str, str]) -> list[str]:
    """What helped, what hurt and what made no difference, for each base."""
    if not found:
        return ["Nothing was changed yet: there is nothing to compare."]
    parts = []
    for place, group in _by_place(found, recipes).items():
        kinds: dict[str, list[str]] = {}
        if any(each.p is not None for each in group):
            kinds = {"helped": [], "hurt": [], "inside the noise": []}
        for each in sorted(group, key=lambda each: (each.difference, short(each.setting.changes))):
            points = f" ({_points(each)})" if each.p is not None else ""
            kinds.setdefault(KINDS.get(each.verdict, _kind(each)), []).append(short(each.setting.changes) + points)
        lines = [f"- **{kind.capitalize()}**: {'; '.join(items) or 'nothing'}" for kind, items in kinds.items()]
        parts += [f"{_called(place, recipes)}:", "\n".join(lines)]
    return parts


def _columns(settings: Sequence[Setting], letters: Mapping[str, str]) -> str:
    said = [
        "A row is a setting, a table has one base: the same recipe, length and photos, without the change (and with "
        "the same switches of precision and compilation, where there is such a run). The error is that of the last "
        "epoch, because the best epoch is chosen on the same photos; the interval beside it is Wilson's, and says what "
        "the error might be on all such photos. Points are the error minus the base's, in percent of the photos: below "
        "zero is better. Epochs and time are a run's own, also where it goes on from the weights of others.",
    ]
    if any(setting.recipe[0] == ENSEMBLE for setting in settings):
        said.append(
            "An ensemble's are the sums of its members', and its seeds are theirs. Its members, which may differ in "
            "more than their seed, are the best epochs of their runs, chosen on these photos, or published weights; "
            "its rows differ in how they were trained."
        )
    if any(len(setting.runs) > 1 for setting in settings):
        said.append(
            "Of several seeds a row has the mean error ± the standard deviation, the median time and the last date."
        )
    machines = "; ".join(f"{letter}: {machine}" for machine, letter in letters.items())
    return " ".join(said) + f"\n\nWhat they ran on, in the column *on*: {machines}." * bool(machines)


def _rule(settings: Sequence[Setting], found: Sequence[Compared]) -> str:
    """What is called better or worse, and how often chance would be."""
    said = [
        f"A setting is better or worse where a two-sided t test of the mean errors finds p below {ALPHA:g}, the noise "
        "being the standard deviation between seeds, pooled over all settings of a config that have several; otherwise "
        f"it is inside the noise. Where the seeds leave fewer than {FREEDOM} degrees of freedom, the binomial "
        "deviation of one error stands in, which overstates that noise, because all networks see the same photos. It "
        "is the noise of training: other photos would add their own."
    ]
    noise = noises(settings)
    for key in sorted({each.setting.measured for each in found if each.p is not None}):
        if key in noise:
            used = "used" if known(noise[key]) else "too few, the binomial one is used"
            freedom = f"{noise[key].freedom:.0f} degree{'s' * (noise[key].freedom != 1)} of freedom"
            said.append(f"`{key[0]}`: {100 * noise[key].deviation:.2f} points between seeds, {freedom} ({used}).")
        else:
            said.append(f"`{key[0]}`: no setting has several seeds yet, the binomial one is used.")
    if tests := sum(each.p is not None for each in found):
        said.append(
            f"Of {counted(tests, 'comparison')}, {ALPHA * tests:.1f} would be called better or worse by chance alone; "
            f"**bold** ones, {sum(each.holds for each in found)} of them, are so after Holm's correction for all too."
        )
    return " ".join(said)


def _as_shipped(settings: Sequence[Setting], recipes: Mapping[str, str], letters: Mapping[str, str]) -> list[str]:
    """The recipes without a change, or with their machine's alone, which are not compared with each other."""
    plain = [
        setting
        for setting in settings
        if not setting.changes or (setting.names <= MACHINE.names and base_of(setting, settings) is None)
    ]
    if not plain:
        return []
    plain.sort(key=lambda each: _rank(each.recipe, recipes))
    rows = [[_recipe(each, recipes), *_cells(each, letters), each.failure] for each in plain]
    heads = ["recipe", *HEAD[1:-2], "failed"]
    if not any(each.failure for each in plain):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    words = "None of them ended with a finite error."
    if measured := [each for each in plain if not each.failure]:
        best = min(measured, key=lambda each: mean(each.errors))
        error = f"{percent(mean(best.errors))} after {counted(best.epochs, 'epoch')}"
        words = f"Smallest error: {_recipe(best, recipes)}, {error}." if len(plain) > 1 else f"The error is {error}."
    return ["## The recipes as they are", table([heads, *rows]), words]


def _recipe(setting: Setting, recipes: Mapping[str, str]) -> str:
    switches = f", {short(setting.changes)}" * bool(setting.changes)
    return f"`{setting.recipe[0]}`{switches}{_version(*setting.recipe[:2], recipes)}"


def _cells(setting: Setting, letters: Mapping[str, str]) -> list[str]:
    """From the date to the interval."""
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


def _points(each: Compared) -> str:
    return f"{100 * each.difference:+.2f}"


def _table(group: Sequence[Compared], letters: Mapping[str, str]) -> str:
    """The base, then each theme's settings, those with the fewest errors first."""
    base = group[0].base
    rows = [[short(base.changes), *_cells(base, letters), "", "base"]] if base else []

    def order(each: Compared) -> tuple[int, bool, float, str]:
        theme = theme_of(each.setting)
        place = THEMES.index(theme) if theme in THEMES else len(THEMES)
        return place, bool(each.setting.failure), mean(each.setting.errors or [1.0]), short(each.setting.changes)

    for each in sorted(group, key=order):
        verdict = f"**{each.verdict}**" if each.holds else each.verdict
        points = _points(each) if each.p is not None else ""
        rows.append([short(each.setting.changes), *_cells(each.setting, letters), points, verdict])
    return table([HEAD, *rows])


def _words(group: Sequence[Compared]) -> str:
    """What was best, and whether that is more than noise."""
    tested = [each for each in group if each.p is not None]
    if not tested and any(each.base is None for each in group):
        return "There is no run of the base: nothing is compared."
    if not tested:
        return "None of them ended with a finite error: there is nothing to compare."
    best = min(tested, key=lambda each: (each.difference, short(each.setting.changes)))
    name, points = short(best.setting.changes), f"{100 * abs(best.difference):.2f} points"
    sure = "inside the noise" if best.verdict == "inside the noise" else "more than noise"
    chance = f"{sure} (p {probability(best.p or 0.0)})"
    if best.difference < 0:
        said = f"Best is {name}, {points} better than the base: {chance}."
    elif best.difference == 0:
        said = f"None is better than the base; {name} has its error."
    else:
        said = f"None is better than the base; {name}, the nearest, is {points} worse: {chance}."
    verdicts = [_kind(each) for each in group]
    if len(group) > 1:
        counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(sorted(verdicts))]
        said += f" Of {counted(len(group), 'setting')}: {listed(counts)}."
    return said
