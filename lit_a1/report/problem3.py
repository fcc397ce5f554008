"""Problem 3: Cats vs Dogs."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from lit_a1.analysis.comparison_runs import Run, fit_command
from lit_a1.report import blocks
from lit_a1.report.document import Block, Missing, Section, Text
from lit_a1.report.further import further
from lit_a1.report.gather import Gathered
from lit_a1.report.looking import analyze_command, looking, part_section
from lit_a1.report.photos import photos
from lit_a1.report.rows import RUNS, fingerprint, read_rows, row_of, shipped
from lit_a1.report.trials import CONFIGS, ENSEMBLE, TRIAL, Row
from lit_a1.report.tried import FURTHER, page
from lit_a1.runs import DRAWN, near
from lit_a1.wording import percent

RECIPES = ("catsdogs", "catsdogs_best", "catsdogs_gpu")


def problem3(found: Gathered, work: Path) -> Section:
    """The section, with a sub-section for each of the assignment's questions.

    Args:
        found: what has been run.
        work: a folder for figures.
    """
    there = [name for name in RECIPES if found.trainings(name)]
    best = best_run(found, there)
    rows = rows_of(found)
    sections = [] if found.drawn else [photos()]
    sections += [_architecture(found, best), _curves(found, there, work), _hyperparameters(found, rows)]
    seen = looked_into(found, there)
    if seen is not None:
        sections.append(looking(found, seen, "catsdogs", seen.folder.parent.name.removesuffix(DRAWN)))
    sections += [further(found, best, rows), _test(found, seen)]
    return Section("Problem 3: Cats vs Dogs", "problem-3", [], sections)


def best_run(found: Gathered, names: Sequence[str]) -> Run | None:
    """The run of a single network with the smallest validation error in its last epoch."""
    return next(iter(_ranked(found, names)), None)


def looked_into(found: Gathered, names: Sequence[str]) -> Run | None:
    """The best run that `analyze` has looked into; the best of all where there is none."""
    ranked = _ranked(found, names)
    return next((run for run in ranked if found.looked(run.folder) is not None), ranked[0] if ranked else None)


def _ranked(found: Gathered, names: Sequence[str]) -> list[Run]:
    runs = [run for name in names for run in found.alike(name) if blocks.final(run) is not None]
    return sorted(runs, key=lambda run: run.record["last"]["val/error"])


def rows_of(found: Gathered) -> list[Row]:
    """A row for each run of Cats vs Dogs: those below the folder of runs, and those that come with the project."""
    if found.drawn:
        return []
    here = [row_of(run.folder) for name in CONFIGS for run in found.trainings(name)]
    return [*here, *(row for row in read_rows() if row["config"] in CONFIGS and row not in here)]


def _architecture(found: Gathered, best: Run | None) -> Section:
    parts: list[Block] = [
        Text("*Describe the architecture: the layers, their filters, pooling and activations; count the parameters.*")
    ]
    if best is not None:
        parts.append(
            Text(
                f"The best single network is that of `{near(best.folder)}`; it has {best.record['parameters']:,} "
                "parameters. Convolution, pooling, linear layers, ReLU and cross-entropy are PyTorch's; everything "
                "else is written in this project: norms, optimiser, schedule, augmentation, averaging."
            )
        )
    parts += blocks.layers(best, RECIPES[0])
    return Section("Architecture", "catsdogs-architecture", parts)


def _curves(found: Gathered, there: Sequence[str], work: Path) -> Section:
    parts: list[Block] = [Text("*Plot loss and error in training and in validation; comment.*")]
    for name in RECIPES[:2]:
        parts += blocks.trained(found, name, fit_command(name, found.drawn))
    for name in there:
        runs = found.alike(name)
        parts += [Text(f"**`{name}`**"), *blocks.results(runs, "validation photos"), blocks.curves(runs, work)]
        parts.append(Text(gap(runs)))
    if ensemble := found.trainings(ENSEMBLE):
        parts += [Text(f"**`{ENSEMBLE}`**, the mean of several networks' probabilities"), Text(_ensemble(ensemble[-1]))]
    return Section("Training", "catsdogs-training", parts)


def gap(runs: Sequence[Run]) -> str:
    """Whether the networks know the training pictures better than others, and whether the loss still falls."""
    ends = [run.record["last"] for run in runs if "val/error" in run.record["last"]]
    if not ends:
        return "The last epoch was not validated."
    exact = all("train_eval/error" in row for row in ends)
    part = "train_eval" if exact else "train"
    train, valid = (mean(row[f"{name}/error"] for row in ends) for name in (part, "val"))
    how = "measured as those of validation" if exact else "as training ran, on augmented pictures"
    side = "fewer" if train < valid else "no fewer"
    said = [
        f"At the end {percent(train)} of the training pictures are wrong ({how}) and {percent(valid)} of the "
        f"validation pictures, a gap of {100 * (valid - train):+.2f} points: the network makes {side} mistakes on "
        "pictures that it learnt from."
    ]
    if len(runs) == 1:
        measured = [row for row in runs[0].epochs if "val/loss" in row]
        if len(measured) > 1:
            low = min(measured, key=lambda row: row["val/loss"])
            last = measured[-1]
            if low is last:
                said.append("The validation loss is smallest in the last epoch that was measured.")
            else:
                said.append(
                    f"The validation loss is smallest after epoch {int(low['epoch']) + 1}, {low['val/loss']:.4f}, and "
                    f"{last['val/loss']:.4f} at the end, while the validation error goes from "
                    f"{percent(low['val/error'])} to {percent(last['val/error'])}."
                )
    return " ".join(said)


def _ensemble(run: Run) -> str:
    members = run.record.get("members", [])
    error = run.record["last"]["val/error"]
    best = min(member["val/error"] for member in members)
    pictures = run.record["pictures"]["val"]
    fewer = round((best - error) * pictures)
    return (
        f"The mean of {len(members)} networks gets {percent(error)} of {pictures:,} validation photos wrong; the best "
        f"of them alone, {percent(best)}: {fewer} mistakes fewer. Source: `{near(run.folder / 'record.json')}`, seeds "
        f"{', '.join(map(str, run.record['seed']))}, commit {run.record['commit']}, {run.record['machine']}."
    )


def _hyperparameters(found: Gathered, rows: Sequence[Row]) -> Section:
    question = "*Compare hyper-parameters, with the final results on the validation set.*"
    section = Section("Hyper-parameters compared", "catsdogs-hyperparameters", [Text(question)])
    command = f"python main.py fit --config configs/{TRIAL}.yaml --model.norm group"
    if not rows:
        section.blocks.append(Missing("No trial of a hyper-parameter has been recorded.", command))
        return section
    configs = {row["config"] for row in rows}
    text = page(list(rows), {config: fingerprint(shipped(config)) for config in configs}, source=_where(found, rows))
    top, parts = blocks.split_markdown(text)
    section.blocks.append(Text(top))
    section.sections = [
        Section(heading, f"trials-{blocks.slug(heading)}", [Text(body)])
        for heading, body in parts
        if heading != FURTHER
    ]
    return section


def _where(found: Gathered, rows: Sequence[Row]) -> str:
    here = sum(len(found.trainings(name)) for name in CONFIGS)
    parts = [f"{here} of them below `{near(found.logs)}`"] * bool(here)
    parts += [f"{len(rows) - here} in `docs/{RUNS.name}`, which has a commit and a machine for each"] * (
        len(rows) > here
    )
    return f"Sources: {' and '.join(parts)}."


def _test(found: Gathered, best: Run | None) -> Section:
    section = Section("Validation against test", "catsdogs-test", [Text("*Compare validation and test performance.*")])
    if best is None:
        section.blocks.append(Missing("No network has been trained.", fit_command(RECIPES[0], found.drawn)))
        return section
    config = best.folder.parent.name.removesuffix(DRAWN)
    command = analyze_command(found, best, config)
    looked = found.looked(best.folder)
    if looked is None or "generalisation" not in looked.parts:
        section.blocks.append(Missing("The answers on the test pictures have not been looked at.", command))
        return section
    part = part_section(looked, "generalisation", "catsdogs", command)
    section.blocks += part.blocks
    return section
