"""`python main.py fit`, `validate`, `test` and `predict`: Lightning's command line, with this project's defaults."""

import itertools
import json
from collections.abc import Sequence

from lit_a1.environment import PROGRAM, REPOSITORY, keep_freed_memory, quieten, show_messages
from lit_a1.runs.settings import UsageError, kind_of_config
from lit_a1.training import TrainingCLI, parse

PUBLISHED = REPOSITORY / "configs" / "catsdogs_best.yaml"  # the best network whose weights come with the project


def with_photos(options: Sequence[str]) -> list[str]:
    """The options of `predict`, with photos and folders moved to a flag, and the best published network by default.

    Labels of photos go to their own files unless `--submission` names others, so they never overwrite a submission.
    """
    flags = {option.partition("=")[0] for option in options}
    photos: list[str] = []
    rest: list[str] = []
    for previous, option in itertools.pairwise(["", *options]):
        is_flag_value = previous.startswith("-") and "=" not in previous
        (rest if option.startswith("-") or is_flag_value else photos).append(option)
    if photos and "--data.predict_dir" in flags:
        raise UsageError(f"name photos either alone, as {photos[0]}, or with --data.predict_dir")
    if photos:
        rest += ["--data.predict_dir", json.dumps(photos)]
        rest += [] if "--submission" in flags else ["--submission", "predictions.csv"]
    if not any(flag in ("-c", "--config", "--model", "-h") or flag.endswith("help") for flag in flags):
        rest = ["--config", str(PUBLISHED), *rest]
        rest += [] if "--ckpt_path" in flags else ["--ckpt_path", "pretrained"]
    return rest


def main(arguments: Sequence[str]) -> None:
    """Trains a network or uses a trained one; `arguments` are the command, then its options."""
    if arguments[0] == "predict":
        arguments = ["predict", *with_photos(arguments[1:])]
    path, command = kind_of_config(arguments) or (None, "fit")
    if command != "fit":
        raise UsageError(f"{path} is for `{PROGRAM} {command}`, not for {arguments[0]}")
    show_messages()
    quieten()
    if arguments[0] == "predict" and any(argument.endswith(".onnx") for argument in arguments):
        settings = parse(arguments)
        if str(settings.ckpt_path).endswith(".onnx"):
            from lit_a1.export.predict import predict  # needs an extra package

            predict(settings)
            return
    keep_freed_memory()
    TrainingCLI(arguments)
