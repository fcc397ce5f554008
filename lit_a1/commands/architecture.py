"""`python main.py architecture`: the layers of the network that a YAML describes, and what they cost."""

import argparse
import itertools
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from lit_a1.environment import PROGRAM
from lit_a1.runs.folders import CheckpointError
from lit_a1.runs.settings import build, kind_of_config

if TYPE_CHECKING:
    from lit_a1.mlp.network import NN
    from lit_a1.models.architecture import Architecture

WIDTH = 110  # characters that the table needs where output goes to no terminal


def main(arguments: Sequence[str]) -> None:
    """Prints the table of a network's layers.

    Raises:
        SystemExit: with a sentence, where something was wrong with the input.
    """
    if {"-h", "--help"} & set(arguments):
        parser = argparse.ArgumentParser(
            f"{PROGRAM} architecture",
            usage=f"{PROGRAM} architecture --config configs/mnist.yaml [options]",
            description="Print the layers of the network that a YAML describes: filter size, stride, output shape, "
            "parameters and multiply-adds of one picture. It takes the options of fit, or of mlp fit for the numpy "
            "network: --model.widths [16,32,64] shows another network, --data.size 32 the same for other pictures.",
        )
        parser.parse_args(["--help"])
    if not arguments:
        print("error: name a network, with --config configs/mnist.yaml for example", file=sys.stderr)
        raise SystemExit(2)
    try:
        name, found = architecture_of(arguments)
    except (ValueError, TypeError, CheckpointError) as error:  # the last of an ensemble's members
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    console = Console(highlight=False)
    console.width = max(console.width, WIDTH)
    console.print(table_of(name, found))


def architecture_of(arguments: Sequence[str]) -> tuple[str, "Architecture"]:
    """The name of the network that the options of `fit` or `mlp fit` describe, and its layers."""
    from lit_a1.commands import mlp
    from lit_a1.models import Classifier
    from lit_a1.models.architecture import layers_of
    from lit_a1.training import parse, quieten  # after `--help`, which needs none of them

    if (kind := kind_of_config(arguments)) is not None and kind[1] == "mlp":
        mlp_net = mlp.setup_of(mlp.parse(["fit", *arguments]), "fit").network()
        return f"NN, {mlp_net.dims[0]} pixels", layers_of_mlp(mlp_net)
    quieten()
    settings = parse(["fit", *arguments])
    model, size = build(Classifier, settings.model), settings.data.init_args.size
    shape = (model.channels, size, size)
    _, net = model.net  # the first standardises
    return f"{type(model).__name__}, pictures {shape_words(shape)}", layers_of(net, shape)


def layers_of_mlp(net: "NN") -> "Architecture":
    """The same for the numpy network: each layer multiplies by a matrix and adds a bias."""
    from lit_a1.models.architecture import Architecture, Layer

    sizes = enumerate(itertools.pairwise(net.dims), 1)
    layers = [Layer(f"W{k}, b{k}", "linear", None, None, (b,), (a + 1) * b, a * b) for k, (a, b) in sizes]
    return Architecture(layers, net.n_parameters, sum(layer.multiply_adds for layer in layers))


def table_of(name: str, found: "Architecture") -> Table:
    """A row for each layer, and the totals."""
    table = Table(title=name, title_justify="left", show_footer=True)
    footers = {"layer": "total", "parameters": f"{found.parameters:,}", "multiply-adds": f"{found.multiply_adds:,}"}
    for heading in ("layer", "kind", "filter", "stride", "output", "parameters", "multiply-adds"):
        left = heading in ("layer", "kind")
        table.add_column(heading, footers.get(heading, ""), justify="left" if left else "right")
    for layer in found.layers:
        sizes = [shape_words(size) for size in (layer.filter, layer.stride, layer.shape)]
        table.add_row(layer.name, layer.kind, *sizes, f"{layer.parameters:,}", f"{layer.multiply_adds:,}")
    return table


def shape_words(sizes: Sequence[int] | None) -> str:
    """`3x64x64`; empty where there is none."""
    return "" if sizes is None else "x".join(map(str, sizes))
