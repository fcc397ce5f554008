"""`python main.py architecture`: the layers of the network that a YAML describes, and what they cost."""

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from lit_a1.analysis.architecture import HEADINGS, architecture_of, rows_of, shape_words
from lit_a1.environment import PROGRAM
from lit_a1.runs.settings import UsageError


def main(arguments: Sequence[str]) -> None:
    """Prints the table of a network's layers."""
    if {"-h", "--help"} & set(arguments):
        argparse.ArgumentParser(
            f"{PROGRAM} architecture",
            usage=f"{PROGRAM} architecture --config configs/mnist.yaml [options]",
            description="Print the layers of the network that a YAML describes: where their code is from, filter size, "
            "stride, padding, output shape, parameters and multiply-adds of one image. It takes the options of fit, or "
            "of mlp fit for the numpy network: --model.widths [16,32,64] shows another network, --data.size 32 "
            "another image size.",
        ).parse_args(["--help"])
    if not arguments:
        raise UsageError("name a network, with --config configs/mnist.yaml for example")
    try:
        name, shape, layers = architecture_of(arguments)
    except (ValueError, TypeError) as error:  # what a class refuses
        raise UsageError(str(error)) from error
    table = Table(title=f"{name}, input {shape_words(shape)}", title_justify="left", show_footer=True)
    *rows, totals = rows_of(layers)
    for heading, total in zip(HEADINGS, totals, strict=True):
        table.add_column(heading, total, justify="left" if heading in ("layer", "from") else "right")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    console.width = max(console.width, 140)  # needed by the table, even if output is not a terminal
    console.print(table)
