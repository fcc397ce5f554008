"""The search for a CNN: which options can be searched, and what all trials share."""

import contextlib
import io
import json
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from lit_a1.data.module import ImageDataModule
from lit_a1.environment import PROGRAM, commit, machine, versions
from lit_a1.flags import experiment_of
from lit_a1.models import Classifier
from lit_a1.runs.folders import DRAWN
from lit_a1.runs.records import RECORD_FILE, write_json
from lit_a1.runs.settings import UsageError, build, recipe_of, without_machine_options
from lit_a1.runs.wording import typed
from lit_a1.studies.fits import check_settings
from lit_a1.studies.search.objective import Objective, Report, Settings, TrialRecord
from lit_a1.studies.search.space import Range, Space, distributions, nearest_sample, read_space, values_text
from lit_a1.studies.search.training import refusal_sentence, train
from lit_a1.training import parse

KINDS: dict[str, type] = {"model": Classifier, "data": ImageDataModule}
# options that change the validation images, so that trials could not be compared
OTHER_IMAGES = ("data.source", "data.n_valid", "data.split_seed", "data.decode_size")


def objective(arguments: Sequence[str], path: Path) -> Objective:
    """The search for a CNN: the YAML says what is searched; the arguments of `fit` are the same for all trials.

    Raises SystemExit if an argument is refused, and a UsageError if the YAML, or a setting for a search, is refused.
    """
    settings = parse(["fit", *arguments])
    check_settings(settings, "search", "a trial's metrics are read from its run", "with --study")
    space = read_space(path)
    own = own_values(settings, space)
    check_space(settings, space, own)
    data = build(ImageDataModule, settings.data)
    data.locate("fit")
    logs, name = experiment_of(settings, drawn=False)
    kinds = [str(settings[part].class_path).rpartition(".")[2] for part in KINDS]
    names = {option: option.partition(".")[2] for option in space}  # `lr`, `augment.crop_scale`
    recipe = {key: value for key, value in recipe_of(settings).items() if key not in space}
    shared = without_machine_options(recipe, "check_val_every_n_epoch")  # trials are pruned where they are validated
    shared |= {"seed": int(settings.seed_everything), "drawn images": data.drawn}
    shared |= {f"the range of {option}": values_text(values) for option, values in space.items()}

    def describe_sample(sampled: Settings) -> dict[str, Any]:
        values = settings_of(sampled, space)
        words = ", ".join(f"{names[option]} {value}" for option, value in values.items())
        return {"settings": values, "words": words, "machine": machine(settings.trainer.accelerator == "cpu")}

    def fit(values: Settings, folder: Path, report: Report, quiet: bool) -> tuple[int, dict[str, int]]:
        record = train([*arguments, *flags_of(values)], folder, report, quiet=quiet)
        images, limit = record["images"], settings.trainer.limit_train_batches
        if isinstance(limit, int) or (limit or 1) < 1:  # then the number of training images depends on the batch size
            images = {"val": images["val"]}
        return record["parameters"], images

    def record(folder: Path, trials: Sequence[TrialRecord], results: dict[str, Any]) -> None:
        content = {"search": shared, **results, "commit": commit(), "versions": versions()}
        content["machines"] = sorted({trial.machine for trial in trials})
        content["finished"] = time.strftime("%Y-%m-%d %H:%M")
        write_json(folder / RECORD_FILE, content)

    return Objective(
        study_name="cnn",
        words=f"{name}: {' on '.join(kinds)}{' (DRAWN images)' if data.drawn else ''}, seed {shared['seed']}",
        runs=logs / f"{name}-search{DRAWN if data.drawn else ''}",
        seed=shared["seed"],
        epochs=int(settings.trainer.max_epochs),
        shared=shared,
        space=space,
        distributions=distributions(space, json.dumps),
        start=nearest_sample(own, space, json.dumps),
        own=own,
        describe_sample=describe_sample,
        train=fit,
        command=lambda values: typed(*PROGRAM.split(), "fit", *arguments, *flags_of(values)),
        record=record,
        columns="trial state diverged val_accuracy_last val_accuracy_best epochs seconds parameters machine",
        names=names,
    )


def _key(settings: Namespace, name: str) -> str:
    """The key of an option in the settings: `model.lr` is `model.init_args.lr`."""
    part, _, option = name.partition(".")
    if part not in KINDS or not option or name.startswith(OTHER_IMAGES):
        raise UsageError(
            f"{name} can't be searched: it must be an option of the model or of the data, model.lr for example, and "
            f"none that changes which images are measured ({', '.join(OTHER_IMAGES)})"
        )
    key = f"{part}.init_args.{option}"
    if key not in settings:
        kind = str(settings[part].class_path).rpartition(".")[2]
        raise UsageError(f"{name} can't be searched: {kind} has no such option, or it is not set in the command")
    if isinstance(settings[key], Namespace | dict):
        raise UsageError(f"{name} can't be searched: it stands for several options, of which one must be named")
    return key


def own_values(settings: Namespace, space: Space) -> dict[str, Any]:
    """The command's own values of the searched options; raises a UsageError if an option can't be searched."""
    own = {name: settings[_key(settings, name)] for name in space}
    return json.loads(json.dumps(own))  # turns the parser's tuples into lists, as in a YAML


def check_space(settings: Namespace, space: Space, own: Mapping[str, Any]) -> None:
    """Builds the network and its data with each choice, and at both ends of each range.

    Raises a UsageError if a value is refused with the command's other settings. Whether it fits other sampled values,
    only a trial can tell.
    """
    for name, choices in space.items():
        span = choices if isinstance(choices, Range) else None
        values: Any = [span.meaning(span.low), span.meaning(span.high)] if span else choices
        is_number = isinstance(own[name], int | float) and not isinstance(own[name], bool)
        if is_number and (strings := [value for value in values if isinstance(value, str)]):
            raise UsageError(f"{name} must have numbers, 0.001 or 1.0e-3 for example; got {strings[0]!r}")
        if isinstance(own[name], float) and span and span.whole:
            raise UsageError(f"{name} is no whole number: write its ends as {span.low:.1f} and {span.high:.1f}")
        for value in values:
            changed, refusal, part = deepcopy(settings), io.StringIO(), name.partition(".")[0]
            changed[_key(settings, name)] = value
            try:
                with contextlib.redirect_stderr(refusal):
                    build(KINDS[part], changed[part])
            except (UsageError, SystemExit) as error:
                reason = refusal_sentence(refusal) if isinstance(error, SystemExit) else error
                raise UsageError(f"{name} can't be {value} beside the command's other settings: {reason}") from error


def settings_of(sampled: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """The sampled values, by the names of options."""
    return {
        name: values.meaning(sampled[name]) if isinstance(values, Range) else json.loads(sampled[name])
        for name, values in space.items()
    }


def flags_of(settings: Mapping[str, Any]) -> list[str]:
    """The flags of `fit` that set these values."""
    flags = []
    for name, value in settings.items():
        flags += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
    return flags
