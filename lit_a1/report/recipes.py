"""Recipes (YAMLs in configs/ with the code's defaults): which runs share a recipe, and which weights they name."""

import ast
import contextlib
import hashlib
import io
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from lit_a1 import training
from lit_a1.environment import REPOSITORY
from lit_a1.mlp import options as mlp
from lit_a1.runs.folders import DRAWN
from lit_a1.runs.settings import (
    MACHINE_OPTIONS,
    ROUNDING_OPTIONS,
    UsageError,
    kind_of_config,
    option_of,
    recipe_of,
    without_machine_options,
)

Row = dict[str, str]  # a row of docs/runs.csv, by the columns in `rows.py`
MEMBERS = "model.members"
WEIGHTS = ("model.start", "model.teachers", MEMBERS)  # options that name other networks
REQUIRED_OPTIONS = {"Ensemble": MEMBERS, "DistilledCNN": "model.teachers"}  # options without a default, by class
NEWER_OPTIONS = {"data.augment.mix_until": 0, "data.augment.trivial": 0.0}
"""Augmentation options that are newer than the first recorded runs, with the values that describe those runs.

The parser only knows the defaults of a class's own options.
"""


@cache
def shipped_settings(config: str) -> dict[str, Any]:
    """The settings of a YAML in configs/, defaults included, flat."""
    path = REPOSITORY / "configs" / f"{config}.yaml"
    arguments = ["--config", str(path)]
    parser = mlp if kind_of_config(arguments) == (str(path), "mlp") else training
    return recipe_of(parser.parse(["fit", *arguments]))


@cache
def defaults(model: str, data: str) -> dict[str, Any]:
    """The code's defaults for these classes; without a model class, those of `mlp.parse`.

    Raises:
        UsageError: there are no such classes.
    """
    if not model:
        return recipe_of(mlp.parse(["fit"]))
    required = REQUIRED_OPTIONS.get(model.rpartition(".")[2])
    arguments = [f"--{required}", "[]"] if required else []
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            settings = recipe_of(training.parse(["fit", "--model", model, *arguments, "--data", data]))
    except SystemExit as error:
        raise UsageError(f"This version does not know {model} on {data or 'no data'}.") from error
    return NEWER_OPTIONS | {name: value for name, value in settings.items() if name != required}


def fingerprint(settings: dict[str, Any]) -> str:
    """A short hash of settings: rows with another hash were measured before the YAML changed.

    Defaults and options in `MACHINE_OPTIONS` are left out. So a recipe stays the same if the code gains an option that
    is off by default, or if its options change when or on what it is measured.
    """
    defaults = defaults_of(settings)
    changed = {name: value for name, value in settings.items() if name not in defaults or defaults[name] != value}
    return hashlib.sha256(json.dumps(without_machine_options(changed), sort_keys=True).encode()).hexdigest()[:8]


def changes(settings: dict[str, Any], reference: dict[str, Any]) -> str:
    """The settings in which a run differs from its YAML (`lr=0.1, norm=group`), wherever the runs it builds on are.

    Options in `MACHINE_OPTIONS` are left out, except for `ROUNDING_OPTIONS`.
    """
    defaults = defaults_of(settings)
    settings = without_machine_options(defaults | settings, *ROUNDING_OPTIONS)
    reference = without_machine_options(defaults | reference, *ROUNDING_OPTIONS)
    same = {k for k in WEIGHTS if set(experiment_names(settings.get(k))) == set(experiment_names(reference.get(k)))}
    names = (settings.keys() | reference.keys()) - same - {"seed"}
    changed = sorted(name for name in names if settings.get(name) != reference.get(name))
    return ", ".join(f"{name.partition('.')[2]}={settings.get(name)}" for name in changed)


def defaults_of(settings: dict[str, Any]) -> dict[str, Any]:
    """The `defaults` of the classes named in settings."""
    return defaults(settings.get("model.class_path", ""), settings.get("data.class_path", ""))


def parse_changes(text: str) -> dict[str, str]:
    """`lr=0.1, widths=[8, 8]` as `{"lr": "0.1", "widths": "[8, 8]"}`.

    Raises:
        SystemExit: the text has another form.
    """
    pairs = [part.partition("=") for part in re.split(r", (?=[\w.]+=)", text) if part]
    if not all(name and sign for name, sign, _ in pairs):
        raise SystemExit(f"error: a row of docs/runs.csv has the changes {text!r}; expected NAME=VALUE, NAME=VALUE")
    return {name: value for name, _, value in pairs}


def changes_only_machine(changes: str) -> bool:
    """Whether a run differs from its recipe only in options of the machine, such as precision or compilation."""
    return set(map(option_of, parse_changes(changes))) <= MACHINE_OPTIONS


def has_shipped_settings(settings: dict[str, Any], config: str) -> bool:
    """Whether a run has its recipe's settings, but for options of the machine; not if its classes are unknown."""
    try:
        return changes_only_machine(changes(settings, shipped_settings(config)))
    except UsageError:
        return False


def is_shipped(row: Row) -> bool:
    """Whether a row is of the current version of its recipe, apart from options of the machine."""
    return changes_only_machine(row["changes"]) and row["recipe"] == fingerprint(shipped_settings(row["config"]))


def experiment_names(paths: object) -> list[str]:
    """The experiments behind folders (of experiments or runs) or files of weights: one, a list, or a list as text."""
    text = str(paths or "")
    names = []
    for path in map(Path, ast.literal_eval(text) if text.startswith("[") else filter(None, [text])):
        if path.suffix == ".ckpt":  # lightning_logs/NAME/version_N/checkpoints/last.ckpt, or pretrained/NAME.ckpt
            path = path.parent.parent if path.parent.name == "checkpoints" else path.with_suffix("")
        if re.fullmatch(r"version_\d+", path.name):
            path = path.parent
        names.append(path.name.removesuffix(DRAWN))
    return names
