"""A row a run: what docs/runs.csv keeps of it, and how its settings differ from those of its YAML."""

import ast
import contextlib
import csv
import hashlib
import io
import itertools
import json
import re
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

from lit_a1 import training
from lit_a1.commands import mlp
from lit_a1.environment import REPOSITORY
from lit_a1.report.trials import Row, as_shipped
from lit_a1.runs.folders import DRAWN
from lit_a1.runs.settings import UsageError, kind_of_config, recipe_of
from lit_a1.studies.curves import read

RUNS = REPOSITORY / "docs" / "runs.csv"
MEMBERS = "model.members"
WEIGHTS = ("model.start", "model.teachers", MEMBERS)
"""Options that name the networks which a recipe builds on."""
NEEDED = {"Ensemble": MEMBERS, "DistilledCNN": "model.teachers"}
"""Options that have no default, by class."""
LATER = {"data.augment.mix_until": 0}
"""Options within the augmentation that came after the first recorded runs, and what those did without.

The parser knows the defaults of a class's own options alone.
"""
COLUMNS = (
    "finished", "config", "recipe", "changes", "seed", "epochs", "parameters", "seconds", "peak_memory_gb", "machine",
    "packages", "commit", "val_pictures", "best_epoch", "best_val_error", "last_val_error", "tested", "test_error",
)  # fmt: skip


@cache
def shipped(config: str) -> dict[str, Any]:
    """The settings of a YAML in configs/, defaults included, flat."""
    path = REPOSITORY / "configs" / f"{config}.yaml"
    arguments = ["--config", str(path)]
    parser = mlp if kind_of_config(arguments) == (str(path), "mlp") else training
    return recipe_of(parser.parse(["fit", *arguments]))


def experiments(named: object) -> list[str]:
    """The experiments that an option means.

    Args:
        named: folders of experiments or of runs, or files of weights: one, a list, or a list as text.
    """
    text = str(named or "")
    paths = ast.literal_eval(text) if text.startswith("[") else [text] * bool(text)
    return [_experiment(Path(path)) for path in paths]


def _experiment(path: Path) -> str:
    if path.suffix == ".ckpt":  # lightning_logs/NAME/version_N/checkpoints/last.ckpt, or pretrained/NAME.ckpt
        path = path.parent.parent if path.parent.name == "checkpoints" else path.with_suffix("")
    if re.fullmatch(r"version_\d+", path.name):
        path = path.parent
    return path.name.removesuffix(DRAWN)


def sources(config: str) -> dict[str, list[str]]:
    """The experiments whose weights a YAML starts from, learns from or averages, by the option that names them."""
    found = {name: experiments(shipped(config).get(name)) for name in WEIGHTS}
    return {name: named for name, named in found.items() if named}


def builds_on(config: str) -> set[str]:
    """All of them, and what these build on; nothing, of an experiment without a YAML here."""
    if not (REPOSITORY / "configs" / f"{config}.yaml").is_file():
        return set()
    direct = set(itertools.chain(*sources(config).values()))
    return direct.union(*map(builds_on, direct))


@cache
def defaults(model: str, data: str) -> dict[str, Any]:
    """What the code takes where a YAML says nothing; `mlp.parse`'s where no classes are named.

    Raises:
        UsageError: there are no such classes.
    """
    if not model:
        return recipe_of(mlp.parse(["fit"]))
    needed = NEEDED.get(model.rpartition(".")[2])
    required = [f"--{needed}", "[]"] if needed else []
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            found = recipe_of(training.parse(["fit", "--model", model, *required, "--data", data]))
    except SystemExit as error:
        raise UsageError(f"This version does not know {model or 'no model'} on {data or 'no data'}.") from error
    return LATER | {name: value for name, value in found.items() if name != needed}


def own(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that are not the code's defaults.

    So an option that the code learns later, off by default, makes no other recipe of those that were measured without.
    """
    usual = defaults(settings.get("model.class_path", ""), settings.get("data.class_path", ""))
    return {name: value for name, value in settings.items() if name not in usual or usual[name] != value}


def fingerprint(settings: dict[str, Any]) -> str:
    """A short hash of settings: rows of another one were measured before the YAML changed."""
    return hashlib.sha256(json.dumps(own(settings), sort_keys=True).encode()).hexdigest()[:8]


def is_shipped(row: Row) -> bool:
    """Whether a row is of a recipe as its YAML has it now, whatever its machine made of it."""
    return as_shipped(row["changes"]) and row["recipe"] == fingerprint(shipped(row["config"]))


def identity(row: Row) -> tuple[str, ...]:
    """What is the same for a run below the folder of runs and in the CSV, whatever its YAML says by now."""
    return tuple(row[name] for name in ("config", "finished", "seed", "epochs", "seconds", "last_val_error"))


def changes(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """The settings in which a run differs from its YAML: `lr=0.1, norm=group`.

    Runs of the same experiments are the same to build on, wherever they lie.
    """
    usual = defaults(ours.get("model.class_path", ""), ours.get("data.class_path", ""))
    ours, theirs = usual | ours, usual | theirs
    same = {name for name in WEIGHTS if set(experiments(ours.get(name))) == set(experiments(theirs.get(name)))}
    both = (ours.keys() | theirs.keys()) - same - {"seed"}
    names = sorted(name for name in both if ours.get(name) != theirs.get(name))
    return ", ".join(f"{name.partition('.')[2]}={ours.get(name)}" for name in names)


def val_error(epoch: dict[str, float]) -> str:
    """Of an epoch; empty where it was not measured, `nan` where the network had diverged and guesses."""
    if "val/error" not in epoch:
        return ""
    return f"{epoch['val/error']:.4f}" if isfinite(epoch.get("val/loss", 0.0)) else "nan"


def test_figures(run: Path) -> dict[str, Any]:
    """What `test` left in a run's folder: `checkpoint`, `test/error` and more; empty where that can't be read."""
    found = read_json(run / "test.json")
    if not isinstance(found, dict) or not isinstance(found.get("checkpoint"), str):
        return {}
    return found if isinstance(found.get("test/error"), float | int) else {}


def read_json(path: Path) -> Any:
    """What a JSON file holds; None where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def row_of(run: Path) -> Row:
    """A row of docs/runs.csv from the record that `fit` left in a run's folder.

    Raises:
        UsageError: there is no record, it is damaged, or it is of classes that this version does not know.
    """
    record, config = read(run).record, run.parent.name.removesuffix(DRAWN)
    recipe = shipped(config)
    test = test_figures(run)
    names = ("torch",) if "model.class_path" in recipe else ("numpy",)
    packages = " ".join(f"{name} {record['versions'][name]}" for name in names)
    best, last = record["best"], record["last"]
    seeds = record["seed"] if isinstance(record["seed"], list) else [record["seed"]]  # those of an ensemble's members
    values = (
        record["finished"], config, fingerprint(recipe), changes(record["settings"], recipe),
        " ".join(map(str, seeds)), int(last["epoch"]) + 1, record["parameters"], record["seconds"],
        record["peak_memory_gb"], record["machine"], packages, record["commit"], record["pictures"]["val"],
        int(best["epoch"]) + 1, val_error(best), val_error(last),
        Path(test["checkpoint"]).stem if test else "", f"{test['test/error']:.4f}" if test else "",
    )  # fmt: skip
    return dict(zip(COLUMNS, map(str, values), strict=True))


def read_rows(path: Path = RUNS) -> list[Row]:
    """All rows of a CSV of runs, in the order in which they were added; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
