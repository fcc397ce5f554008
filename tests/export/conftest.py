"""Small networks to export, and an ONNX file made without them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_a1.models import CatsDogsCNN, Classifier
from lit_a1.models.members import Member

REASON = "needs onnx, onnxscript, onnxruntime and safetensors, the extra `export`"
SMALL: dict[str, Any] = {"widths": (4, 8), "blocks": (1,), "average_decay": 0}


def member(model: Classifier | None = None, size: int = 20, **changes: Any) -> Member:
    """A network with random weights and statistics, as a checkpoint would give it."""
    torch.manual_seed(1)
    model = model or CatsDogsCNN(**SMALL | changes)
    for name, tensor in model.net.state_dict().items():
        if tensor.is_floating_point() and not name.endswith(("mean", "std")):
            tensor.copy_(0.5 + torch.rand(tensor.shape) if name.endswith("var") else torch.randn(tensor.shape))
    with torch.no_grad():  # both classes as often
        net, linear = model.net.eval(), model.net[1].linear
        logits = net(torch.rand(50, model.channels, 20, 20))
        linear.bias -= logits.mean(0)
        linear.bias /= logits.std()
        linear.weight /= logits.std()
    return Member(Path("best.ckpt"), model, {"size": size, "classes": ["Cat", "Dog"]}, 3, 12, {})


def images(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.fixture
def brightness() -> Callable[..., Path]:
    """Writes an ONNX file whose probability of the second class is the mean of the bytes, as a share of 255."""
    onnx = pytest.importorskip("onnx", reason=REASON)
    pytest.importorskip("onnxruntime", reason=REASON)

    def write(
        path: str = "bright.onnx", shape: tuple[int, ...] = (64, 64, 3), classes: Any = ("Cat", "Dog"), **about: Any
    ) -> Path:
        make, number = onnx.helper, onnx.TensorProto
        axes = make.make_tensor("axes", number.INT64, [3], [1, 2, 3])
        constants = [make.make_tensor(name, number.FLOAT, [], [value]) for name, value in (("one", 1), ("top", 255))]
        nodes = [
            make.make_node("Cast", ["images"], ["pixels"], to=number.FLOAT),
            make.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=0),
            make.make_node("Div", ["mean", "top"], ["flat"]),
            make.make_node("Sub", ["one", "flat"], ["rest"]),
            make.make_node("Unsqueeze", ["flat", "last"], ["second"]),
            make.make_node("Unsqueeze", ["rest", "last"], ["first"]),
            make.make_node("Concat", ["first", "second"], ["probabilities"], axis=1),
        ]
        ends = [
            make.make_tensor_value_info("images", number.UINT8, ["N", *shape]),
            make.make_tensor_value_info("probabilities", number.FLOAT, ["N", 2]),
        ]
        constants += [axes, make.make_tensor("last", number.INT64, [1], [1])]
        graph = make.make_graph(nodes, "bright", ends[:1], ends[1:], constants)
        model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=10)
        if classes:
            about |= {"classes": classes}
            make.set_model_props(model, {name: json.dumps(value) for name, value in about.items()})
        onnx.save(model, path)
        return Path(path)

    return write
