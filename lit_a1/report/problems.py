"""What was measured for the second and third problem, for `sections/problem2.md.j2` and others."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lit_a1.report.document import table
from lit_a1.report.gather import RecordedRuns, Study, display_path, read_analysis, source_of
from lit_a1.report.learning import gap
from lit_a1.report.outputs import analysis_values, split_markdown, study_values
from lit_a1.report.photos import data_of
from lit_a1.report.plan import PHOTOS, Commands
from lit_a1.report.published import is_published, published
from lit_a1.report.recipe_facts import training_facts
from lit_a1.report.recipes import fingerprint, parse_changes, shipped_settings
from lit_a1.report.results import crossvals, ensemble, errors_of, last_error, layers, parameters_of, results, status
from lit_a1.report.rows import RUNS, Row, identity, read_rows, row_of
from lit_a1.report.trials import CONFIGS, ENSEMBLE, RECIPES, TRIAL, format_changes
from lit_a1.report.tried import render_page
from lit_a1.report.verdicts import conclusions, unprefixed_settings
from lit_a1.runs.finished import Run
from lit_a1.runs.folders import relative_to_cwd
from lit_a1.runs.settings import UsageError
from lit_a1.runs.statistics import wilson
from lit_a1.runs.wording import number, percent, spread

CNNS = ("mnist_plain", "mnist", "mnist_best", "mnist_fast")  # the first has no augmentation, like the perceptron
ANSWERS = ("What else differs", "What the comparison shows")  # sections in the answers; the rest is in the appendix
NETWORKS = {  # by experiment
    "mlp": "MLP", "mnist_plain": "CNN", "mnist": "augmented CNN", "mlp_ablation": "MLP, alike",
    "mnist_ablation": "CNN, alike",
}  # fmt: skip
ERRORS = {"train_error": "training error", "val_error": "validation error", "test_error": "test error"}
KAGGLE_IMAGES = 2500  # of the private leaderboard; the public one has 2,499
PRETRAINED_FOLDER = "analysis-pretrained"  # where `analyze --ckpt_path pretrained` writes


def problem2(records: RecordedRuns, work: Path) -> dict[str, Any]:
    """A convolutional network on MNIST, against the perceptron; figures are made in the folder `work`."""
    commands = Commands(records)
    trained = [name for name in CNNS if records.trainings(name)]
    name = trained[0] if trained else CNNS[0]
    run, mlp = records.newest(name), records.newest("mlp")
    folder = records.folder(name) / "version_0" if run is None else run.folder
    measured = [results(records.runs_with_newest_settings(cnn), work) for cnn in trained]
    comparison, ablation = (
        study_values(records.study(study), "comparison.md", commands.step("compare", study).command)
        for study in ("mnist-compare", "mnist-ablation")
    )
    answers, ablation_parts = dict(comparison["parts"]), dict(ablation["parts"])
    alike = records.newest("mnist_ablation")
    from_ablation = set(ANSWERS) & ablation_parts.keys()  # shown for networks that were trained alike, if any
    answers = {heading: ablation_parts.get(heading, answers.get(heading, "")) for heading in ANSWERS}
    return {
        "name": name,
        "status": status(records, name),
        "others": [status(records, other) for other in CNNS[:2] if other != name],
        "result": measured[0] if trained else None,
        "results": measured,
        "training": run and training_facts(run),
        "versions": {"torch": "unknown", "lightning": "unknown"} | (run.record["versions"] if run else {}),
        "recipe": shipped_settings(name),
        "parameters": parameters_of(run, name),
        "mlp_parameters": parameters_of(mlp, "mlp"),
        "layers": layers(run, name, work),
        "comparison": comparison | {
            "answers": answers,
            "parts": [part for part in comparison["parts"] if part[0] not in answers or part[0] in from_ablation],
            "headings": [heading for heading, _ in comparison["parts"]],
        },
        "ablation": ablation | {
            "is_read": bool(from_ablation),
            "recipe": shipped_settings("mnist_ablation") | (alike.record["settings"] if alike else {}),
            "parts": [part for part in ablation["parts"] if part[0] not in from_ablation],
        },
        "side_by_side": side_by_side([values["outputs"] for values in (comparison, ablation)]),
        "analysis": analysis_values(folder / "analysis", run, commands.analyze(name, run).command),
    }  # fmt: skip


def side_by_side(studies: Sequence[Study | None]) -> dict[str, Any] | None:
    """One table with a column for each network of the comparisons; None if none left a valid `results.csv`."""
    columns, origins = dict[str, dict[str, str]](), list[str]()
    for study in filter(None, studies):
        try:
            runs = pd.read_csv(study.folder / "results.csv")
            networks = {str(name): _column(rows) for name, rows in runs.groupby("experiment", sort=False)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        columns |= networks
        origins.append(source_of(study.folder, study.record))
    if not columns:
        return None
    labels = next(iter(columns.values()))
    rows = [
        {"": label} | {NETWORKS.get(name, name): cells[label] for name, cells in columns.items()} for label in labels
    ]
    return table(rows, "; ".join(origins))


def _column(runs: pd.DataFrame) -> dict[str, str]:
    """Size, cost and errors of the runs of one experiment."""
    counts = {name: f"{int(runs[name].iloc[0]):,}" for name in ("parameters", "multiply_adds")}
    errors = {words: runs[name].dropna().tolist() if name in runs else [] for name, words in ERRORS.items()}
    return {
        "runs": str(len(runs)),
        "epochs": ", ".join(str(int(epochs)) for epochs in sorted(set(runs.epochs))),
        "parameters": counts["parameters"],
        "multiply-adds per image": counts["multiply_adds"],
        "seconds per epoch": number(float(runs.seconds_per_epoch.median())),
        **{name: spread(values) if values else "not recorded" for name, values in errors.items()},
    }


def problem3(records: RecordedRuns, work: Path) -> dict[str, Any]:
    """Cats vs Dogs; figures are made in the folder `work`."""
    commands = Commands(records)
    trained = [name for name in RECIPES if records.trainings(name)]
    published_runs = [] if records.drawn_photos else [run for name in RECIPES if (run := published(name)) is not None]
    ranked = sorted([*rank(records, trained), *published_runs], key=last_error)  # type: ignore[arg-type]  # never None here
    best = ranked[0] if ranked else None
    runs = [] if best is None else [best] if is_published(best) else records.runs_with_newest_settings(best.experiment)
    others = [name for name in trained if best not in records.trainings(name)]
    rows_with_paths, unreadable = catsdogs_rows(records)
    rows = [row for row, _ in rows_with_paths]
    trial_paths = [path for row, path in rows_with_paths if row["config"] == TRIAL]
    verdicts = conclusions(rows, _source(trial_paths)) if rows else None
    settings = (verdicts["best"] or {}).get("settings", {}) if verdicts else {}
    settings = {name: value for name, value in settings.items() if value != "None"}  # from a damaged record
    folder, analyzed, name = _find_analysis(records, ranked)
    return {
        "data": None if records.drawn_photos else data_of(commands, best, unprefixed_settings(RECIPES[-1]) | settings),
        "best": best,
        "best_is_published": best is not None and is_published(best),
        "best_result": results(runs, work) if runs else None,
        "layers": layers(best, best.experiment if best else RECIPES[0], work),
        "training": training_facts(best) if best else None,
        "statuses": [status(records, each) for each in PHOTOS],
        "results": [results(records.runs_with_newest_settings(each), work) for each in others],
        "other_trainings": [training_facts(records.trainings(each)[-1]) for each in others],
        "ensemble": ensemble(records),
        "crossvals": crossvals(records),
        "ensemble_name": ENSEMBLE,
        "ensemble_command": commands.step("ensemble", ENSEMBLE).command,
        "unreadable": unreadable,
        "verdicts": verdicts,
        "trials": _trials(rows_with_paths) if rows else None,
        "trial_command": commands.step("trial", TRIAL, options=("--model.norm", "group")).command,
        "name": name,
        "analysis": analysis_values(folder, analyzed, commands.analyze(name, analyzed).command),
        "analyze_best": commands.analyze(best.experiment, best).command if best and analyzed is not best else "",
        "gap": best and gap([best]),
        "noise": best and errors_of([best]),
        "test_error_interval": best and interval_of_test_error(best),
        "ideas": verdicts["ideas"] if verdicts else [],
    }


def rank(records: RecordedRuns, names: Sequence[str]) -> list[Run]:
    """Runs of single networks, sorted by the validation error of the last epoch."""
    runs = [run for name in names for run in records.runs_with_newest_settings(name) if last_error(run) is not None]
    return sorted(runs, key=lambda run: run.record["last"]["val/error"])


def interval_of_test_error(run: Run) -> tuple[float, float]:
    """95 % interval of the error on a Kaggle leaderboard, by the validation error and the sampling of both sets."""
    images = round(1 / (1 / run.record["images"]["val"] + 1 / KAGGLE_IMAGES))  # one set, as uncertain as both
    return wilson(run.record["last"]["val/error"], images)


def _find_analysis(records: RecordedRuns, ranked: Sequence[Run]) -> tuple[Path, Run | None, str]:
    """Folder, run and experiment of the best network that has been analyzed, or else of the best network."""
    places: list[tuple[Path, Run | None, str]] = []
    for run in ranked:
        folder = records.folder(run.experiment) / PRETRAINED_FOLDER if is_published(run) else run.folder / "analysis"
        places.append((folder, run, run.experiment))
    untrained = records.folder(RECIPES[0]) / "version_0" / "analysis", None, RECIPES[0]
    return next((place for place in places if read_analysis(place[0]) is not None), places[0] if ranked else untrained)


def catsdogs_rows(records: RecordedRuns) -> tuple[list[tuple[Row, str]], list[dict[str, Any]]]:
    """All runs of Cats vs Dogs, here and in docs/runs.csv: the row of each, and the folder or CSV it comes from.

    Also the `folder` of each run that can't be compared, and the `reason`, a sentence.
    """
    rows_with_paths, unreadable = list[tuple[Row, str]](), []
    for run in [run for name in CONFIGS for run in records.trainings(name)]:
        try:
            rows_with_paths.append((row_of(run.folder), display_path(run.folder)))
        except UsageError as error:
            unreadable.append({"folder": relative_to_cwd(run.folder), "reason": str(error)})
    identities = {identity(row) for row, _ in rows_with_paths}
    recorded = [] if records.drawn_photos else [row for row in read_rows() if row["config"] in CONFIGS]
    rows_with_paths += [(row, f"docs/{RUNS.name}") for row in recorded if identity(row) not in identities]
    return rows_with_paths, unreadable


def _source(paths: Iterable[str]) -> str:
    """The folders of runs, or the CSV, that rows come from."""
    return ", ".join(dict.fromkeys(path if path.endswith(".csv") else str(Path(path).parent) for path in paths))


def _trials(rows_with_paths: Sequence[tuple[Row, str]]) -> dict[str, Any]:
    """Runs compared like for like, by theme as in docs/tried.md, and a table of all runs."""
    rows = [row for row, _ in rows_with_paths]
    recipes = {config: fingerprint(shipped_settings(config)) for config in {row["config"] for row in rows}}
    top, parts = split_markdown(render_page(rows, recipes, source="The last table lists every run."))
    run_lines = [
        {
            "config": row["config"],
            "changes": format_changes(parse_changes(row["changes"])),
            "run": "" if path.endswith(".csv") else path,
            **{name: row[name] for name in ("commit", "machine", "seed", "epochs")},
            "accuracy": percent(1 - float(row["last_val_error"])) if row["last_val_error"] else "",
        }
        for row, path in sorted(rows_with_paths, key=lambda pair: pair[0]["finished"])
    ]
    source = _source(path for _, path in rows_with_paths)
    parts = [part for part in parts if not part[0].startswith("What might help")]  # which docs/tried.md has
    all_runs = table(run_lines, source, text_columns=5, drop_empty=True)
    return {"top": top, "parts": parts, "table": all_runs, "source": source}
