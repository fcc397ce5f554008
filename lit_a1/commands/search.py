"""`python main.py search`: tries hyper-parameters of a CNN."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lit_a1.environment import PROGRAM, show_messages
from lit_a1.runs.settings import concise, kind_of_config


def parser_of() -> argparse.ArgumentParser:
    """The command's own options; all others are those of `fit`."""
    parser = argparse.ArgumentParser(
        f"{PROGRAM} search",
        usage=f"{PROGRAM} search -c configs/catsdogs_trial.yaml --space configs/spaces/catsdogs.yaml [options]",
        description="Try hyper-parameters of a CNN. Optuna proposes them, each trial is a fit with them, a bad one is "
        "stopped at an epoch that is measured, and only the validation pictures decide. The study is a folder: the "
        "command can be stopped and gone on with, and several processes, on machines that share a disk, can share it.",
        epilog="It takes the options of fit too, which all trials share: --trainer.max_epochs 4, --data.source drawn.",
        allow_abbrev=False,
    )
    parser.add_argument("--space", type=Path, metavar="YAML", help="what is tried: ranges and choices")
    parser.add_argument(
        "--trials", type=int, default=30, help="how many in the end, earlier ones included (default: 30)"
    )
    parser.add_argument("--study", type=Path, metavar="DIR", help="folder of a study to go on with, or to take part in")
    return parser


def main(arguments: Sequence[str]) -> None:
    """Searches.

    Raises:
        SystemExit: with a sentence, where something was wrong with the input.
        DataError: there are no pictures.
    """
    options, others = parser_of().parse_known_args(list(arguments))
    if not others or options.space is None:
        missing = "what is tried, with --space configs/spaces/catsdogs.yaml"
        missing = missing if others else "a network, with --config configs/catsdogs_trial.yaml"
        print(f"error: name {missing} for example", file=sys.stderr)
        raise SystemExit(2)
    if (kind := kind_of_config(others)) is not None and kind[1] != "fit":
        print(f"error: {kind[0]} is of the numpy network, whose search is `{PROGRAM} mlp search`", file=sys.stderr)
        raise SystemExit(2)
    from lightning.pytorch.utilities.exceptions import MisconfigurationException  # after `--help`, which needs no torch

    from lit_a1.environment import keep_freed_memory
    from lit_a1.models.rules import RuleError
    from lit_a1.runs.folders import CheckpointError
    from lit_a1.runs.settings import UsageError
    from lit_a1.studies.search.cnn import objective
    from lit_a1.studies.search.study import run
    from lit_a1.training import quieten

    show_messages()
    quieten()
    keep_freed_memory()
    try:
        run(objective(others, options.space), options.trials, options.study)
    except (UsageError, CheckpointError, RuleError, MisconfigurationException, OSError) as error:
        print(f"error: {concise(str(error))}", file=sys.stderr)
        raise SystemExit(1) from error
