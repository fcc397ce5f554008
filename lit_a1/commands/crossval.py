"""`python main.py crossval`: the accuracy of a recipe on all photos, each labelled by a network that never saw it."""

from collections.abc import Sequence
from pathlib import Path

from lit_a1.environment import PROGRAM, keep_freed_memory, quieten, show_messages
from lit_a1.runs.settings import PlainParser


def build_parser() -> PlainParser:
    """The command's own options; all others are those of `fit`."""
    parser = PlainParser(
        f"{PROGRAM} crossval",
        usage=f"{PROGRAM} crossval -c configs/catsdogs.yaml [--folds 5] [--against DIR] [options]",
        description="Cross-validate a recipe: the photos are divided into folds, and a network a fold is trained, by "
        "fit, on the others. So every photo is labelled by a network that was not trained on it. The same command goes "
        "on where it was stopped; several processes, on machines that share a disk, take part by the same command.",
        epilog="It takes the options of fit too, which all folds share: --trainer.max_epochs 4, --data.source drawn. "
        "With --trainer.logger.init_args.name NAME, other settings have a folder of their own: NAME-crossval.",
    )
    parser.add_argument("--folds", type=int, default=5, help="how many, each of which trains a network (default: 5)")
    parser.add_argument(
        "--against", type=Path, metavar="DIR", help="folder of a finished crossval on the same folds, to compare with"
    )
    return parser


def main(arguments: Sequence[str]) -> None:
    """Cross-validates; a UsageError where no network is named, or it can't be cross-validated."""
    options, others = build_parser().parse_own(arguments, ": crossval divides photos of cats and dogs")
    from lit_a1.studies.crossval.study import run  # after `--help`, which needs no torch

    show_messages()
    quieten()
    keep_freed_memory()
    run(others, options.folds, options.against)
