"""From bytes to probabilities: pre-processing, networks, views and softmax as one graph, exported as ONNX."""

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lit_a1.data.resample import resize
from lit_a1.data.sources.drawn import SIDE
from lit_a1.mlp.files import to_pixels
from lit_a1.mlp.functions import LEAK
from lit_a1.mlp.network import NN
from lit_a1.models.inputs import Views, tta_views
from lit_a1.models.members import Member

INPUT, OUTPUT = "images", "probabilities"
TOLERANCE = 1e-4  # largest difference of a probability between the ONNX file and the project
IMAGES_CHECKED = 8  # random images for this comparison
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {  # of the numpy network
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(LEAK),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": lambda: nn.GELU("tanh"),
}


class Part(NamedTuple):
    """A network, and how it is shown images."""

    net: nn.Module  # images (N,C,H,W) in [0,1] -> logits (N,K)
    views: Views
    size: int  # height and width in pixels of the network's input


@dataclass(frozen=True)
class ExportedModel:
    """What is exported: one network, or several whose probabilities are averaged."""

    parts: Sequence[Part]
    weights: dict[str, Tensor]  # by their names in this project
    classes: tuple[str, ...]
    shape: tuple[int, int, int]  # height, width and channels of the input images
    probabilities: Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # the project's own, (N,H,W,C) -> (N,K)
    outside: bool = False  # whether they were trained on photos that a submission to the course may not use


class Graph(nn.Module):
    """Shapes: (N,H,W,C) uint8 -> (N,K) float32; each row sums to 1."""

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        self.parts, self.nets = parts, nn.ModuleList(part.net for part in parts)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """The mean over networks of each network's mean probabilities over its views."""
        pixels, averages = images.permute(0, 3, 1, 2).float() / 255, []
        for net, views, size in self.parts:
            view_images = tta_views(_scaled(pixels, size), views, _scaled)
            sides = dict.fromkeys(view.shape[2] for view in view_images)  # one batch for each size: a smaller graph
            batches = [torch.cat([view for view in view_images if view.shape[2] == side]) for side in sides]
            probabilities = torch.cat([net(batch).softmax(1) for batch in batches])
            averages.append(probabilities.unflatten(0, (len(view_images), -1)).mean(0))
        return torch.stack(averages).mean(0)


def _scaled(images: Tensor, size: int) -> Tensor:
    """`resize` as two products with constant matrices, which every ONNX runtime supports."""
    down, across = (
        F.interpolate(torch.eye(side)[None, None], (size, side), mode="bilinear", antialias=True)[0, 0]
        for side in images.shape[2:]
    )
    return images if images.shape[2:] == (size, size) else down @ images @ across.T


def exported_cnns(members: Sequence[Member], side: int, classes: Sequence[str]) -> ExportedModel:
    """Trained CNNs for images of `side` pixels; if several, weight names of each start with its place, `0.` first."""
    models = [member.model.eval().requires_grad_(False) for member in members]
    sizes = [int(member.data["size"]) for member in members]
    parts = [Part(model.net, model.views, size) for model, size in zip(models, sizes, strict=True)]
    weights = {
        f"{number}.{name}" if len(parts) > 1 else name: tensor
        for number, part in enumerate(parts)
        for name, tensor in part.net.state_dict().items()
    }

    def probabilities(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        bytes_ = torch.from_numpy(images).permute(0, 3, 1, 2)
        by_model = [model(resize(bytes_, size)).exp() for model, size in zip(models, sizes, strict=True)]
        return torch.stack(by_model).mean(0).numpy()

    outside = any(member.data.get("outside", False) for member in members)
    return ExportedModel(parts, weights, tuple(classes), (side, side, models[0].channels), probabilities, outside)


def exported_mlp(net: NN) -> ExportedModel:
    """The numpy network, for digits."""
    layers: list[nn.Module] = [nn.Flatten()]
    weights: dict[str, Tensor] = {}
    for k, (matrix, bias) in enumerate(zip(net.weights, net.biases, strict=True), 1):
        weights |= {f"w{k}": torch.tensor(matrix), f"b{k}": torch.tensor(bias)}
        linear = nn.Linear(*matrix.shape)
        linear.weight.data, linear.bias.data = weights[f"w{k}"].T, weights[f"b{k}"]
        layers += [linear, ACTIVATIONS[net.nonlinearity]()]

    def probabilities(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return net.softmax(net.forward(to_pixels(images, net.dtype))).astype(np.float32)

    part = Part(nn.Sequential(*layers[:-1]).requires_grad_(False), "one", SIDE)
    return ExportedModel([part], weights, tuple(map(str, range(net.n_classes))), (SIDE, SIDE, 1), probabilities)


def to_onnx(exported: ExportedModel) -> tuple[bytes, float]:
    """The graph as an ONNX file, and the largest difference of its probabilities from the project's own.

    Raises:
        ArithmeticError: a difference is above TOLERANCE: this version of torch or onnxruntime exports something else.
    """
    import onnx
    import onnxruntime

    shape = exported.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's warnings about its own code
        program = torch.onnx.export(
            Graph(exported.parts),
            (torch.zeros(2, *shape, dtype=torch.uint8),),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for message in (model.graph, *model.graph.node, *model.graph.value_info):
        message.ClearField("metadata_props")  # the path of each line of code on this machine
        message.ClearField("doc_string")
    about = {"classes": exported.classes, "outside": exported.outside}
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in about.items()})
    content = model.SerializeToString()
    images = np.random.default_rng(0).integers(0, 256, (IMAGES_CHECKED, *shape), dtype=np.uint8)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        difference = float(np.abs(session.run(None, {INPUT: images})[0] - exported.probabilities(images)).max())
    if not difference <= TOLERANCE:
        raise ArithmeticError(
            f"The ONNX file's probabilities differ from the network's by {difference:.2g}, more than {TOLERANCE:g}."
        )
    return content, difference
