"""The graph from bytes to probabilities, against the project's own, in PyTorch and as ONNX."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_a1.export import graph
from lit_a1.export.graph import ExportedModel, Graph, exported_cnns, exported_mlp, to_onnx
from lit_a1.mlp.network import NN
from lit_a1.models.inputs import VIEWS
from tests.export.conftest import REASON, images, member
from tests.mlp.networks import every_nonlinearity

DIGITS: dict[str, Any] = {"hidden_dims": (20, 12), "parameter_range": (1, 99999), "initialization": "normal"}


def answers(exported: ExportedModel, seen: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return Graph(exported.parts)(torch.from_numpy(seen)).numpy()


def check_same(found: np.ndarray, exported: ExportedModel, seen: np.ndarray) -> None:
    with torch.inference_mode():
        expected = exported.probabilities(seen)
    assert found.dtype == np.float32
    assert expected.std(0).max() > 0.01, "all images get the same answer"
    assert np.abs(found - expected).max() < 1e-5
    assert np.array_equal(found.argmax(1), expected.argmax(1))


@pytest.mark.parametrize("views", VIEWS)
@pytest.mark.parametrize("size", [20, 25])
def test_a_cnn_sees_the_views_and_the_size_that_it_is_evaluated_at(views: str, size: int) -> None:
    exported = exported_cnns([member(size=size, views=views)], 20, ["Cat", "Dog"])
    seen = images(6, 20, 20, 3)
    check_same(answers(exported, seen), exported, seen)
    assert exported.shape == (20, 20, 3)


def test_several_networks_are_averaged() -> None:
    members = [member(size=24), member(size=20, widths=(4, 6), views="one")]
    exported = exported_cnns(members, 20, ["Cat", "Dog"])
    seen = images(6, 20, 20, 3)
    check_same(found := answers(exported, seen), exported, seen)
    each = [answers(exported_cnns([one], 20, ["Cat", "Dog"]), seen) for one in members]
    assert np.allclose(found, (each[0] + each[1]) / 2, atol=1e-6)
    assert {name.partition(".")[0] for name in exported.weights} == {"0", "1"}


@every_nonlinearity
def test_the_numpy_network_is_the_same_in_torch(nonlinearity: str) -> None:
    exported = exported_mlp(NN(n_hidden=2, nonlinearity=nonlinearity, **DIGITS))
    seen = images(6, 28, 28, 1)
    check_same(answers(exported, seen), exported, seen)
    assert (exported.classes[9], exported.weights["w1"].shape, exported.weights["b3"].shape) == ("9", (784, 20), (10,))


LARGE_ENOUGH: dict[str, dict[str, Any]] = {
    "gelu, group norm, gates, max pooling, ten views": {
        "activation": "gelu", "norm": "group", "squeeze_excite": 2, "transition": "max_pool", "views": "shift",
    },
    "weight norm, blur, two sizes": {
        "norm": "weight", "activation": "leaky_relu", "transition": "blur_pool", "views": "scale", "dropout": 0.1,
    },
}  # fmt: skip


def test_one_member_that_learnt_from_outside_photos_is_enough() -> None:
    one, other = member(size=20), member(size=20)
    marked = replace(other, data=other.data | {"outside": True})
    assert not exported_cnns([one, other], 20, ["Cat", "Dog"]).outside
    assert exported_cnns([one, marked], 20, ["Cat", "Dog"]).outside


@pytest.mark.long
@pytest.mark.parametrize("kind", ["numpy", *LARGE_ENOUGH])
def test_onnx_answers_the_same_for_any_number_of_images(kind: str) -> None:
    pytest.importorskip("onnx", reason=REASON)
    pytest.importorskip("onnxscript", reason=REASON)
    onnxruntime = pytest.importorskip("onnxruntime", reason=REASON)
    exported = exported_mlp(NN(n_hidden=2, **DIGITS))
    if kind != "numpy":
        exported = exported_cnns([member(size=25, **LARGE_ENOUGH[kind])], 20, ["Cat", "Dog"])
    content, _ = to_onnx(replace(exported, outside=kind == "numpy"))
    assert str(Path(graph.__file__).parent).encode() not in content, "folders of this machine"
    session = onnxruntime.InferenceSession(content)
    assert session.get_modelmeta().custom_metadata_map["outside"] == json.dumps(kind == "numpy")
    for count in (1, 7, 200):
        seen = images(count, *exported.shape)
        found = session.run(None, {"images": seen})[0]
        assert found.shape == (count, len(exported.classes))
        with torch.inference_mode():
            assert np.abs(found - exported.probabilities(seen)).max() < 1e-4


@pytest.mark.long
def test_a_file_that_answers_otherwise_is_not_handed_out() -> None:
    pytest.importorskip("onnxscript", reason=REASON)
    pytest.importorskip("onnxruntime", reason=REASON)
    exported, other = (exported_mlp(NN(n_hidden=2, seed=seed, **DIGITS)) for seed in (1, 2))
    with pytest.raises(ArithmeticError, match="probabilities differ from the network's by"):
        to_onnx(replace(exported, probabilities=other.probabilities))
