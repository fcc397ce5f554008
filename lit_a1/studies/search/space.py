"""What a search tries: read from a YAML, drawn by Optuna, and set as flags of `fit`."""

import contextlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import optuna
import yaml
from jsonargparse import Namespace

from lit_a1.data.module import PictureDataModule
from lit_a1.models import Classifier
from lit_a1.runs.settings import UsageError, build
from lit_a1.studies.search.span import Space, Span

KINDS: dict[str, type] = {"model": Classifier, "data": PictureDataModule}
WHICH_PICTURES = ("data.source", "data.n_valid", "data.split_seed", "data.decode_size")
"""Options whose trials would be measured on other pictures, and could not be compared."""
BESIDE = " beside the command's other settings"
KEYS = {"low": float, "high": float, "log": bool, "step": float, "none_below": float}


def read_space(path: Path) -> Space:
    """The ranges and choices of a YAML, by the names of options.

    Raises:
        UsageError: it can't be read, or holds something else.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict) or not found:
        raise UsageError(f"{path} must hold lines such as `model.norm: [batch, group]`")
    return {str(name): _read(f"{name} in {path}", values) for name, values in found.items()}


def _read(name: str, values: Any) -> Span | list[Any]:
    if isinstance(values, list):
        if len(values) < 2 or any(values.count(value) > 1 for value in values):
            raise UsageError(f"{name} must have two different values or more; got {values}")
        if any(isinstance(value, dict) for value in values):
            raise UsageError(f"{name} must have numbers, words or lists to choose from; got {values}")
        return values
    if not isinstance(values, dict) or not {"low", "high"} <= values.keys() <= KEYS.keys():
        raise UsageError(f"{name} must be a list of values, or have low and high, and may have log, step, none_below")
    for key, value in values.items():
        if isinstance(value, bool) != (KEYS[key] is bool) or not isinstance(value, bool | int | float):
            wanted = "true or false" if KEYS[key] is bool else "a number (0.00001, or 1.0e-5)"
            raise UsageError(f"{key} of {name} must be {wanted}; got {value!r}")
    whole = all(isinstance(values.get(key, 0), int) for key in ("low", "high", "step"))
    span = Span(**values, whole=whole)
    if not -math.inf < span.low < span.high < math.inf or (span.log and span.low <= 0):
        raise UsageError(f"{name} must go up from low to high, with log from above 0; got {span.low} to {span.high}")
    if span.step is not None and (span.log or span.step <= 0):
        raise UsageError(f"step of {name} must be above 0, and there is none with log; got {span.step}")
    if span.step is not None and not math.isclose(steps := (span.high - span.low) / span.step, round(steps)):
        raise UsageError(f"step of {name} must lead from low to high in whole steps; got {steps:g} of them")
    if span.none_below and not 0 < span.none_below < span.high:
        raise UsageError(f"none_below of {name} must lie between 0 and high; got {span.none_below}")
    return span


def own_values(settings: Namespace, space: Space) -> dict[str, Any]:
    """What a command is set to, of all that is searched.

    Args:
        settings: of `fit`, as the parser has them.
        space: that is searched.

    Raises:
        UsageError: there is no such option, or it can't be searched.
    """
    own = {name: _parent(settings, name)[_last(name)] for name in space}
    return json.loads(json.dumps(own))  # lists, as a YAML has them, where the parser has tuples


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _parent(settings: Namespace, name: str) -> Any:
    """What holds an option: that of `model.lr` is `model.init_args`."""
    part, *path = name.split(".")
    if part not in KINDS or not path or name.startswith(WHICH_PICTURES):
        raise UsageError(
            f"{name} can't be searched: it must be an option of the model or of the data, model.lr for example, and "
            f"none that changes which pictures are measured ({', '.join(WHICH_PICTURES)})"
        )
    place: Any = settings[part].init_args
    for key in path:
        if not isinstance(place, Namespace | dict) or key not in place:
            kind = str(settings[part].class_path).rpartition(".")[2]
            raise UsageError(f"{name} can't be searched: {kind} has no such option, or it is not set in the command")
        parent, place = place, place[key]
    if isinstance(place, Namespace | dict):
        raise UsageError(f"{name} can't be searched: it stands for several options, of which one must be named")
    return parent


def check_space(settings: Namespace, space: Space, own: Mapping[str, Any]) -> None:
    """Builds the network and its data with each of the values to choose from, and at both ends of each range.

    Args:
        settings: of `fit`, as the parser has them.
        space: that is searched.
        own: as `own_values` has them.

    Raises:
        UsageError: a value is refused where all others are the command's; in other company, only its trial tells.
    """
    for name, span in space.items():
        values = (span.meaning(span.low), span.meaning(span.high)) if isinstance(span, Span) else span
        number = isinstance(own[name], int | float) and not isinstance(own[name], bool)
        if number and (strings := [value for value in values if isinstance(value, str)]):
            raise UsageError(f"{name} must have numbers, 0.001 or 1.0e-3 for example; got {strings[0]!r}")
        if isinstance(own[name], float) and isinstance(span, Span) and span.whole:
            raise UsageError(f"{name} is no whole number: write its ends as {span.low:.1f} and {span.high:.1f}")
        for value in values:
            changed = deepcopy(settings)
            _parent(changed, name)[_last(name)] = value
            part = name.partition(".")[0]
            refusal = io.StringIO()
            try:
                with contextlib.redirect_stderr(refusal):
                    build(KINDS[part], changed[part])
            except (ValueError, TypeError) as error:
                raise UsageError(f"{name} can't be {value}{BESIDE}: {error}") from error
            except SystemExit as leaving:
                raise UsageError(f"{name} can't be {value}{BESIDE}: {sentence(refusal)}") from leaving


def sentence(refusal: io.StringIO) -> str:
    """What `Parser` wrote to standard error when it left."""
    return refusal.getvalue().strip().rpartition("error: ")[2]


def start_of(own: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """The draw that is nearest to a command's own settings, as `Study.enqueue_trial` takes it.

    Args:
        own: those settings. Of numbers to choose from the nearest is taken; of other values, where one's own is none
            of them, the first.
        space: that is searched.
    """
    return {
        name: span.nearest(own[name]) if isinstance(span, Span) else _text(_nearest(own[name], span))
        for name, span in space.items()
    }


def _nearest(own: Any, values: Sequence[Any]) -> Any:
    if own in values:
        return values[values.index(own)]  # 0 where one's own is 0.0
    if all(isinstance(value, int | float) for value in (own, *values)):
        return min(values, key=lambda value: abs(value - own))
    return values[0]


def _text(value: Any) -> str:
    """A value to choose as Optuna keeps it, which knows no lists."""
    return json.dumps(value)


def draw(trial: optuna.Trial, space: Space) -> dict[str, Any]:
    """Has Optuna propose values, by the names of options."""
    drawn: dict[str, Any] = {}
    for name, span in space.items():
        if not isinstance(span, Span):
            drawn[name] = json.loads(trial.suggest_categorical(name, [_text(value) for value in span]))
        elif span.whole:
            low, high, step = (int(value) for value in (span.low, span.high, span.step or 1))
            drawn[name] = span.meaning(trial.suggest_int(name, low, high, step=step, log=span.log))
        else:
            drawn[name] = span.meaning(trial.suggest_float(name, span.low, span.high, step=span.step, log=span.log))
    return drawn


def flags_of(drawn: Mapping[str, Any]) -> list[str]:
    """The flags of `fit` that set these values."""
    return [
        word
        for name, value in drawn.items()
        for word in (f"--{name}", value if isinstance(value, str) else json.dumps(value))
    ]
