"""The layers of the network that a command's options describe, as tables and in numbers."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lit_a1.runs.settings import build, kind_of_config

if TYPE_CHECKING:
    from lit_a1.models.architecture import Architecture, Layer

HEADINGS = ("layer", "from", "filter", "stride", "padding", "output", "parameters", "multiply-adds")
PARTS = ("part", "layers", "output", "parameters", "multiply-adds")


def architecture_of(arguments: Sequence[str]) -> tuple[str, tuple[int, ...], "Architecture"]:
    """The network that options of `fit` or `mlp fit` describe: its class, the shape of its input, and its layers.

    Raises SystemExit if an option is refused; ValueError, TypeError or CheckpointError if there is no such network.
    """
    from lit_a1.environment import quieten
    from lit_a1.mlp import options  # here, since `architecture --help` needs none of them
    from lit_a1.models import Classifier
    from lit_a1.models.architecture import Architecture, Layer, layers_of
    from lit_a1.training import parse

    if (kind := kind_of_config(arguments)) is not None and kind[1] == "mlp":
        mlp = options.setup_of(options.parse(["fit", *arguments]), "fit").network()
        layers = []
        for k, (a, b) in enumerate(itertools.pairwise(mlp.dims), 1):  # each multiplies by a matrix and adds a bias
            last = k == len(mlp.dims) - 1
            place, activation = ("output layer", "softmax") if last else (f"hidden layer {k}", mlp.nonlinearity)
            for words, parameters, cost in ((f"linear layer, W{k} and b{k}", (a + 1) * b, a * b), (activation, 0, 0)):
                layers.append(Layer(place, words, True, None, None, None, (b,), parameters, cost))
        return "NN", (mlp.dims[0],), Architecture(layers, mlp.n_parameters, sum(each.multiply_adds for each in layers))
    quieten()
    settings = parse(["fit", *arguments])
    model, size = build(Classifier, settings.model), settings.data.init_args.size
    shape = (model.channels, size, size)
    _, net = model.net  # the first standardises
    return type(model).__name__, shape, layers_of(net, shape)


def rows_of(architecture: "Architecture") -> list[list[str]]:
    """A row of text for each layer, under `HEADINGS`, and the totals."""
    rows = []
    for layer in architecture.layers:
        steps = (shape_words(pair and pair[: 1 + (pair[0] != pair[1])]) for pair in (layer.stride, layer.padding))
        origin = "this project" if layer.is_handwritten else "PyTorch"
        shapes = (shape_words(layer.filter), *steps, shape_words(layer.shape))
        rows.append([layer.name, origin, *shapes, f"{layer.parameters:,}", f"{layer.multiply_adds:,}"])
    return [*rows, ["total", "", "", "", "", "", f"{architecture.parameters:,}", f"{architecture.multiply_adds:,}"]]


def parts_of(architecture: "Architecture") -> list[list[str]]:
    """A row of text for the stem, each stage's own layers, each block and the head, under `PARTS`, and the totals.

    Norms are counted, but not named.
    """
    from lit_a1.models.architecture import NORMS

    rows = []
    for place, group in itertools.groupby(architecture.layers, lambda layer: ", ".join(layer.place.split(", ")[:2])):
        layers = list(group)
        without_norms = [layer for layer in layers if layer.kind not in NORMS.values()]
        in_shortcut = [_with_stride(layer) for layer in without_norms if layer.place.endswith("shortcut")]
        words = [_with_stride(layer) for layer in without_norms if not layer.place.endswith("shortcut")]
        text = ", ".join(words) + (f"; in the shortcut {', '.join(in_shortcut)}" if in_shortcut else "")
        numbers = (sum(layer.parameters for layer in layers), sum(layer.multiply_adds for layer in layers))
        rows.append([place, text, shape_words(layers[-1].shape), *(f"{number:,}" for number in numbers)])
    return [*rows, ["total", "", "", f"{architecture.parameters:,}", f"{architecture.multiply_adds:,}"]]


def _with_stride(layer: "Layer") -> str:
    stride = layer.stride[0] if layer.stride else 1
    return f"{layer.words} with stride {stride}" if stride > 1 and "pooling" not in layer.kind else layer.words


def facts_of(shape: Sequence[int], architecture: "Architecture") -> dict[str, Any]:
    """Facts about a convolutional network for a text: its depth, its parts, and where it halves the image.

    `depth` counts the convolutions and linear layers on the main path, `projections` the convolutions in shortcuts. A
    halving has its `place`, its `layer`, and the resulting `side` in pixels. `shape` is that of an image.
    """
    from lit_a1.models.architecture import CONVOLUTIONS, LINEAR, MEAN, NORMS, SUM

    main_path = [layer for layer in architecture.layers if not layer.on_side_path]
    convolutions = [layer for layer in architecture.layers if layer.kind in CONVOLUTIONS.values()]
    stages: dict[str, list[Layer]] = {}
    for layer in main_path:
        if layer.place.startswith("stage"):
            stages.setdefault(layer.place.split(", ")[0], []).append(layer)
    sides = [layer for layer in main_path if len(layer.shape) == 3]
    sides_before = [shape[-1], *(layer.shape[-1] for layer in sides)]
    halvings = [
        {"place": layer.place, "layer": _with_stride(layer), "side": layer.shape[-1]}
        for before, layer in zip(sides_before, sides, strict=False)
        if layer.shape[-1] < before
    ]
    kinds = {layer.kind for layer in architecture.layers}
    return {
        "side": shape[-1],
        "depth": sum(layer.kind in (CONVOLUTIONS | LINEAR).values() for layer in main_path),
        "convolutions": sum(not layer.on_side_path for layer in convolutions),
        "projections": sum(layer.on_side_path for layer in convolutions),
        "padded": all(layer.filter and layer.padding == (layer.filter[0] // 2,) * 2 for layer in convolutions),
        "stem": [_with_stride(layer) for layer in main_path if layer.place == "stem"],
        "stem_channels": next((layer.shape[0] for layer in main_path if layer.place == "stem"), None),
        "channels": [layers[-1].shape[0] for layers in stages.values()],
        "blocks": [sum(layer.kind == SUM for layer in layers) for layers in stages.values()],
        "entry": [_with_stride(layer) for layer in next(iter(stages.values()), []) if ", block" not in layer.place],
        "block": [layer.words for layer in main_path if layer.place == "stage 1, block 1"],
        "shortcut": [layer.words for layer in architecture.layers if layer.place == "stage 1, block 1, shortcut"],
        "halvings": halvings,
        "head": [layer.words for layer in main_path if layer.place == "head"],
        "outputs": architecture.layers[-1].shape[0],
        "norm": next((kind for kind in NORMS.values() if kind in kinds), None),  # after each convolution
        "by_hand": sorted({layer.kind for layer in architecture.layers if layer.is_handwritten}),
        "from_pytorch": sorted({layer.kind for layer in architecture.layers if not layer.is_handwritten} - {SUM, MEAN}),
    }


def shape_words(sizes: Sequence[int] | None) -> str:
    """`3x64x64`; empty for None."""
    return "" if sizes is None else "x".join(map(str, sizes))
