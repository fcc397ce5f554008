"""The settings of a run: parsed with a one-sentence message for each mistake, built, compared and flattened."""

import argparse
import inspect
import itertools
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args

import yaml
from jsonargparse import ArgumentParser, Namespace

from lit_a1.runs.wording import suggestion

T = TypeVar("T")
PARTS = ("model", "data", "trainer")
NO_PART_OF_THE_RECIPE = tuple(
    f"trainer.{name}" for name in ("logger", "callbacks", "plugins", "default_root_dir", "save_dir", "name")
)
MACHINE_OPTIONS = frozenset({
    "accelerator", "devices", "num_nodes", "strategy", "precision", "profiler", "channels_last", "compile_net",
    "sync_norm", "source", "predict_dir", "test_dir", "workers", "keep_on_device", "eval_batch_size", "measure_train",
    "check_val_every_n_epoch", "num_sanity_val_steps", "log_every_n_steps", "enable_autolog_hparams",
    "enable_checkpointing", "enable_model_summary", "enable_progress_bar",
})  # fmt: skip
"""Options of the machine, of measuring and of what is shown: runs that differ only in these share a recipe."""
ROUNDING_OPTIONS = frozenset({"precision", "compile_net", "channels_last", "sync_norm"})
"""Those of `MACHINE_OPTIONS` that may change the roundings, and so the trained weights."""
STORAGE = (
    "a database instead of a folder, for processes that share no disk: postgresql://USER@HOST/DATABASE, another that "
    "Optuna takes, or grpc://HOST:PORT of its proxy"
)


class UsageError(ValueError):
    """A setting that is not possible, explained in one sentence."""


class PlainParser(argparse.ArgumentParser):
    """Answers a mistake on the command line with one sentence, which names what was probably meant."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"allow_abbrev": False})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Prints the sentence and exits with status 2."""
        print(f"error: {concise(message)}{_suggestion_for(message, self)}", file=sys.stderr)
        raise SystemExit(2)

    def parse_own(
        self, arguments: Sequence[str], mlp_reason: str, example: str = "catsdogs.yaml"
    ) -> tuple[argparse.Namespace, list[str]]:
        """This command's options, and all other arguments, which go to another command.

        Refuses others that look like misspelt options of its own. Raises a UsageError if they name no network, or the
        numpy network, with the reason in `mlp_reason`.
        """
        options, others = self.parse_known_args(list(arguments))
        for word in others:
            if "." not in word and _suggestion_for(message := f"unrecognized arguments: {word}", self):
                self.error(message)
        if not others:
            raise UsageError(f"name a network, with --config configs/{example} for example")
        path, command = kind_of_config(others) or (None, "fit")
        if command != "fit":
            raise UsageError(f"{path} is of the numpy network{mlp_reason}")
        return options, others


class Parser(PlainParser, ArgumentParser):
    """`PlainParser` on jsonargparse, for a command line and its YAML."""

    def parse_args(self, arguments: Sequence[str], **options: Any) -> Namespace:  # type: ignore[override]
        """Parses as jsonargparse, but the YAML before all flags, which change its values wherever they stand."""
        for path in _configs(arguments):  # jsonargparse does not name the file that it can't parse
            with suppress(OSError, UnicodeDecodeError), Path(path).open(encoding="utf-8") as file:
                try:
                    yaml.safe_load(file)
                except yaml.YAMLError as error:
                    self.error(f"{path} is not valid YAML: {error}")
        try:  # jsonargparse takes each text for a possible file name, and so fails on a null byte
            return super().parse_args(_yaml_first(arguments), **options)
        except ValueError as error:  # a null byte
            self.error(f"a setting is no text: {error}")
            raise

    def validate(self, namespace: Namespace, skip_unset: bool = True, **options: Any) -> None:
        """Checks all values; jsonargparse accepts `null` for any setting, and any value for a part of the settings."""
        for part in {action.dest.partition(".")[0] for action in self._actions if "." in action.dest}:
            if not isinstance(value := namespace.get(part), Namespace | dict | None):
                raise TypeError(f'Parser key "{part}": settings by name are needed; got {value!r}')
        for key, value in namespace.items():
            if isinstance(value, str) and "\0" in value:  # no system accepts it in a file name
                raise TypeError(f'Parser key "{key}": it has a character that is not text; got {value!r}')
        super().validate(namespace, skip_unset=False, **options)


def build(kind: type[T], settings: dict[str, Any] | Namespace) -> T:
    """Builds the subclass of `kind` that a part of a YAML describes, as `fit` does; raises a UsageError if refused."""
    parser = Parser()
    parser.add_argument("--part", type=kind)
    found = parser.parse_object({"part": deepcopy(settings)})  # jsonargparse changes its argument
    try:
        return parser.instantiate_classes(found).part
    except (ValueError, TypeError) as error:
        raise UsageError(concise(str(error))) from error


def first_difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """The alphabetically first name whose setting differs, of two flat settings; empty if they are equal."""
    names = sorted(first.keys() | second.keys())
    return next((name for name in names if first.get(name) != second.get(name)), "")


def concise(message: str) -> str:
    r"""Jsonargparse's message in one line, without the tree of types that were tried.

    >>> concise('Parser key "data": Does not validate against any of the Union subtypes\nSubtypes: [A, None]\n'
    ...         "Errors:\n  - size must be at least 1\n  - Expected a <class 'NoneType'>\nGiven value type: dict")
    'data: size must be at least 1'
    >>> concise('Parser key "lr": Expected a <class \'float\'>. Got value: high')
    'lr: expected float, got high'
    """
    text = " ".join(line.strip().removeprefix("- ") for line in message.splitlines() if line.strip())
    key = re.match(r'Parser key "([^"]+)": ', text)
    text = text[key.end() :] if key else text
    given = re.search("Given value: (.*)", text)
    if "Union subtypes" in text:
        text = re.sub(
            r"^Not a valid subclass of .*?(?=Problem with given class_path)", "", text.rpartition("Errors: ")[2]
        )
    text = re.split(r" Expected a <class '| Given value type: | Subclass types expect one of: ", text)[0]
    text = re.sub(r"^(.+) \1$", r"\1", text)  # if two types are refused for one reason
    text = text.replace("Expected a typing.Literal", "expected one of ").replace(". Got value: ", ", got ")
    text = re.sub(r"^Expected a <class '(\w+)'>", r"expected \1", text)
    text += f", got {given[1]}" if given and re.fullmatch(r"expected \w+", text) else ""
    return (f"{key[1]}: " if key else "") + text


def _suggestion_for(message: str, parser: argparse.ArgumentParser) -> str:
    """What was probably meant instead of a refused option or class, as the end of the message's sentence."""
    actions = list(parser._actions)
    for action in parser._actions:  # each command's options are in its own parser
        for inner in action.choices.values() if isinstance(action.choices, dict) else ():
            actions += getattr(inner, "_actions", ())
    if match := re.match("unrecognized arguments: (.*)", message):
        word = match[1].split()[0].partition("=")[0]
        if word.endswith((".yaml", ".yml")):
            return f"; did you mean --config {word}?"
        names = [action.dest for action in actions] + [name for action in actions for name in _parts_of(action)]
        return suggestion(word.removeprefix("--"), names, "--{}") if word.startswith("--") else ""
    if match := re.search(r"(?:accept option|^Option) '([^']+)'", message):
        return suggestion(match[1], [action.dest for action in actions])
    if match := re.match(r"""Parser key "([^"]+)".*?(?:path string: |class_path ')([^\s']+)""", message, re.DOTALL):
        classes = [class_ for action in actions if action.dest == match[1] for class_ in _classes(action)]
        return suggestion(match[2], [class_.__name__ for class_ in classes])
    return ""


def _classes(action: argparse.Action) -> list[type]:
    """The imported classes that an option can name."""
    found, hints = [], [getattr(action, "_typehint", None)]
    while hints:
        hint = hints.pop(0)
        hints += get_args(hint)
        if isinstance(hint, type) and hint.__module__ != "builtins" and hint not in found:
            found.append(hint)
            hints += hint.__subclasses__()
    return found


def _parts_of(action: argparse.Action) -> list[str]:
    """Names such as `model.lr`, for this project's classes that an option like `--model` can name."""
    classes = _classes(action) if "." not in action.dest else []
    bases = [base for class_ in classes for base in class_.__mro__ if base.__module__.startswith("lit_a1.")]
    return [f"{action.dest}.{name}" for base in bases for name in inspect.signature(base).parameters]


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """Nested settings as `{"model.lr": 0.1, ...}`, without settings that are None."""
    result: dict[str, bool | int | float | str] = {}
    for key, value in settings.items():
        name = prefix if key == "init_args" else f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, dict) and value:
            result |= flat(value, name)
        elif value is not None:
            result[name] = value if isinstance(value, bool | int | float | str) else str(value)
    return result


def recipe_of(command: Namespace) -> dict[str, bool | int | float | str]:
    """All settings that affect a run, defaults included, except the seed: model, data and trainer, flat."""
    settings = flat({part: command[part].as_dict() for part in PARTS if command.get(part) is not None})
    return {name: value for name, value in settings.items() if not name.startswith(NO_PART_OF_THE_RECIPE)}


def option_of(change: str) -> str:
    """The option that a change belongs to: `flip` for `augment.flip`, `size_schedule` for `size_schedule.0`."""
    return change.removeprefix("augment.").partition(".")[0]


def without_machine_options(settings: Mapping[str, Any], *kept: str) -> dict[str, Any]:
    """Flat settings without those of `MACHINE_OPTIONS`, except for the options `kept`."""
    dropped = MACHINE_OPTIONS.difference(kept)
    return {name: value for name, value in settings.items() if option_of(name.partition(".")[2]) not in dropped}


def kind_of_config(arguments: Sequence[str]) -> tuple[str, str] | None:
    """The YAML that `--config` names, and the command for its model: `fit`, or `mlp` for the numpy network.

    None if no YAML with a model is named. Unreadable files are skipped: the parser refuses them.
    """
    for path in _configs(arguments):
        try:
            settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        if isinstance(settings, dict) and isinstance(settings.get("model"), dict):
            return path, "mlp" if settings["model"].keys().isdisjoint(("class_path", "init_args")) else "fit"
    return None


def check_trainer(parser: ArgumentParser, settings: Namespace, *names: str) -> None:
    """Refuses a YAML whose `trainer` has no settings by name: flags leave only their own, and `names` are missing."""
    if any(f"trainer.{name}" not in settings for name in names):
        parser.error("trainer: settings by name are needed in the YAML, or no `trainer` at all")


def _configs(arguments: Sequence[str]) -> list[str]:
    """The YAMLs that `--config` names."""
    paths = [argument.removeprefix("--config=") for argument in arguments if argument.startswith("--config=")]
    return paths + [path for flag, path in itertools.pairwise(arguments) if flag in ("-c", "--config")]


def _yaml_first(arguments: Sequence[str]) -> list[str]:
    """The arguments, with `--config` and its value before all others."""
    words, first, others = iter(arguments), list[str](), list[str]()
    for word in words:
        if word in ("-c", "--config"):
            first += [word, *itertools.islice(words, 1)]
        else:
            (first if word.startswith("--config=") else others).append(word)
    return first + others


def without_checkpoint(arguments: Sequence[str]) -> list[str]:
    """The arguments of a `fit` without `--ckpt_path`, for other commands on its run."""
    pairs = zip(["", *arguments], arguments, strict=False)
    return [word for previous, word in pairs if "--ckpt_path" not in (previous, word.partition("=")[0])]
