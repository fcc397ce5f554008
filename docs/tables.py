"""The result tables of this repository, generated from recorded runs.

python docs/tables.py add lightning_logs/catsdogs/version_0    # adds a run's record as a row to docs/runs.csv,
                                                               # with the results of its test, if there was one
python docs/tables.py keep lightning_logs/mlp-inits/version_0  # copies the files of a study to docs/studies/
python docs/tables.py keep lightning_logs/catsdogs/version_*   # draws the curves of one recipe's runs, a seed each,
                                                               # to docs/studies/catsdogs/curves.png, with a CSV
python docs/tables.py keep lightning_logs/catsdogs-crossval    # copies the summary of a cross-validation there
python docs/tables.py write                                    # rewrites README.md's table, those of
                                                               # docs/results.md, and docs/tried.md
"""

import argparse
import json
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import mean, median_low, stdev

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lit_a1.data.files import write_csv  # noqa: E402
from lit_a1.environment import quieten  # noqa: E402
from lit_a1.report.recipes import changes, fingerprint, is_shipped, shipped_settings  # noqa: E402
from lit_a1.report.rows import COLUMNS, RUNS, Row, identity, read_rows, row_of  # noqa: E402
from lit_a1.report.trials import CONFIGS, ENSEMBLE, RECIPES  # noqa: E402
from lit_a1.report.tried import render_page  # noqa: E402
from lit_a1.runs.finished import Run  # noqa: E402
from lit_a1.runs.folders import DRAWN, PRETRAINED, relative_to_cwd  # noqa: E402
from lit_a1.runs.settings import UsageError  # noqa: E402
from lit_a1.runs.statistics import wilson  # noqa: E402
from lit_a1.runs.wording import duration  # noqa: E402
from lit_a1.studies.crossval.results import CROSSVAL  # noqa: E402
from lit_a1.studies.curves import is_training, keep_curves, read  # noqa: E402

STUDIES = ROOT / "docs" / "studies"
README = ROOT / "README.md"
RESULTS = ROOT / "docs" / "results.md"
TRIED = ROOT / "docs" / "tried.md"
TABLES = {
    "catsdogs": (*RECIPES, ENSEMBLE),
    "mnist": ("mlp", "mnist_plain", "mnist", "mnist_best", "mnist_fast", "mlp_ablation", "mnist_ablation"),
}  # the tables of results.md
SUMMARY = {  # the rows of README.md's table: what each config is
    "mlp": "MNIST, perceptron in numpy",
    "mnist_plain": "MNIST, CNN",
    "mnist": "MNIST, CNN, augmented",
    "mnist_best": "MNIST, best CNN",
    "catsdogs": "Cats vs Dogs",
    "catsdogs_float32": "Cats vs Dogs, without bfloat16",
    "catsdogs_gpu": "Cats vs Dogs, on a GPU",
    "catsdogs_best": "Cats vs Dogs, best network",
    "catsdogs_ensemble": "Cats vs Dogs, ensemble",
}


def results_table(rows: Sequence[Row], configs: Iterable[str]) -> str:
    """Markdown: one line for each config as shipped, over its seeds."""
    return markdown(results(rows, configs)) or "No run of the recipe as it is now is recorded yet."


def summary_table(rows: Sequence[Row]) -> str:
    """Markdown: README.md's table, the same results in five columns, from the machine with the most seeds of each."""
    table: dict[str, dict[str, str]] = {config: {} for config in SUMMARY}
    for cells in sorted(results(rows, SUMMARY), key=lambda cells: cells["seeds"].count(","), reverse=True):
        config = cells["recipe"].removeprefix("`configs/").removesuffix(".yaml`")
        row = {"recipe": f"[{config}](configs/{config}.yaml)", "network": SUMMARY[config]}
        row |= {"validation": cells["validation, last epoch"], "test": cells["test, last epoch"]}
        machine = "to train its members" if config == ENSEMBLE else cells["machine"].partition(";")[0]
        table[config] = table[config] or row | {"time": f"{cells['time']}, {machine}"}
    return markdown(list(filter(None, table.values())))


def results(rows: Sequence[Row], configs: Iterable[str]) -> list[dict[str, str]]:
    """The cells of the lines of `results_table`, by column."""
    groups: dict[tuple[str, ...], dict[str, Row]] = defaultdict(dict)
    for config in configs:
        shipped = [row for row in rows if row["config"] == config and is_shipped(row)]
        rows_of_config = [row for row in shipped if row["last_val_error"] not in ("", "nan")]
        if config == ENSEMBLE:  # only the newest row: its members' recipes may have changed
            rows_of_config = sorted(rows_of_config, key=lambda row: row["finished"])[-1:]
        for row in rows_of_config:
            key = tuple(row[name] for name in ("config", "epochs", "parameters", "machine", "packages"))
            groups[key][row["seed"]] = row  # the newest of each seed
    table = []
    for (config, *_), seeds in groups.items():
        runs = list(seeds.values())
        table.append({
            "recipe": f"`configs/{config}.yaml`",
            "parameters": f"{int(runs[-1]['parameters']):,}",
            "epochs": runs[-1]["epochs"],
            "time": duration(median_low(float(run["seconds"]) for run in runs)),
            "peak memory": f"{max(float(run['peak_memory_gb']) for run in runs):.2f} GB",
            "validation, last epoch": accuracy(runs, "last_val_error"),
            "best epoch": accuracy(runs, "best_val_error"),
            "test, last epoch": accuracy(runs, "test_error") if all(run["tested"] == "last" for run in runs) else "",
            "seeds": ", ".join(sorted(seeds)),
            "machine": "{machine}; {packages}".format(**runs[-1]),
        })  # fmt: skip
    return table


def accuracy(runs: Sequence[Row], column: str) -> str:
    """Mean and standard deviation over seeds; or that of one run, on validation images with its 95% interval."""
    errors = [float(run[column]) for run in runs]
    if len(errors) > 1:
        return f"{1 - mean(errors):.2%} ± {stdev(errors):.2%}"
    if column == "test_error":
        return f"{1 - errors[0]:.2%}"
    low, high = wilson(errors[0], int(runs[0]["val_images"]))
    return f"{1 - errors[0]:.2%} ({1 - high:.1%} to {1 - low:.1%})"


def pretrained_table(notes: Iterable[dict]) -> str:
    """Markdown: one line for each file of trained weights, from the notes beside them."""
    rows = [
        {
            "weights": f"`{note.get('file', Path(note['config']).stem + '.ckpt')}`",
            "trained by": f"`{note['command']}`",
            "size": f"{note['bytes'] / 1e6:.1f} MB",
            "validation": f"{1 - note['val_error']:.2%}",
            "sha256 of submission.csv": f"`{note['submission_sha256']}`" if "submission_sha256" in note else "",
        }
        for note in notes
    ]
    return markdown(rows) or "No weights are published yet."


def crossval_table(files: Iterable[Path]) -> str:
    """Markdown: one line for each `crossval.json`."""
    rows = []
    for path in files:
        crossval = json.loads(path.read_text(encoding="utf-8"))
        name, folds = path.parent.name, crossval["accuracy_by_fold"]
        rows.append({
            "recipe": f"[{name}](studies/{name}/summary.md)",
            "epochs": str(crossval["begun"]["trainer.max_epochs"]),
            "photos": crossval["begun"]["photos"].partition(" ")[0],
            "out of fold": f"{crossval['accuracy']:.2%} ± {crossval['standard_error']:.2%}",
            "over folds": f"{mean(folds):.2%} ± {stdev(folds):.2%}",
            "suspected labels": str(crossval["suspects"]),
            "without them": f"{crossval['accuracy_without_suspects']:.2%}",
        })  # fmt: skip
    return markdown(rows) or "No cross-validation is recorded yet."


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """A Markdown table without columns that are empty in all rows; empty if there are no rows."""
    columns = [column for column in rows[0] if any(row[column] for row in rows)] if rows else []
    lines = [columns, ["---"] * len(columns), *([row[column] for column in columns] for row in rows)] if rows else []
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def fill_in_tables(path: Path, tables: dict[str, str]) -> str:
    """A document with the lines between `<!-- NAME -->` and `<!-- /NAME -->` replaced by the table of that name."""
    text = path.read_text(encoding="utf-8")
    for name, table in tables.items():
        head, start, rest = text.partition(f"<!-- {name} -->\n")
        _, end, tail = rest.partition(f"<!-- /{name} -->")
        if not start or not end:
            markers = f"<!-- {name} --> ... <!-- /{name} -->"
            raise SystemExit(f"error: {path.name} has no place for the table {name}: {markers}")
        text = f"{head}{start}{table}\n{end}{tail}"
    return text


def documents() -> dict[Path, str]:
    """README.md, docs/results.md and docs/tried.md, rewritten from docs/runs.csv."""
    rows = read_rows(RUNS)
    notes = [json.loads(path.read_text()) for path in sorted(PRETRAINED.glob("*.json"))]
    tables = {name: results_table(rows, configs) for name, configs in TABLES.items()}
    tables["crossval"] = crossval_table(sorted(STUDIES.glob(f"*/{CROSSVAL}")))
    configs = {row["config"] for row in rows if (ROOT / "configs" / f"{row['config']}.yaml").exists()}
    return {
        README: fill_in_tables(README, {"results": summary_table(rows)}),
        RESULTS: fill_in_tables(RESULTS, tables | {"pretrained": pretrained_table(notes)}),
        TRIED: render_page(rows, {name: fingerprint(shipped_settings(name)) for name in configs.intersection(CONFIGS)}),
    }


def add(runs: Sequence[Path]) -> Iterator[str]:
    """Appends runs, and updates rows that exist already; yields what it did.

    Raises a UsageError if a run is on drawn images, or has no record.
    """
    known = {identity(row): row for row in read_rows(RUNS)}
    if drawn := [run for run in runs if run.resolve().parent.name.endswith(DRAWN)]:
        raise UsageError(f"{drawn[0]} was trained on drawn images, whose results enter no table.")
    for run in runs:
        row = row_of(run)
        if old := known.get(identity(row)):
            row |= {name: old[name] for name in ("recipe", "changes")}  # from the YAML of its time
        known[identity(row)] = row
        if old == row:
            yield f"{run} is there already"
            continue
        there = "brought up to date: " if old else ""
        yield f"{run}: {there}{row['config']}, {row['changes'] or 'as shipped'}, last error {row['last_val_error']}"
    write_csv(RUNS, COLUMNS, [[row[name] for name in COLUMNS] for row in known.values()])


def keep(studies: Sequence[Path]) -> Iterator[str]:
    """Copies the files of studies in place of earlier ones, and draws the curves of trainings; yields what it did.

    Raises a UsageError if a folder has no record, or runs of one name can't be drawn together.
    """
    trainings: dict[str, list[Run]] = defaultdict(list)
    crossvals = [study for study in studies if (study / CROSSVAL).is_file()]
    for study in crossvals:
        if study.name.endswith(DRAWN):
            raise UsageError(f"{study} is of drawn images, whose results enter no table.")
        (target := STUDIES / study.resolve().name).mkdir(parents=True, exist_ok=True)
        for name in (CROSSVAL, "summary.md"):
            shutil.copy(study / name, target)
        yield f"{relative_to_cwd(study)} -> {relative_to_cwd(target)}"
    for run in [read(study) for study in studies if study not in crossvals]:
        name = run.folder.parent.name
        if is_training(run):
            trainings[name].append(run)
            continue
        target = STUDIES / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for path in sorted(run.folder.iterdir()):
            if path.suffix in (".csv", ".json", ".md", ".png") and path.name != "predictions.csv":  # a line a digit
                shutil.copy(path, target)
        yield f"{relative_to_cwd(run.folder)} -> {relative_to_cwd(target)}"
    for name, (first, *others) in trainings.items():
        for run in others:
            if changed := changes(run.record["settings"], first.record["settings"]):
                raise UsageError(
                    f"{run.folder} was trained with other settings than {first.folder} ({changed}): give runs of one "
                    "recipe, which differ in their seeds."
                )
        keep_curves(STUDIES / name, [first, *others])
        folders = ", ".join(str(relative_to_cwd(run.folder)) for run in (first, *others))
        yield f"{folders} -> curves in {relative_to_cwd(STUDIES / name)}"


def main() -> None:
    """Adds runs, keeps studies, or writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    help_of = {"add": "add runs to docs/runs.csv", "keep": "copy studies, or draw runs' curves, to docs/studies"}
    for name, words in help_of.items():
        commands.add_parser(name, help=words).add_argument("runs", nargs="+", type=Path)
    commands.add_parser("write", help="write the tables of README.md and docs/results.md, and docs/tried.md")
    options = parser.parse_args()
    quieten()
    if options.command == "write":
        for path, text in documents().items():
            path.write_text(text, encoding="utf-8")
        return
    try:
        for line in (add if options.command == "add" else keep)(options.runs):
            print(line)
    except UsageError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
