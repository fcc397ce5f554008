"""`python main.py search`: searches hyperparameters of a CNN."""

from collections.abc import Sequence
from pathlib import Path

from lit_a1.environment import PROGRAM, keep_freed_memory, quieten, show_messages
from lit_a1.runs.settings import STORAGE, PlainParser, UsageError


def build_parser() -> PlainParser:
    """The command's own options; all others are those of `fit`."""
    parser = PlainParser(
        f"{PROGRAM} search",
        usage=f"{PROGRAM} search -c configs/catsdogs_trial.yaml --space configs/spaces/catsdogs.yaml [options]",
        description="Try hyperparameters of a CNN. Optuna proposes them, and each trial is a fit with them. Bad trials "
        "are stopped early. Only the validation images decide. The study is a folder: it can be stopped and resumed. "
        "Processes with a shared disk can share it. With --storage it is in a database, and the same command on any "
        "machine joins it.",
        epilog="It takes the options of fit too, which all trials share: --trainer.max_epochs 4, --data.source drawn.",
    )
    parser.add_argument("--space", type=Path, metavar="YAML", help="what is tried: ranges and choices")
    parser.add_argument("--trials", type=int, default=30, help="number of trials, earlier ones included (default: 30)")
    parser.add_argument(
        "--study",
        type=Path,
        metavar="DIR",
        help="a study to resume or join: its folder (default: a new one) or, with --storage, its name there "
        "(default: the experiment's)",
    )
    parser.add_argument("--storage", metavar="URL", help=STORAGE)
    return parser


def main(arguments: Sequence[str]) -> None:
    """Searches; raises a UsageError if the network or the search space is missing, or can't be searched."""
    mlp_reason = f", whose search is `{PROGRAM} mlp search`"
    options, others = build_parser().parse_own(arguments, mlp_reason, "catsdogs_trial.yaml")
    if options.space is None:
        raise UsageError("name what is tried, with --space configs/spaces/catsdogs.yaml for example")
    from lit_a1.studies.search.cnn import objective  # after `--help`, which needs no torch
    from lit_a1.studies.search.shared import run

    show_messages()
    quieten()
    keep_freed_memory()
    run(objective(others, options.space), options.trials, options.study, options.storage)
