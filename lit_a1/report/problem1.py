"""What was measured for the assignment's first problem: the multilayer perceptron in numpy."""

import ast
from collections.abc import Mapping
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from lit_a1.mlp.settings import Settings
from lit_a1.report.document import table
from lit_a1.report.gather import RecordedRuns, Study, display_path, sources
from lit_a1.report.outputs import study_values
from lit_a1.report.plan import Commands
from lit_a1.report.recipes import shipped_settings
from lit_a1.report.results import layers, results, status
from lit_a1.runs.finished import Run
from lit_a1.runs.folders import relative_to_cwd
from lit_a1.runs.wording import duration, percent

PARAMETERS = (500_000, 1_000_000)  # the assignment asks for at least and at most this many
TEXTS = {"inits": "comparison.md", "search": "summary.md", "gradcheck": "conclusion.md"}
TRIAL_COLUMNS = {  # columns of trials.csv: settings and result of a trial
    "trial", "state", "val_accuracy_best", "best_epoch", "epochs", "parameters", "architecture", "nonlinearity", "lr",
    "lr_decay", "batch_size", "momentum", "nesterov", "weight_decay", "dropout", "input_dropout",
}  # fmt: skip
STATES = {"pruned": "stopped", "failed": "interrupted"}  # of trials without an accuracy


def problem1(records: RecordedRuns, work: Path) -> dict[str, Any]:
    """The multilayer perceptron in numpy; figures are made in the folder `work`."""
    commands, runs = Commands(records), records.runs_with_newest_settings("mlp")
    values: dict[str, Any] = {
        name: study_values(records.study(f"mlp-{name}"), text, commands.study(name).command)
        for name, text in TEXTS.items()
    }
    settings = runs[-1].record["settings"] if runs else shipped_settings("mlp")
    return values | {
        "status": status(records, "mlp"),
        "drawn": records.drawn_digits,
        "result": results(runs, work) if runs else None,
        "network": network(settings),
        "settings": _settings(settings, runs),
        "parameter_range": PARAMETERS,
        "layers": layers(runs[-1] if runs else None, "mlp"),
        "gradcheck_run": gradcheck_run(values["gradcheck"]["outputs"], runs),
        "trials": trials(values["search"]["outputs"]),
    }


def network(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Sizes and update rule of a perceptron from flat settings; None if they do not give the hidden layers."""
    try:
        hidden = [int(units) for units in ast.literal_eval(str(settings["model.hidden_dims"]))]
    except (KeyError, TypeError, ValueError, SyntaxError):
        return None
    pairs = list(pairwise([Settings.input_dim, *hidden, Settings.n_classes]))
    parts = [(fan_in + 1) * fan_out for fan_in, fan_out in pairs]
    model = {name.removeprefix("model."): value for name, value in settings.items() if name.startswith("model.")}
    names = ("nonlinearity", "momentum", "nesterov", "weight_decay", "dropout", "input_dropout")
    defaults = {name: getattr(Settings, name) for name in names}
    return defaults | model | {"hidden": hidden, "pairs": pairs, "parts": parts, "parameters": sum(parts)}


def _settings(settings: Mapping[str, Any], runs: list[Run]) -> dict[str, Any]:
    """A table of a run's settings, its machine and its time."""
    labels = {
        "nonlinearity": "nonlinearity", "initialization": "initialization", "lr": "learning rate of the first step",
        "lr_decay": "learning rate schedule", "batch_size": "mini-batch size", "momentum": "momentum",
        "nesterov": "Nesterov's form of it", "weight_decay": "weight decay (weights only)",
        "dropout": "dropout of hidden units", "input_dropout": "dropout of pixels",
    }  # fmt: skip
    rows = {"hidden units": settings.get("model.hidden_dims"), "epochs": settings.get("trainer.max_epochs")}
    rows |= {label: settings.get(f"model.{name}") for name, label in labels.items()}
    if runs:
        record = runs[-1].record
        images = record["images"]
        rows |= {
            "parameters": f"{record['parameters']:,}",
            "epochs": len(record["epochs"]),
            "seeds": ", ".join(str(run.seed) for run in runs),
            "images": f"{images['train']:,} to train, {images['val']:,} to validate",
            "machine": record["machine"],
            "time": ", ".join(duration(run.record["seconds"]) for run in runs),
        }
    replacements = {"None": "not recorded", "True": "yes", "False": "no"}
    cells = {name: replacements.get(str(value), str(value).strip("()[]")) for name, value in rows.items()}
    source = sources(runs) if runs else "configs/mlp.yaml"
    pairs = list(cells.items())
    half = -(-len(pairs) // 2)
    lines = [[*left, *right] for left, right in zip_longest(pairs[:half], pairs[half:], fillvalue=("", ""))]
    return {"header": ["setting", "value", "setting", "value"], "rows": lines, "source": source, "text_columns": 4}


def gradcheck_run(study: Study | None, runs: list[Run]) -> dict[str, Any]:
    """Whether the gradients were checked on a network of these runs, at the end of its training.

    Returns:
        `run` and `epochs`: which run the record names, if any, and after how many epochs; `weights`: in words, those
        that were checked; `same`: whether they are of one of these runs, at its last epoch.
    """
    record = study.record if study else {}
    names = {f"{run.folder.parent.name}/{run.name}": run for run in runs}
    run, epochs = names.get(str(record.get("run"))), record.get("epochs_done")
    same = run is not None and record.get("setup") == run.record.get("setup") and epochs == len(run.epochs)
    return {"run": record.get("run"), "epochs": epochs, "weights": record.get("weights", "unknown"), "same": same}


def trials(study: Study | None) -> dict[str, Any] | None:
    """Every trial of a search as a table, the best first, with the chosen trial marked.

    Returns:
        `path` of the CSV; `table`, which is None if the file is missing, damaged or of another kind; `count` of rows.
    """
    if study is None:
        return None
    path = study.folder / "trials.csv"
    about: dict[str, Any] = {"path": relative_to_cwd(path), "table": None, "count": 0}
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError):  # pandas raises ValueErrors for a damaged file
        return about
    if not set(frame) >= TRIAL_COLUMNS or frame.empty:
        return about
    best = study.record.get("best")
    answer = str(best.get("trial")) if isinstance(best, dict) else ""
    accuracy = pd.to_numeric(frame.val_accuracy_best, errors="coerce")
    cells = pd.DataFrame({
        "trial": frame.trial.where(frame.trial != answer, frame.trial + " *"),
        "hidden units": frame.architecture.str.split("-").str[1:-1].str.join("-"),
        "f": frame.nonlinearity.str.replace("_", " "),
        "schedule": frame.lr_decay,
        "r(valid)": accuracy.map(percent).where(accuracy.notna(), frame.state.replace(STATES)),
        "epoch": (frame.best_epoch + "/" + frame.epochs).where(accuracy.notna(), ""),
        "parameters": frame.parameters.map(lambda count: f"{int(count):,}" if count.isdecimal() else count),
        "rate": frame.lr,
        "batch": frame.batch_size,
        "momentum": frame.momentum + frame.nesterov.map({"True": " N"}).fillna(""),
        "weight decay": frame.weight_decay,
        "dropout": frame.dropout,
        "pixel dropout": frame.input_dropout,
    })  # fmt: skip
    ranked = cells.loc[accuracy.sort_values(ascending=False, kind="stable").index].to_dict("records")
    return about | {"count": len(frame), "table": table(ranked, display_path(path), text_columns=4)}
