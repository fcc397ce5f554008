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
    for before, option in itertools.pairwise(["", *options]):
        follows_a_flag = before.startswith("-") and "=" not in before
        (rest if option.startswith("-") or follows_a_flag else photos).append(option)
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
    if (kind := kind_of_config(arguments)) is not None and kind[1] != "fit":
        raise UsageError(f"{kind[0]} is for `{PROGRAM} {kind[1]}`, not for {arguments[0]}")
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
