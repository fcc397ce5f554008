"""The layers of the network that a command's options describe, as a table."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lit_a1.runs.settings import build, kind_of_config

if TYPE_CHECKING:
    from lit_a1.models.architecture import Architecture

HEADINGS = ("layer", "kind", "filter", "stride", "output", "parameters", "multiply-adds")


def architecture_of(arguments: Sequence[str]) -> tuple[str, "Architecture"]:
    """The name of the network that the options of `fit` or `mlp fit` describe, and its layers.

    Raises SystemExit if an option is refused; ValueError, TypeError or CheckpointError if there is no such network.
    """
    from lit_a1.mlp import options  # here, as `architecture --help` needs none of them
    from lit_a1.models import Classifier
    from lit_a1.models.architecture import Architecture, Layer, layers_of
    from lit_a1.training import parse, quieten

    if (kind := kind_of_config(arguments)) is not None and kind[1] == "mlp":
        mlp = options.setup_of(options.parse(["fit", *arguments]), "fit").network()
        sizes = enumerate(itertools.pairwise(mlp.dims), 1)  # each layer multiplies by a matrix and adds a bias
        layers = [Layer(f"W{k}, b{k}", "linear", None, None, (b,), (a + 1) * b, a * b) for k, (a, b) in sizes]
        total = sum(layer.multiply_adds for layer in layers)
        return f"NN, {mlp.dims[0]} pixels", Architecture(layers, mlp.n_parameters, total)
    quieten()
    settings = parse(["fit", *arguments])
    model, size = build(Classifier, settings.model), settings.data.init_args.size
    shape = (model.channels, size, size)
    _, net = model.net  # the first standardises
    return f"{type(model).__name__}, images {shape_words(shape)}", layers_of(net, shape)


def rows_of(found: "Architecture") -> list[list[str]]:
    """A row of text for each layer, under `HEADINGS`, and the totals."""
    rows = []
    for layer in found.layers:
        shapes = map(shape_words, (layer.filter, layer.stride, layer.shape))
        rows.append([layer.name, layer.kind, *shapes, f"{layer.parameters:,}", f"{layer.multiply_adds:,}"])
    return [*rows, ["total", "", "", "", "", f"{found.parameters:,}", f"{found.multiply_adds:,}"]]


def shape_words(sizes: Sequence[int] | None) -> str:
    """`3x64x64`; empty where there is none."""
    return "" if sizes is None else "x".join(map(str, sizes))
