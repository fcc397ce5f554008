"""`python main.py compare`: compares MLP and CNNs, from recorded runs and their weights."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse.typing import PositiveInt

from lit_a1.data.mnist import SourceName
from lit_a1.environment import PROGRAM, show_messages
from lit_a1.mlp.options import SOURCE
from lit_a1.runs.settings import Parser


def build_parser() -> Parser:
    """The command's options."""
    parser = Parser(prog=f"{PROGRAM} compare", description="Compare MLP and CNNs on MNIST, from recorded runs.")
    usual = ["mlp", "mnist_plain", "mnist"]
    parser.add_argument("--experiments", nargs="+", type=str, default=usual, help="folders of runs to compare")
    parser.add_argument("--logs", type=Path, default=Path("lightning_logs"), help="the folder of all runs")
    parser.add_argument(
        "--source", type=SourceName, default="auto", help=f"{SOURCE}; drawn ones have runs of their own, NAME-drawn"
    )
    parser.add_argument("--name", type=str, default="mnist-compare", help="name of the results folder in --logs")
    parser.add_argument(
        "--test_images", type=PositiveInt | None, default=None, help="test images to use, the first ones (default: all)"
    )
    return parser


def main(arguments: Sequence[str]) -> None:
    """Compares experiments; at least two must have runs."""
    options = build_parser().parse_args(list(arguments))
    show_messages()
    from lit_a1.studies.comparison.study import run  # after `--help`, which needs no torch

    run(list(options.experiments), options.logs, options.source, options.name, options.test_images)
