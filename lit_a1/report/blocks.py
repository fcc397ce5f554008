"""Blocks that several sections are made of: results of runs, curves, layers."""

import contextlib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from lit_a1.commands.architecture import architecture_of, shape_words
from lit_a1.environment import REPOSITORY
from lit_a1.report.document import Block, Figure, Missing, Table, Text
from lit_a1.report.gather import RECORDED, Gathered, shown, sources
from lit_a1.report.outcomes import gap_in_words
from lit_a1.report.plan import Commands, weights_of
from lit_a1.report.rows import changes, is_shipped, read_rows, shipped, test_figures
from lit_a1.report.tried import duration
from lit_a1.runs.confidence import wilson
from lit_a1.runs.folders import DRAWN, RECORD_FILE, CheckpointError, near
from lit_a1.runs.settings import UsageError
from lit_a1.runs.wording import counted, percent
from lit_a1.studies.comparison.runs import Run
from lit_a1.studies.comparison.tables import spread
from lit_a1.studies.curves import draw


def trained(found: Gathered, name: str) -> list[Block]:
    """A note for each run of an experiment that did not end or has lost a file, and one where none ended."""
    notes: list[Block] = [Missing(each.reason) for each in found.unfinished(name)]
    runs = found.trainings(name)
    for run in runs:
        lost = [which for which in ("best", "last") if not weights_of(run, which).is_file()]
        if lost:
            notes.append(Missing(f"`{near(run.folder)}` has lost its weights: {' and '.join(lost)} in `checkpoints`."))
        if (run.folder / "test.json").is_file() and not test_figures(run.folder):
            notes.append(Missing(f"`{near(run.folder / 'test.json')}` is damaged: its test is left out."))
    if not runs:
        commands, words = Commands(found), f"There is no finished run of `{name}` below `{near(found.folder(name))}`."
        words += "" if commands.suits_this_machine(name) else " It is a recipe for a GPU, which this machine lacks."
        notes.append(Missing(words, commands.fit(name).command))
        notes += [] if found.drawn(name) else recorded(name)
    elif len(shown := found.alike(name)) < len(runs):
        kept = ", ".join(run.name for run in shown)
        notes.append(
            Text(f"Shown of {len(runs)} finished runs of `{name}`: {kept}, the newest of each seed with its settings.")
        )
    return notes


def trainings(found: Gathered, wanted: Sequence[str], there: Sequence[str], what: str, work: Path) -> list[Block]:
    """Results, curves and what they say of each recipe that was trained; what is missing of those that should be.

    Args:
        found: what has been run.
        wanted: recipes that belong to the assignment.
        there: recipes with a finished run.
        what: is measured, `validation digits`.
        work: a folder for figures.
    """
    parts = [block for name in wanted for block in trained(found, name)]
    for name in there:
        runs = found.alike(name)
        parts += [Text(f"**`{name}`**"), *results(runs, what), curves(runs, work), Text(gap_in_words(runs))]
    return parts


def recorded(name: str) -> list[Block]:
    """The runs of a recipe, as it is now, that come with the project."""
    newest = {row["seed"]: row for row in read_rows() if row["config"] == name and is_shipped(row)}
    rows = [newest[seed] for seed in sorted(newest)]
    if not rows:
        return []
    caption = (
        f"Recorded runs of `{name}` that come with the project: errors of the last epoch on "
        f"{int(rows[0]['val_pictures']):,} validation pictures, and on the test pictures where these have labels."
    )
    cells = [
        [
            row["seed"],
            row["epochs"],
            f"{int(row['parameters']):,}",
            percent(float(row["last_val_error"])),
            percent(float(row["test_error"])) if row["tested"] == "last" else "",
            duration(float(row["seconds"])),
            row["commit"],
            row["machine"],
        ]
        for row in rows
    ]
    heads = ["seed", "epochs", "parameters", "validation error", "test error", "time", "commit", "machine"]
    parts: list[Block] = [Table(caption, heads, cells, "docs/runs.csv", text_columns=0)]
    if (path := RECORDED / name / "curves.png").is_file():
        source = f"docs/studies/{name}/curves.csv"
        parts.append(Figure(path, f"The curves of the recorded run of `{name}`.", f"Loss and error of {name}.", source))
    return parts


# results


def final(run: Run) -> float | None:
    """Validation error of the last epoch; None where it was not measured."""
    return run.record["last"].get("val/error")


def results(runs: Sequence[Run], what: str) -> list[Block]:
    """A sentence on the errors of the last epoch and a table with a row for each run.

    Args:
        runs: of one recipe, one at least.
        what: is measured, `validation digits`.
    """
    rows = []
    for run in runs:
        record, test = run.record, test_figures(run.folder)
        last, best = record["last"], record["best"]
        known = "train_eval/error" if "train_eval/error" in last else "train/error"
        rows.append(
            [
                run.folder.parent.name + "/" + run.name,
                str(run.seed),
                f"{int(last['epoch']) + 1}",
                percent(last[known]) if known in last else "",
                percent(last["val/error"]) if "val/error" in last else "not measured",
                f"{percent(best['val/error'])} ({int(best['epoch']) + 1})" if "val/error" in best else "",
                f"{percent(test['test/error'])} ({Path(test['checkpoint']).stem})" if test else "",
                duration(record["seconds"]),
            ]
        )
    heads = ["run", "seed", "epochs", "training error", "validation error", "at best (epoch)", "test error (weights)"]
    kept = [place for place in range(len(heads) + 1) if any(row[place] for row in rows)]
    heads = [[*heads, "time"][place] for place in kept]
    measured = "measured after the last epoch" if "train_eval/error" in runs[0].record["last"] else "as training ran"
    caption = (
        f"Errors of the last epoch on {runs[0].record['pictures']['val']:,} {what}, and of the epoch with the smallest "
        f"validation error, which that choice flatters. The training error is {measured}."
    )
    return [
        Text(errors_in_words(runs, what) + _changed(runs[0])),
        Table(caption, heads, [[row[place] for place in kept] for row in rows], f"{RECORD_FILE} of {sources(runs)}"),
    ]


def errors_in_words(runs: Sequence[Run], what: str) -> str:
    """The validation error of the last epoch, over seeds or with its interval; likewise of the test."""
    errors = [error for run in runs if (error := final(run)) is not None]
    if not errors:
        return "The validation error of the last epoch was not measured."
    count = runs[0].record["pictures"]["val"]
    low, high = wilson(mean(errors), count)
    many = f" (mean ± standard deviation over {counted(len(errors), 'seed')})" if len(errors) > 1 else ""
    said = (
        f"After the last epoch the validation error is **{several(errors)}**{many}, an "
        f"accuracy of {percent(1 - mean(errors))}; the choice of {count:,} {what} leaves {percent(low)} to "
        f"{percent(high)} (95 %, Wilson)."
    )
    if tests := last_tests(runs):
        some = f" ({len(tests)} of {len(runs)} runs)" * (len(tests) < len(runs))
        said += f" The test error of the same weights is {several(tests)}{some}."
    return said


def several(errors: Sequence[float]) -> str:
    """Mean and standard deviation of errors; of a single one itself."""
    return percent(errors[0]) if len(errors) == 1 else spread(errors)


def last_tests(runs: Sequence[Run]) -> list[float]:
    """Test errors of the last weights, of the runs where they were measured."""
    tests = [test_figures(run.folder) for run in runs]
    return [test["test/error"] for test in tests if test and Path(test["checkpoint"]).stem == "last"]


def _changed(run: Run) -> str:
    """In what a run differs from its YAML, such as fewer epochs."""
    name = run.folder.parent.name.removesuffix(DRAWN)
    if not (REPOSITORY / "configs" / f"{name}.yaml").is_file():
        return ""
    try:
        found = changes(run.record["settings"], shipped(name))
    except UsageError as error:
        return f" Whether it is as `configs/{name}.yaml` has it can't be told. {error}"
    return f" **Not as `configs/{name}.yaml` has it**: {found}." if found else ""


def curves(runs: Sequence[Run], work: Path) -> Figure:
    """Draws the curves of runs of one recipe."""
    name = runs[0].folder.parent.name
    draw(work / f"curves-{name}.png", runs)
    return Figure(
        work / f"curves-{name}.png",
        f"Loss and error of `{name}` in training and in validation, against the epochs done; the axis of the error is "
        "logarithmic.",
        f"Loss on the left and error on the right, against the epoch. {plain(errors_in_words(runs, 'pictures'))}",
        sources(runs),
    )


def layers(run: Run | None, name: str) -> list[Block]:
    """The table of layers of the network that a run trained; without a run, of the recipe as it is shipped."""
    path = REPOSITORY / "configs" / f"{name}.yaml" if run is None else run.folder / "config.yaml"
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            network, found = architecture_of(["--config", str(path)])
    except (SystemExit, OSError, ValueError, TypeError, CheckpointError) as error:
        reason = said.getvalue().strip().splitlines()[-1:] or [str(error)]
        return [Missing(f"The layers of `{near(path)}` can't be listed: {reason[0].removeprefix('error: ')}")]
    rows = [
        [layer.name, layer.kind, *map(shape_words, (layer.filter, layer.stride, layer.shape)),
         f"{layer.parameters:,}", f"{layer.multiply_adds:,}"]
        for layer in found.layers
    ]  # fmt: skip
    rows.append(["total", "", "", "", "", f"{found.parameters:,}", f"{found.multiply_adds:,}"])
    caption = (
        f"Layers of {network}, in the order in which a picture meets them: filter, stride and output in pixels, "
        "parameters, and multiply-adds for one picture."
    )
    heads = ["layer", "kind", "filter", "stride", "output", "parameters", "multiply-adds"]
    return [Table(caption, heads, rows, str(shown(path)), text_columns=2)]


def plain(markdown: str) -> str:
    """Words without the marks of Markdown, for those who hear them."""
    return re.sub(r"[*`]", "", markdown)


def drawn_note(found: Gathered) -> list[Block]:
    """Says that pictures are a stand-in."""
    kinds = {"digits": found.drawn_digits, "cats and dogs": found.drawn_photos}
    if not any(kinds.values()):
        return []
    return [
        Text(
            f"**The {' and the '.join(kind for kind, drawn in kinds.items() if drawn)} in this report are not the real "
            f"ones: the project drew them itself (folders whose names end in `{DRAWN}`). Their figures say nothing "
            "about MNIST or about the course's photos.**"
        )
    ]
