"""The result tables of this repository, generated from recorded runs.

python docs/tables.py add lightning_logs/catsdogs/version_0    # a run's record becomes a row of docs/runs.csv,
                                                               # with the figures of its test, if there was one
python docs/tables.py keep lightning_logs/mlp-inits/version_0  # what a study left is copied to docs/studies/
python docs/tables.py keep lightning_logs/catsdogs/version_*   # the curves of one recipe's runs, a seed each, are drawn
                                                               # to docs/studies/catsdogs/curves.png, with a CSV
python docs/tables.py write                                    # README.md's tables and docs/tried.md are written anew
"""

import argparse
import csv
import hashlib
import json
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from math import isfinite
from pathlib import Path
from statistics import mean, median, stdev

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from tried import CONFIGS, Row, duration, page  # noqa: E402

from lit_a1 import training  # noqa: E402
from lit_a1.analysis.comparison_runs import Run  # noqa: E402
from lit_a1.analysis.curves import is_training, keep_curves, read  # noqa: E402
from lit_a1.confidence import wilson  # noqa: E402
from lit_a1.mlp import commands as mlp  # noqa: E402
from lit_a1.mlp.setup import UsageError  # noqa: E402
from lit_a1.runs import PRETRAINED, near  # noqa: E402
from lit_a1.settings import kind_of_config, recipe_of  # noqa: E402

RUNS = ROOT / "docs" / "runs.csv"
STUDIES = ROOT / "docs" / "studies"
README = ROOT / "README.md"
TRIED = ROOT / "docs" / "tried.md"
COLUMNS = (
    "finished", "config", "recipe", "changes", "seed", "epochs", "parameters", "seconds", "peak_memory_gb", "machine",
    "packages", "commit", "val_pictures", "best_epoch", "best_val_error", "last_val_error", "tested", "test_error",
)  # fmt: skip
# in README.md, each of these configs
TABLES = {
    "catsdogs": ("catsdogs", "catsdogs_best", "catsdogs_ensemble"),
    "mnist": ("mlp", "mnist_plain", "mnist", "mnist_fast"),
}


def shipped(config: str) -> dict:
    """The settings of a YAML in configs/, defaults included, flat."""
    path = ROOT / "configs" / f"{config}.yaml"
    arguments = ["--config", str(path)]
    parser = mlp if kind_of_config(arguments) == (str(path), "mlp") else training
    return recipe_of(parser.parse(["fit", *arguments]))


@cache
def defaults(model: str, data: str) -> dict:
    """What the code takes where a YAML says nothing; `mlp.parse`'s where no classes are named."""
    if not model:
        return recipe_of(mlp.parse(["fit"]))
    required = ["--model.members", "[]"] if model.endswith(".Ensemble") else []
    found = recipe_of(training.parse(["fit", "--model", model, *required, "--data", data]))
    return {name: value for name, value in found.items() if name != "model.members"}


def own(settings: dict) -> dict:
    """The settings that are not the code's defaults.

    So an option that the code learns later, off by default, makes no other recipe of those that were measured without.
    """
    usual = defaults(settings.get("model.class_path", ""), settings.get("data.class_path", ""))
    return {name: value for name, value in settings.items() if name not in usual or usual[name] != value}


def fingerprint(settings: dict) -> str:
    """A short hash of settings: rows of another one were measured before the YAML changed."""
    return hashlib.sha256(json.dumps(own(settings), sort_keys=True).encode()).hexdigest()[:8]


def changes(ours: dict, theirs: dict) -> str:
    """The settings in which a run differs from its YAML: `lr=0.1, norm=group`."""
    usual = defaults(ours.get("model.class_path", ""), ours.get("data.class_path", ""))
    ours, theirs = usual | ours, usual | theirs
    names = sorted(name for name in (ours.keys() | theirs.keys()) - {"seed"} if ours.get(name) != theirs.get(name))
    return ", ".join(f"{name.partition('.')[2]}={ours.get(name)}" for name in names)


def val_error(epoch: dict[str, float]) -> str:
    """Of an epoch; empty where it was not measured, `nan` where the network had diverged and guesses."""
    if "val/error" not in epoch:
        return ""
    return f"{epoch['val/error']:.4f}" if isfinite(epoch.get("val/loss", 0.0)) else "nan"


def row_of(run: Path) -> Row:
    """A row of docs/runs.csv from the record that `fit` left in a run's folder."""
    record = read(run).record
    recipe = shipped(run.parent.name)
    test = json.loads((run / "test.json").read_text()) if (run / "test.json").exists() else {}
    names = ("torch",) if "model.class_path" in recipe else ("numpy",)
    packages = " ".join(f"{name} {record['versions'][name]}" for name in names)
    best, last = record["best"], record["last"]
    seeds = record["seed"] if isinstance(record["seed"], list) else [record["seed"]]  # those of an ensemble's members
    values = (
        record["finished"], run.parent.name, fingerprint(recipe), changes(record["settings"], recipe),
        " ".join(map(str, seeds)), int(last["epoch"]) + 1, record["parameters"], record["seconds"],
        record["peak_memory_gb"], record["machine"], packages, record["commit"], record["pictures"]["val"],
        int(best["epoch"]) + 1, val_error(best), val_error(last),
        test.get("checkpoint", "").partition(".")[0], f"{test['test/error']:.4f}" if test else "",
    )  # fmt: skip
    return dict(zip(COLUMNS, map(str, values), strict=True))


def read_runs() -> list[Row]:
    """All rows of docs/runs.csv, oldest first."""
    if not RUNS.exists():
        return []
    with RUNS.open(newline="") as file:
        return list(csv.DictReader(file))


def results_table(rows: list[Row], configs: Iterable[str]) -> str:
    """Markdown: one line for each config as it is shipped, over its seeds."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row["last_val_error"] in ("", "nan"):
            continue
        if row["config"] in configs and not row["changes"] and row["recipe"] == fingerprint(shipped(row["config"])):
            groups[row["config"], row["epochs"], row["parameters"], row["machine"], row["packages"]].append(row)
    table: list[dict[str, str]] = []
    for (config, epochs, parameters, machine, packages), runs in groups.items():
        runs = list({run["seed"]: run for run in runs}.values())  # the newest of each seed
        cells = {
            "recipe": f"`configs/{config}.yaml`",
            "parameters": f"{int(parameters):,}",
            "epochs": epochs,
            "time": duration(median(float(run["seconds"]) for run in runs)),
            "peak memory": f"{max(float(run['peak_memory_gb']) for run in runs):.2f} GB",
            "validation, last epoch": accuracy(runs, "last_val_error"),
            "best epoch": accuracy(runs, "best_val_error"),
        }
        tested = all(run["tested"] == "last" for run in runs)
        cells["test, last epoch"] = accuracy(runs, "test_error") if tested else ""
        cells |= {"seeds": ", ".join(sorted(run["seed"] for run in runs)), "machine": f"{machine}; {packages}"}
        table.append(cells)
    heads = [head for head in table[0] if any(cells[head] for cells in table)] if table else []
    rows_of_cells = [[cells[head] for head in heads] for cells in table]
    lines = [heads, ["---"] * len(heads), *rows_of_cells]
    return "\n".join(map(markdown, lines)) if table else "No run of the recipe as it is now is recorded yet."


def pretrained_table(notes: Iterable[dict]) -> str:
    """Markdown: one line for each file of trained weights, from the notes beside them."""
    rows = [
        {
            "weights": f"`{Path(note['config']).stem}.ckpt`",
            "trained by": f"`{note['command']}`",
            "size": f"{note['bytes'] / 1e6:.1f} MB",
            "validation": f"{1 - note['val_error']:.2%}",
            "sha256 of submission.csv": f"`{note['submission_sha256']}`" if "submission_sha256" in note else "",
        }
        for note in notes
    ]
    if not rows:
        return "No weights are published yet."
    return "\n".join(map(markdown, [rows[0], ["---"] * len(rows[0]), *(row.values() for row in rows)]))


def markdown(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def accuracy(runs: list[Row], column: str) -> str:
    """Mean and standard deviation over seeds; or one run's figure, on validation pictures with its 95% interval."""
    errors = [float(run[column]) for run in runs]
    if len(errors) > 1:
        return f"{1 - mean(errors):.2%} ± {stdev(errors):.2%}"
    if column == "test_error":
        return f"{1 - errors[0]:.2%}"
    low, high = wilson(errors[0], int(runs[0]["val_pictures"]))
    return f"{1 - errors[0]:.2%} ({1 - high:.1%} to {1 - low:.1%})"


def between(text: str, name: str, table: str) -> str:
    """`text` with the lines between `<!-- NAME -->` and `<!-- /NAME -->` replaced."""
    head, start, rest = text.partition(f"<!-- {name} -->\n")
    _, end, tail = rest.partition(f"<!-- /{name} -->")
    if not start or not end:
        raise SystemExit(f"error: README.md has no place for the table {name}: <!-- {name} --> ... <!-- /{name} -->")
    return f"{head}{start}{table}\n{end}{tail}"


def readme() -> str:
    """README.md with its tables as docs/runs.csv has them."""
    text, rows = README.read_text(), read_runs()
    for name, configs in TABLES.items():
        text = between(text, name, results_table(rows, configs))
    notes = [json.loads(path.read_text()) for path in sorted(PRETRAINED.glob("*.json"))]
    return between(text, "pretrained", pretrained_table(notes))


def tried() -> str:
    """docs/tried.md as docs/runs.csv has it."""
    rows = read_runs()
    configs = {row["config"] for row in rows if row["config"] in CONFIGS}
    there = sorted(config for config in configs if (ROOT / "configs" / f"{config}.yaml").exists())
    return page(rows, {config: fingerprint(shipped(config)) for config in there})


def add(runs: list[Path]) -> Iterator[str]:
    """Appends the runs that are not there yet; yields what it did."""
    known = read_runs()
    for run in runs:
        row = row_of(run)
        if row in known:
            yield f"{run} is there already"
            continue
        known.append(row)
        yield f"{run}: {row['config']}, {row['changes'] or 'as shipped'}, last error {row['last_val_error']}"
    with RUNS.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(known)


def keep(studies: list[Path]) -> Iterator[str]:
    """Copies what studies left, in the place of earlier ones, and draws the curves of trainings; yields what it did.

    Raises:
        UsageError: a folder has no record, or runs of one name can't be drawn together.
    """
    trainings: dict[str, list[Run]] = defaultdict(list)
    for run in [read(study) for study in studies]:
        name = run.folder.parent.name
        if is_training(run):
            trainings[name].append(run)
            continue
        kept = STUDIES / name
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for path in sorted(run.folder.iterdir()):
            if path.suffix in (".csv", ".json", ".md", ".png"):
                shutil.copy(path, kept)
        yield f"{near(run.folder)} -> {near(kept)}"
    for name, runs in trainings.items():
        for run in runs[1:]:
            if other := changes(run.record["settings"], runs[0].record["settings"]):
                raise UsageError(
                    f"{run.folder} was trained with other settings than {runs[0].folder} ({other}): give runs of one "
                    "recipe, which differ in their seeds."
                )
        keep_curves(STUDIES / name, runs)
        folders = ", ".join(str(near(run.folder)) for run in runs)
        yield f"{folders} -> curves in {near(STUDIES / name)}"


def main() -> None:
    """Adds runs, keeps studies, or writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("add", help="add runs to docs/runs.csv").add_argument("runs", nargs="+", type=Path)
    commands.add_parser("keep", help="copy studies, or draw runs' curves, to docs/studies").add_argument(
        "runs", nargs="+", type=Path
    )
    commands.add_parser("write", help="write the tables in README.md, and docs/tried.md")
    options = parser.parse_args()
    if options.command in ("add", "keep"):
        try:
            for line in (add if options.command == "add" else keep)(options.runs):
                print(line)
        except UsageError as error:
            raise SystemExit(f"error: {error}") from error
    else:
        README.write_text(readme())
        TRIED.write_text(tried())


if __name__ == "__main__":
    main()
