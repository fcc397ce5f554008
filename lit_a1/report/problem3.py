"""Problem 3: Cats vs Dogs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lit_a1.report import blocks, study
from lit_a1.report.document import Block, Missing, Section, Table, Text
from lit_a1.report.further import further
from lit_a1.report.gather import Gathered, looked, shown
from lit_a1.report.looking import ELSEWHERE, looking, part_section
from lit_a1.report.outcomes import joint, joint_in_words
from lit_a1.report.photos import photos
from lit_a1.report.plan import PHOTOS, Commands
from lit_a1.report.rows import RUNS, fingerprint, identity, read_rows, row_of, shipped
from lit_a1.report.trials import CONFIGS, ENSEMBLE, RECIPES, Row
from lit_a1.report.tried import FURTHER, page
from lit_a1.runs.folders import DRAWN, near
from lit_a1.runs.settings import UsageError
from lit_a1.studies.comparison.runs import Run

PRETRAINED_FOLDER = "analysis-pretrained"
"""Where `analyze --ckpt_path pretrained` leaves what it found."""


class Trials(NamedTuple):
    """All runs of Cats vs Dogs."""

    rows: list[Row]
    places: list[str]
    """Of each row: the folder of its run, or the CSV that it comes from."""
    unknown: list[str]
    """Sentences on runs that can't be read."""


def problem3(found: Gathered, work: Path) -> Section:
    """The section, with a sub-section for each of the assignment's questions.

    Args:
        found: what has been run.
        work: a folder for figures.
    """
    there = [name for name in RECIPES if found.trainings(name)]
    ranked = rank(found, there)
    best = ranked[0] if ranked else None
    trials = trials_of(found)
    folder, seen, name = _looked_into(found, ranked)
    command = Commands(found).analyze(name, seen).command
    look = looking(folder, seen, "catsdogs", name, command)
    if best is not None and seen is not best:
        own = best.folder.parent.name.removesuffix(DRAWN)
        words = f"The best single network, `{near(best.folder)}`, has not been looked into; this is another one."
        look.blocks.insert(0, Missing(words, Commands(found).analyze(own, best).command))
    sections = [] if found.drawn_photos else [photos()]
    sections += [_architecture(found, best), _curves(found, there, work), _hyperparameters(found, trials), look]
    sections += [further(found, best, looked(folder), trials.rows), _test(folder, command)]
    return Section("Problem 3: Cats vs Dogs", "problem-3", [], sections)


def rank(found: Gathered, names: Sequence[str]) -> list[Run]:
    """Runs of single networks, the smallest validation error of the last epoch first."""
    runs = [run for name in names for run in found.alike(name) if blocks.final(run) is not None]
    return sorted(runs, key=lambda run: run.record["last"]["val/error"])


def _looked_into(found: Gathered, ranked: Sequence[Run]) -> tuple[Path, Run | None, str]:
    """Folder, run and experiment of the best network that `analyze` has looked into; else of the best."""
    for run in ranked:
        if looked(run.folder / "analysis") is not None:
            return run.folder / "analysis", run, run.folder.parent.name.removesuffix(DRAWN)
    for name in reversed(RECIPES):
        if looked(found.folder(name) / PRETRAINED_FOLDER) is not None:
            return found.folder(name) / PRETRAINED_FOLDER, None, name
    if ranked:
        return ranked[0].folder / "analysis", ranked[0], ranked[0].folder.parent.name.removesuffix(DRAWN)
    return found.folder(RECIPES[0]) / "version_0" / "analysis", None, RECIPES[0]


def trials_of(found: Gathered) -> Trials:
    """A row for each run: those below the folder of runs, and those that come with the project."""
    trials = Trials([], [], [])
    known = set()
    for run in [run for name in CONFIGS for run in found.trainings(name)]:
        try:
            row = row_of(run.folder)
        except UsageError as error:
            trials.unknown.append(f"`{near(run.folder)}` can't be compared. {error}")
            continue
        trials.rows.append(row)
        trials.places.append(str(shown(run.folder)))
        known.add(identity(row))
    for row in [] if found.drawn_photos else read_rows():
        if row["config"] in CONFIGS and identity(row) not in known:
            trials.rows.append(row)
            trials.places.append(f"docs/{RUNS.name}")
    return trials


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
    parts += blocks.trainings(found, PHOTOS, there, "validation photos", work)
    both = joint(found)
    if both is None:
        parts.append(Missing(f"No ensemble (`{ENSEMBLE}`) has been measured.", Commands(found).ensemble().command))
    else:
        parts += [Text(f"**`{ENSEMBLE}`**, the mean of several networks' probabilities"), Text(joint_in_words(both))]
    return Section("Training", "catsdogs-training", parts)


def _hyperparameters(found: Gathered, trials: Trials) -> Section:
    question = "*Compare hyper-parameters, with the final results on the validation set.*"
    section = Section("Hyper-parameters compared", "catsdogs-hyperparameters", [Text(question)])
    section.blocks += [Missing(sentence) for sentence in trials.unknown]
    if not trials.rows:
        command = Commands(found).trial().command
        section.blocks.append(Missing("No trial of a hyper-parameter has been recorded.", command))
        return section
    configs = {row["config"] for row in trials.rows}
    source = "The last table names the run behind each row."
    text = page(trials.rows, {config: fingerprint(shipped(config)) for config in configs}, source=source)
    top, parts = study.split_markdown(text)
    section.blocks.append(Text(top))
    section.sections = [
        Section(heading, f"trials-{study.slug(heading)}", [Text(body)]) for heading, body in parts if heading != FURTHER
    ]
    section.sections.append(Section("The runs behind the tables", "trials-runs", [_where(trials)]))
    return section


def _where(trials: Trials) -> Table:
    pairs = sorted(zip(trials.rows, trials.places, strict=True), key=lambda pair: pair[0]["finished"])
    rows = [
        [row["config"], row["changes"] or "as shipped", place, row["commit"], row["machine"], row["seed"],
         row["epochs"], f"{100 * float(row['last_val_error'] or 'nan'):.2f} %" if row["last_val_error"] else ""]
        for row, place in pairs
    ]  # fmt: skip
    heads = ["config", "changes", "run", "commit", "machine", "seed", "epochs", "error"]
    caption = "Every run of the tables above, oldest first, with its validation error after the last epoch."
    return Table(caption, heads, rows, "the records of these runs", text_columns=5)


def _test(folder: Path, command: str) -> Section:
    section = Section("Validation against test", "catsdogs-test", [Text("*Compare validation and test performance.*")])
    found = looked(folder)
    if found is None or ELSEWHERE not in found.parts:
        section.blocks.append(Missing("The answers on the test pictures have not been looked at.", command))
        return section
    section.blocks += part_section(found, ELSEWHERE, "catsdogs", command).blocks
    return section
