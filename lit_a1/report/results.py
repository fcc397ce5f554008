"""What the runs of one recipe tell, in numbers: what `sections/recipe.md.j2` puts into words."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from scipy import stats

from lit_a1.analysis.architecture import HEADINGS, architecture_of, rows_of
from lit_a1.environment import REPOSITORY
from lit_a1.report.document import table
from lit_a1.report.gather import RECORDED, RecordedRuns, display_path, source_of, sources
from lit_a1.report.plan import Commands, weights_of
from lit_a1.report.recipes import changes, is_shipped, shipped
from lit_a1.report.rows import read_rows
from lit_a1.report.trials import ENSEMBLE
from lit_a1.report.tried import duration
from lit_a1.runs.finished import Run
from lit_a1.runs.folders import relative_to_cwd
from lit_a1.runs.records import RECORD_FILE, CheckpointError, test_metrics
from lit_a1.runs.settings import UsageError
from lit_a1.runs.statistics import ALPHA, wilson
from lit_a1.runs.wording import percent, probability, spread
from lit_a1.studies.curves import draw

THINNED = ("model.dropout", "model.input_dropout", "model.stochastic_depth")  # training leaves parts of a network out


def status(found: RecordedRuns, name: str) -> dict[str, Any]:
    """Which runs of a recipe have ended, did not end or lost a file; where none ended, those that are recorded."""
    runs, commands = found.trainings(name), Commands(found)
    return {
        "name": name,
        "folder": relative_to_cwd(found.folder(name)),
        "unfinished": found.unfinished(name),
        "finished": [
            {
                "folder": relative_to_cwd(run.folder),
                "lost_weights": [which for which in ("best", "last") if not weights_of(run, which).is_file()],
                "damaged_test": (run.folder / "test.json").is_file() and not test_metrics(run.folder),
            }
            for run in runs
        ],
        "shown": [run.name for run in found.alike(name)],
        "command": "" if runs else commands.fit(name).command,
        "suits_this_machine": bool(runs) or commands.suits_this_machine(name),
        "recorded": None if runs or found.drawn(name) else _recorded(name),
    }


def _recorded(name: str) -> dict[str, Any] | None:
    """The runs of a recipe, as it is now, that come with the project; None where there are none."""
    newest = {row["seed"]: row for row in read_rows() if row["config"] == name and is_shipped(row)}
    if not newest:
        return None
    rows = [
        {
            "seed": seed,
            "epochs": row["epochs"],
            "parameters": f"{int(row['parameters']):,}",
            "validation error": percent(float(row["last_val_error"])),
            "test error": percent(float(row["test_error"])) if row["tested"] == "last" else "",
            "time": duration(float(row["seconds"])),
            **{name: row[name] for name in ("commit", "machine")},
        }
        for seed, row in sorted(newest.items())
    ]
    curves = RECORDED / name / "curves.png"
    return {
        "images": int(min(newest.items())[1]["val_images"]),
        "table": table(rows, "docs/runs.csv", text_columns=0),
        "curves": curves if curves.is_file() else None,
    }


def results(found: RecordedRuns, name: str, work: Path) -> dict[str, Any]:
    """Errors of a recipe that was trained, its runs as a table and their curves as a figure in the folder `work`."""
    runs = found.alike(name)
    folder, yaml = runs[0].folder.parent.name, f"configs/{name}.yaml"
    curves = work / f"curves-{folder}.png"
    draw(curves, runs)
    differing = unknown = ""
    try:
        if (REPOSITORY / yaml).is_file():
            differing = changes(runs[0].record["settings"], shipped(name))
    except UsageError as error:
        unknown = str(error)
    return {
        "name": name,
        "folder": folder,
        "yaml": yaml,
        "changes": differing,
        "unknown_changes": unknown,
        "errors": errors_of(runs),
        "table": _table(runs),
        "train_measured": "train_eval/error" in runs[0].record["last"],
        "curves": curves,
        "sources": sources(runs),
        "gap": gap(runs),
        "lowest": _lowest(runs[0]) if len(runs) == 1 else None,
    }


def last_error(run: Run) -> float | None:
    """Validation error of the last epoch; None where it was not measured."""
    return run.record["last"].get("val/error")


def errors_of(runs: Sequence[Run]) -> dict[str, Any]:
    """Errors of the last epoch over the runs of one recipe, and of the test of the last weights."""
    errors = [error for run in runs if (error := last_error(run)) is not None]
    figures = [test_metrics(run.folder) for run in runs]
    tests = [test["test/error"] for test in figures if test and Path(test["checkpoint"]).stem == "last"]
    images = runs[0].record["images"]["val"]
    return {
        "each": errors,
        "mean": mean(errors) if errors else None,
        "spread": _spread(errors),
        "interval": wilson(mean(errors), images) if errors else None,
        "images": images,
        "runs": len(runs),
        "tests": len(tests),
        "test_spread": _spread(tests),
    }


def _spread(errors: Sequence[float]) -> str:
    if not errors:
        return "not measured"
    return percent(errors[0]) if len(errors) == 1 else spread(errors)


def _table(runs: Sequence[Run]) -> dict[str, Any]:
    """A row for each run, without columns that are empty."""
    rows = []
    for run in runs:
        last, best, test = run.record["last"], run.record["best"], test_metrics(run.folder)
        train = last.get("train_eval/error", last.get("train/error"))
        rows.append({
            "run": f"{run.folder.parent.name}/{run.name}",
            "seed": str(run.seed),
            "epochs": f"{int(last['epoch']) + 1}",
            "training error": "" if train is None else percent(train),
            "validation error": percent(last["val/error"]) if "val/error" in last else "not measured",
            "at best (epoch)":
                f"{percent(best['val/error'])} ({int(best['epoch']) + 1})" if "val/error" in best else "",
            "test error (weights)": f"{percent(test['test/error'])} ({Path(test['checkpoint']).stem})" if test else "",
            "time": duration(run.record["seconds"]),
        })  # fmt: skip
    filled = [name for name in rows[0] if any(row[name] for row in rows)]
    return table([{name: row[name] for name in filled} for row in rows], f"{RECORD_FILE} of {sources(runs)}")


def gap(runs: Sequence[Run]) -> dict[str, Any] | None:
    """Training against validation, means over the runs of one recipe; None where the last epoch was not measured.

    They are `comparable` where the training images were measured as those of validation are, or are not harder; the
    network `overfits` where fewer training images are wrong than the choice of validation images explains.
    """
    ends = [run.record["last"] for run in runs]
    exact = all("train_eval/error" in row for row in ends)
    part = "train_eval/error" if exact else "train/error"
    if any(name not in row for row in ends for name in (part, "val/error")):
        return None
    train, valid = (mean(row[name] for row in ends) for name in (part, "val/error"))
    harder = any(run.augmented or run.augmentation(("mixup", "cutmix")) for run in runs)
    harder |= any(run.settings.get(name) for run in runs for name in THINNED)
    low, _ = wilson(valid, runs[0].record["images"]["val"])
    return {"train": train, "valid": valid, "comparable": exact or not harder, "overfits": train < low}


def _lowest(run: Run) -> dict[str, Any] | None:
    """The epoch with the smallest validation loss, its loss and error and the last epoch's."""
    measured = [row for row in run.epochs if "val/loss" in row and "val/error" in row]
    if len(measured) < 2:
        return None
    low, last = min(measured, key=lambda row: row["val/loss"]), measured[-1]
    losses, errors = ([row[f"val/{name}"] for row in (low, last)] for name in ("loss", "error"))
    return {"is_last": low is last, "epoch": int(low["epoch"]) + 1, "losses": losses, "errors": errors}


def layers(run: Run | None, name: str) -> dict[str, Any]:
    """The layers of the network that a run trained as a table; without a run, of the recipe as it is shipped."""
    path = REPOSITORY / "configs" / f"{name}.yaml" if run is None else run.folder / "config.yaml"
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            network, found = architecture_of(["--config", str(path)])
    except (SystemExit, OSError, ValueError, TypeError, CheckpointError) as error:
        reason = printed.getvalue().strip().splitlines()[-1:] or [str(error)]
        return {"path": relative_to_cwd(path), "error": reason[0].removeprefix("error: "), "table": None}
    rows = [dict(zip(HEADINGS, row, strict=True)) for row in rows_of(found)]
    return {"network": network, "table": table(rows, str(display_path(path)), text_columns=2)}


def ensemble(found: RecordedRuns) -> dict[str, Any] | None:
    """The newest ensemble that was measured, against the best of its members, by Fisher's exact test (two-sided).

    The errors are of the same images, so that the test overstates the noise. None where there is no ensemble.
    """
    for run in reversed(found.trainings(ENSEMBLE)):
        members = run.record.get("members")
        members = [each for each in members if isinstance(each, dict)] if isinstance(members, list) else []
        errors = [error for each in members if isinstance(error := each.get("val/error"), float) and 0 <= error <= 1]
        error = last_error(run)
        if errors and error is not None:
            best, count = min(errors), run.record["images"]["val"]
            wrong = [round(share * count) for share in (error, best)]
            p = float(stats.fisher_exact([[each, count - each] for each in wrong]).pvalue)
            return {
                "members": len(errors), "error": error, "best_member": best, "images": count,
                "fewer_mistakes": round((best - error) * count), "p": probability(p), "beyond_noise": p < ALPHA,
                "source": source_of(run.folder, run.record),
            }  # fmt: skip
    return None
