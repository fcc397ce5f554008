"""The results of a recipe's runs in numbers, for `sections/recipe.md.j2`."""

import contextlib
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath
from statistics import mean
from typing import Any

from lit_a1.analysis.architecture import HEADINGS, PARTS, architecture_of, facts_of, parts_of, rows_of, shape_words
from lit_a1.environment import REPOSITORY
from lit_a1.models.diagram import draw as draw_network
from lit_a1.report.document import table
from lit_a1.report.gather import RECORDED, RecordedRuns, display_path, source_of, sources
from lit_a1.report.learning import gap, learning_curves
from lit_a1.report.plan import Commands, weights_of
from lit_a1.report.published import is_published
from lit_a1.report.recipes import changes, is_shipped, parse_changes, shipped_settings
from lit_a1.report.rows import Row, read_rows
from lit_a1.report.trials import ENSEMBLE
from lit_a1.runs.finished import Run
from lit_a1.runs.folders import DRAWN, KEYWORDS, PRETRAINED, relative_to_cwd
from lit_a1.runs.records import RECORD_FILE, CheckpointError, read_json, test_metrics
from lit_a1.runs.settings import MACHINE_OPTIONS, UsageError, option_of
from lit_a1.runs.statistics import ALPHA, fisher, wilson
from lit_a1.runs.wording import duration, percent, probability, spread
from lit_a1.studies.crossval.results import CROSSVAL
from lit_a1.studies.curves import draw


def status(records: RecordedRuns, name: str) -> dict[str, Any]:
    """Which runs of a recipe finished, did not finish or lost a file; if none finished, the recorded runs."""
    runs, commands = records.trainings(name), Commands(records)
    return {
        "name": name,
        "folder": relative_to_cwd(records.folder(name)),
        "unfinished": records.unfinished(name),
        "finished": [
            {
                "folder": relative_to_cwd(run.folder),
                "lost_weights": [which for which in ("best", "last") if not weights_of(run, which).is_file()],
                "damaged_test": (run.folder / "test.json").is_file() and not test_metrics(run.folder),
            }
            for run in runs
        ],
        "shown": [run.name for run in records.runs_with_newest_settings(name)],
        "command": "" if runs else commands.fit(name).command,
        "suits_this_machine": bool(runs) or commands.suits_this_machine(name),
        "recorded": None if runs or records.drawn(name) else _recorded(name),
    }


def _recorded(name: str) -> dict[str, Any] | None:
    """The recorded runs of the current version of a recipe; None if there are none."""
    recorded = recorded_rows(name)
    if not recorded:
        return None
    rows = [
        {
            "seed": row["seed"],
            "epochs": row["epochs"],
            "parameters": f"{int(row['parameters']):,}",
            "validation error": percent(float(row["last_val_error"])),
            "test error": percent(float(row["test_error"])) if row["tested"] == "last" else "",
            "time": duration(float(row["seconds"])),
            **{name: row[name] for name in ("commit", "machine")},
        }
        for row in recorded
    ]
    curves = RECORDED / name / "curves.png"
    return {
        "images": int(recorded[0]["val_images"]),
        "table": table(rows, "docs/runs.csv", text_columns=0),
        "curves": curves if curves.is_file() else None,
    }


def recorded_rows(name: str) -> list[Row]:
    """The newest row of each seed in docs/runs.csv, of the current version of a recipe."""
    newest = {row["seed"]: row for row in read_rows() if row["config"] == name and is_shipped(row)}
    return [row for _, row in sorted(newest.items())]


def parameters_of(run: Run | None, name: str) -> int | None:
    """The number of parameters of a run, or else of the recorded runs of a recipe, if there are any."""
    return run.record["parameters"] if run else next((int(row["parameters"]) for row in recorded_rows(name)), None)


def results(runs: Sequence[Run], work: Path) -> dict[str, Any]:
    """Errors of a recipe, a table of its runs, and a figure of their curves in the folder `work`."""
    folder, name = runs[0].folder.parent.name, runs[0].experiment
    curves = work / f"curves-{folder}.png"
    draw(curves, runs)
    all_changes = unknown = ""
    try:
        if (REPOSITORY / "configs" / f"{name}.yaml").is_file():
            all_changes = changes(runs[0].record["settings"], shipped_settings(name))
    except UsageError as error:
        unknown = str(error)
    changed = {k: value for k, value in parse_changes(all_changes).items() if option_of(k) not in MACHINE_OPTIONS}
    return {
        "name": name,
        "folder": folder,
        "yaml": f"configs/{name}.yaml",
        "changes": ", ".join(f"{option}={value}" for option, value in changed.items()),
        "unknown_changes": unknown,
        "errors": errors_of(runs),
        "table": _table(runs),
        "train_measured": "train_eval/error" in runs[0].record["last"],
        "curves": curves,
        "sources": sources(runs),
        "gap": gap(runs),
        "learning_curves": learning_curves(runs),
    }


def last_error(run: Run) -> float | None:
    """Validation error of the last epoch; None if it was not measured."""
    return run.record["last"].get("val/error")


def errors_of(runs: Sequence[Run]) -> dict[str, Any]:
    """Errors of the last epoch over the runs of one recipe, and test errors of the last weights."""
    errors = [error for run in runs if (error := last_error(run)) is not None]
    tests = [test_metrics(run.folder) for run in runs]
    test_errors = [test["test/error"] for test in tests if test and Path(test["checkpoint"]).stem == "last"]
    return _errors(errors, test_errors, runs[0].record["images"]["val"], len(runs))


def errors_of_rows(rows: Sequence[Row]) -> dict[str, Any]:
    """The same as `errors_of`, for rows of docs/runs.csv."""
    errors = [float(row["last_val_error"]) for row in rows]
    tests = [float(row["test_error"]) for row in rows if row["tested"] == "last"]
    return _errors(errors, tests, int(rows[0]["val_images"]), len(rows))


def _errors(errors: Sequence[float], test_errors: Sequence[float], images: int, runs: int) -> dict[str, Any]:
    return {
        "by_run": errors,
        "mean": mean(errors) if errors else None,
        "spread": _spread(errors),
        "interval": wilson(mean(errors), images) if errors else None,
        "images": images,
        "runs": runs,
        "tests": len(test_errors),
        "test_spread": _spread(test_errors),
    }


def _spread(errors: Sequence[float]) -> str:
    if not errors:
        return "not measured"
    return percent(errors[0]) if len(errors) == 1 else spread(errors)


def _table(runs: Sequence[Run]) -> dict[str, Any]:
    """A row for each run, without empty columns."""
    rows = []
    for run in runs:
        last, best, test = run.record["last"], run.record["best"], test_metrics(run.folder)
        train = last.get("train_eval/error", last.get("train/error"))
        rows.append({
            "run": "published" if is_published(run) else f"{run.folder.parent.name}/{run.name}",
            "seed": str(run.seed),
            "epochs": f"{int(last['epoch']) + 1}",
            "training error": "" if train is None else percent(train),
            "validation error": percent(last["val/error"]) if "val/error" in last else "not measured",
            "at best (epoch)":
                f"{percent(best['val/error'])} ({int(best['epoch']) + 1})" if "val/error" in best else "",
            "test error (weights)": f"{percent(test['test/error'])} ({Path(test['checkpoint']).stem})" if test else "",
            "time": duration(run.record["seconds"]),
        })  # fmt: skip
    source = sources(runs) if is_published(runs[0]) else f"{RECORD_FILE} of {sources(runs)}"
    return table(rows, source, drop_empty=True)


def layers(run: Run | None, name: str, work: Path | None = None) -> dict[str, Any]:
    """The layers of the network that a run trained; without a run, or for a published one, of the recipe as shipped.

    Returns:
        `table`, a row for each part of the network; `all`, a row for each layer; the `facts_of` a convolutional
        network; and the `diagram`, drawn in the folder `work` if given. If the layers can't be listed, `table` is None
        and `error` says why.
    """
    path = REPOSITORY / "configs" / f"{name}.yaml"
    if run is not None and not is_published(run):
        path = run.folder / "config.yaml"
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            network, shape, architecture = architecture_of(["--config", str(path)])
    except (SystemExit, OSError, ValueError, TypeError, CheckpointError) as error:
        reason = messages.getvalue().strip().splitlines()[-1:] or [str(error)]
        return {"path": relative_to_cwd(path), "error": reason[0].removeprefix("error: "), "table": None}
    source, diagram = display_path(path), None
    if work is not None:
        draw_network(diagram := work / f"architecture-{name}.png", shape, architecture)
    about = {"source": source, "text_columns": 2}
    return {
        "network": f"{network}, input {shape_words(shape)}",
        "name": name,
        "source": source,
        "table": about | {"header": PARTS, "rows": parts_of(architecture)},
        "all": about | {"header": HEADINGS, "rows": rows_of(architecture)},
        "facts": facts_of(shape, architecture) if len(shape) == 3 else None,
        "diagram": diagram,
    }


def ensemble(records: RecordedRuns) -> dict[str, Any] | None:
    """The newest measured ensemble against its best member, by Fisher's exact test (two-sided); None without one.

    Both are measured on the same images, so the test overstates the noise. `weights` counts the members by kind of
    checkpoint: the `best` or `last` epoch of a run, `published` weights, also of a last epoch, or `other`.
    """
    for run in reversed(records.trainings(ENSEMBLE)):
        members = run.record.get("members")
        members = [each for each in members if isinstance(each, dict)] if isinstance(members, list) else []
        errors = [error for each in members if isinstance(error := each.get("val/error"), float) and 0 <= error <= 1]
        error = last_error(run)
        if errors and error is not None:
            best, count = min(errors), run.record["images"]["val"]
            p = fisher([(error, count), (best, count)])
            return {
                "members": len(errors), "error": error, "best_member": best, "images": count,
                "weights": Counter(_weights(str(each.get("checkpoint"))) for each in members),
                "fewer_mistakes": round((best - error) * count), "p": probability(p), "beyond_noise": p < ALPHA,
                "source": source_of(run.folder, run.record),
            }  # fmt: skip
    return None


def crossvals(records: RecordedRuns) -> list[dict[str, Any]]:
    """The results of finished cross-validations: those in the folder of runs, and of other recipes the recorded ones.

    Of a file that can't be read, the `damaged` path.
    """
    ending = f"-crossval{DRAWN if records.drawn_photos else ''}"
    found: dict[str, dict[str, Any]] = {}
    pattern = f"*{ending}/{CROSSVAL}"
    for path in [*sorted(RECORDED.glob(pattern)), *sorted(records.logs.glob(pattern))]:
        name, content = path.parent.name.removesuffix(ending), read_json(path) or {}
        if content.keys() == {"begun"}:  # some folds are not trained yet
            continue
        try:
            found[name] = {
                "name": name,
                "epochs": int(content["begun"]["trainer.max_epochs"]),
                "optimizer": str(content["begun"]["model.optimizer"]),
                "photos": content["begun"]["photos"].split(" ")[0],
                "folds": len(content["accuracy_by_fold"]),
                "suspects": int(content["suspects"]),
                "source": f"{display_path(path.parent)}, commit {content['commit']}",
                **{key: float(content[key]) for key in ("accuracy", "accuracy_without_suspects")},
                "interval": [float(content["interval"][side]) for side in (0, 1)],
            }
        except (AttributeError, LookupError, TypeError, ValueError):
            found[name] = {"name": name, "damaged": relative_to_cwd(path)}
    return list(found.values())


def _weights(checkpoint: str) -> str:
    """The kind of a checkpoint, from its path."""
    path = PurePath(checkpoint.replace("\\", "/"))
    if path.parent.name == PRETRAINED.name:
        return "published"
    return path.stem if path.parent.name == "checkpoints" and path.stem in KEYWORDS else "other"
