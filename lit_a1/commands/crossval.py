"""`python main.py crossval`: the accuracy of a recipe on all photos, each classified by a network that never saw it."""

from collections.abc import Sequence
from pathlib import Path

from lit_a1.environment import PROGRAM, keep_freed_memory, quieten, show_messages
from lit_a1.runs.settings import PlainParser


def main(arguments: Sequence[str]) -> None:
    """Cross-validates; raises a UsageError if no network is named, or it can't be cross-validated."""
    parser = PlainParser(
        f"{PROGRAM} crossval",
        usage=f"{PROGRAM} crossval -c configs/catsdogs.yaml [--folds 5] [--against DIR] [options]",
        description="Cross-validate a recipe: the photos are divided into folds. Each fold is labelled by a network "
        "that fit trained on the others. The same command resumes where it was stopped. Machines with a shared disk "
        "can share the work: run the same command on each.",
        epilog="It takes the options of fit too, which all folds share: --trainer.max_epochs 4, --data.source drawn. "
        "--trainer.logger.init_args.name NAME gives other settings a folder of their own: NAME-crossval.",
    )
    parser.add_argument("--folds", type=int, default=5, help="number of folds, with a network for each (default: 5)")
    parser.add_argument(
        "--against", type=Path, metavar="DIR", help="folder of a finished crossval on the same folds, to compare with"
    )
    options, others = parser.parse_own(arguments, ": crossval divides photos of cats and dogs")
    from lit_a1.studies.crossval.study import run  # after `--help`, which needs no torch

    show_messages()
    quieten()
    keep_freed_memory()
    run(others, options.folds, options.against)
