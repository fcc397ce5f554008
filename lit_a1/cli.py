"""The command line: `python main.py COMMAND`. What a command needs is imported when it is called."""

import io
import os
import sys
from collections.abc import Callable, Sequence

from lit_a1.data.errors import DataError
from lit_a1.environment import PROGRAM
from lit_a1.startup import VersionError, check_compiler_cache, check_versions, import_lightning, with_shipped_yamls

COMMANDS = {
    "fit": "train a network: --config configs/catsdogs.yaml",
    "validate": "measure a checkpoint on the validation pictures",
    "test": "measure a checkpoint on labelled test pictures",
    "predict": "label the test pictures, or --data.predict_dir DIR, into submission.csv",
    "mlp": "the numpy network on MNIST: mlp fit, test, inits, search, gradcheck",
    "search": "try hyper-parameters of a CNN: ranges and choices in configs/spaces/, a study that can be shared",
    "architecture": "the layers of a network: filters, strides, shapes, parameters, multiply-adds",
    "audit": "find what is wrong with a data set: duplicates, conflicts, blanks, unreadable files",
    "compare": "MLP against CNN on MNIST, from recorded runs: tables, figures, words",
    "analyze": "look inside a trained CNN, and at what it gets wrong: figures, tables, words",
    "report": "the assignment's answers from recorded runs, as HTML and PDF",
    "benchmark": "time this code against PyTorch's own, side by side",
}


def usage() -> str:
    """The text of `--help`: every command with a line."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {words}" for name, words in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND [options]",
            "",
            "IFT6135 assignment 1: networks written by hand, on PyTorch Lightning.",
            "",
            *lines,
            "",
            f"{PROGRAM} COMMAND --help lists a command's options.",
        ]
    )


def _command(name: str, only_help: bool) -> Callable[[Sequence[str]], None]:
    if name == "search":
        import_lightning(only_help)
        from lit_a1.commands.search import main as command
    elif name == "architecture":
        from lit_a1.commands.architecture import main as command
    elif name == "audit":
        from lit_a1.commands.audit import main as command
    elif name == "mlp":
        from lit_a1.commands.mlp import main as command
    elif name == "compare":
        from lit_a1.commands.compare import main as command
    elif name == "analyze":
        from lit_a1.commands.analyze import main as command
    elif name == "report":
        from lit_a1.commands.report import main as command
    elif name == "benchmark":
        from lit_a1.commands.benchmark import main as command
    else:
        import_lightning(only_help)
        from lit_a1.training import main

        return lambda arguments: main([name, *arguments])
    return command


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command.

    Raises:
        SystemExit: with 0 after help; with a sentence (status 1 or 2) where something was wrong with the input.
    """
    alone = arguments is None  # this process does nothing else
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a Windows console may lack characters, and a file's name be no UTF-8
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        raise SystemExit(0 if arguments else 2)
    name = arguments[0]
    if name not in COMMANDS:
        print(f"error: there is no command {name!r}; the commands are {', '.join(COMMANDS)}.", file=sys.stderr)
        raise SystemExit(2)
    if alone:
        os.environ["MPLBACKEND"] = "agg"  # figures go to files; a notebook's own, which it hands on, may be missing
    try:
        check_versions()
        check_compiler_cache()
        _command(name, only_help=alone and not {"-h", "--help"}.isdisjoint(arguments))(
            with_shipped_yamls(arguments[1:])
        )
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as shells count it; the command has said what there was to say
    except ModuleNotFoundError as error:
        if not error.name or error.name.startswith("lit_a1"):
            raise
        print(f"error: {error.name} is not installed: pip install -r requirements.txt", file=sys.stderr)
        raise SystemExit(1) from error
    except (DataError, VersionError, OSError) as error:  # OSError: a command can't read or write what it was told to
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error
