"""The command line: `python main.py COMMAND`. Imports are made when a command needs them."""

import importlib
import io
import os
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from lit_a1.environment import PROGRAM, is_first
from lit_a1.startup import check_compiler_cache, check_versions, import_lightning, usage, with_shipped_yamls

COMMANDS = {  # by name: the module in `lit_a1/commands`, whose `main` takes the options, and what the command does
    "fit": ("fit", "train a network: --config configs/catsdogs.yaml"),
    "validate": ("fit", "measure a checkpoint on the validation images"),
    "test": ("fit", "measure a checkpoint on labelled test images"),
    "predict": ("fit", "label photos, PHOTO... or FOLDER; without them the test images, into submission.csv"),
    "mlp": ("mlp", "the numpy network on MNIST: mlp fit, test, inits, search, gradcheck, export"),
    "search": ("search", "try hyperparameters of a CNN, in the ranges of a YAML; processes can share a study"),
    "crossval": ("crossval", "cross-validate a recipe: label each photo by a network that was not trained on it"),
    "architecture": ("architecture", "list the layers of a network: filters, shapes, parameters, multiply-adds"),
    "audit": ("audit", "find faults in a dataset: duplicates, conflicts, blanks, unreadable files"),
    "compare": ("compare", "compare MLP and CNN on MNIST, from recorded runs: tables, figures, text"),
    "analyze": ("analyze", "look inside a trained CNN and at its mistakes: figures, tables, text"),
    "export": ("export", "write trained weights as ONNX and safetensors, with a model card"),
    "demo": ("demo", "open a page to draw a digit, drop a photo, compare networks and watch one learn"),
    "report": ("report", "answer the assignment from recorded runs, as HTML and PDF"),
    "benchmark": ("benchmark", "time this code against PyTorch's own, side by side"),
}
STATUS = {  # exit status by name of the error, reported in one sentence; importing the classes would take seconds
    "UsageError": 2,
    **dict.fromkeys(("CheckpointError", "DataError", "DeviceLostError", "DivergedError", "RuleError"), 1),
    "VersionError": 1,
    **dict.fromkeys(("MisconfigurationException", "OSError"), 1),  # Lightning's; failed reads and writes
}
OF_ALL_DEVICES = ("DeviceLostError", "DivergedError")  # reported by the first process alone, not once a machine


def refuse(message: str, status: int = 1) -> NoReturn:
    """Prints an error and ends the process."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(status)


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    """Stays silent about failed writes: TensorBoard's thread passes them to its caller, which reports them."""
    if not issubclass(failed.exc_type, OSError):
        threading.__excepthook__(failed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command. Wrong input ends in a sentence, with status 1, or 2 for a wrong command line."""
    owns_process = arguments is None  # this process does nothing else
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # it may be closed
    sys.stderr = sys.stderr or sys.stdout
    if os.environ.get("COLUMNS") == "0":
        del os.environ["COLUMNS"]  # set by some terminals; Rich would print nothing
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a Windows console may lack characters; a file name may not be UTF-8
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        about = "IFT6135 assignment 1: networks written by hand, on PyTorch Lightning."
        print(usage(PROGRAM, about, {name: line for name, (_, line) in COMMANDS.items()}))
        raise SystemExit(0 if arguments else 2)
    name, *options = arguments
    if name not in COMMANDS:
        from lit_a1.runs.wording import suggestion  # only needed after a mistake

        refuse(f"there is no command {name!r}; the commands are {', '.join(COMMANDS)}{suggestion(name, COMMANDS)}", 2)
    if owns_process:
        os.environ["MPLBACKEND"] = "agg"  # figures go to files; a notebook hands on its backend, which may be missing
        threading.excepthook = _thread_failed
    try:
        check_versions()
        check_compiler_cache()
        run(name, with_shipped_yamls(options), only_help=owns_process and not {"-h", "--help"}.isdisjoint(options))
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as in shells; the command has already printed its message
    except ModuleNotFoundError as error:
        if not error.name or error.name.startswith("lit_a1"):
            raise
        refuse(f"{error.name} is not installed: pip install -r requirements.txt")
    except Exception as error:
        status = next((STATUS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in STATUS), None)
        if status is None:
            raise
        if COMMANDS[name][0] == "fit" and not is_first(of_machine=type(error).__name__ not in OF_ALL_DEVICES):
            raise SystemExit(status) from None
        refuse(" ".join(line.strip() for line in str(error).splitlines()), status)


def run(name: str, options: Sequence[str], only_help: bool) -> None:
    """Imports and runs a command."""
    module, _ = COMMANDS[name]
    if module in ("fit", "search", "crossval"):
        import_lightning(only_help)
    command = importlib.import_module(f"lit_a1.commands.{module}")
    command.main([name, *options] if module == "fit" else options)
