"""`python main.py fit`, `validate`, `test` and `predict`: Lightning's command line, with this project's defaults."""

import signal
from collections.abc import Sequence

from lightning.pytorch.utilities.exceptions import SIGTERMException

from lit_a1.environment import PROGRAM, keep_freed_memory, quieten, show_messages
from lit_a1.runs.settings import UsageError, kind_of_config
from lit_a1.training import TrainingCLI, parse


def main(arguments: Sequence[str]) -> None:
    """Trains a network or uses a trained one; `arguments` are the command, then its options."""
    if (kind := kind_of_config(arguments)) is not None and kind[1] != "fit":
        raise UsageError(f"{kind[0]} is for `{PROGRAM} {kind[1]}`, not for {arguments[0]}")
    show_messages()
    quieten()
    if arguments[0] == "predict" and any(argument.endswith(".onnx") for argument in arguments):
        settings = parse(arguments)
        if str(settings.ckpt_path).endswith(".onnx"):
            from lit_a1.export.predict import predict  # which needs another package

            return predict(settings)
    keep_freed_memory()
    try:
        TrainingCLI(arguments)
    except SIGTERMException as error:
        raise SystemExit(128 + signal.SIGTERM) from error  # as shells count it; Lightning's own status is 0
