"""One harness puts every layer through the same trials; what is particular to a layer is tested in its own file."""

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_a1 import layers
from tests.layers.cases import CASES, THEIR_NAMES, Case

THEIR_DEFAULTS: dict[str, Any] = {
    "BatchNorm2d": nn.BatchNorm2d, "GroupNorm": nn.GroupNorm, "Dropout": nn.Dropout,
    "cross_entropy": nn.functional.cross_entropy,
}  # fmt: skip


def parametrize_cases(cases: Iterable[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", list(cases), ids=lambda case: case.name)


every_layer = parametrize_cases(CASES)
every_deterministic_layer = parametrize_cases(case for case in CASES if not case.stochastic)


def randomize(module: nn.Module) -> None:
    """Leave no parameter at a value (0 or 1) that would hide a mistake."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter))


def build(case: Case, dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(1)
    layer = case.ours().to(dtype)
    randomize(layer)
    return layer


def forward_backward(layer: nn.Module, x: Tensor, seed: int = 2) -> dict[str, Tensor]:
    """The output, and every gradient for a random cotangent: an all-ones one gives zero through a norm."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    torch.manual_seed(seed)
    y = layer(x)
    cotangent = torch.empty_like(y).copy_(torch.randn(y.shape, dtype=torch.float64))
    parameters = dict(layer.named_parameters())
    gradients = torch.autograd.grad(y, [x, *parameters.values()], cotangent)
    return {"output": y.detach(), **dict(zip(["input", *parameters], gradients, strict=True))}


def assert_close_by_name(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert {THEIR_NAMES.get(name, name) for name in ours} == set(theirs)
    for name, value in ours.items():
        expected = theirs[THEIR_NAMES.get(name, name)]
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-11, msg=lambda m, n=name: f"{n}: {m}")


@every_layer
def test_shapes_parameters_repr_and_state_dict(case: Case) -> None:
    layer = build(case)
    x = torch.randn(case.shape)
    for mode in (True, False):
        assert layer.train(mode)(x).shape == (case.out_shape or case.shape)
    assert sum(p.numel() for p in layer.parameters()) == case.parameters
    assert repr(layer) == case.repr
    other = case.ours()
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(other.eval()(x), layer(x), rtol=0, atol=0)


@every_deterministic_layer
def test_parity_with_pytorch(case: Case) -> None:
    assert case.theirs is not None
    ours, theirs = build(case, torch.float64), case.theirs().double()
    if "weight" not in case.name:  # whose parameters have other names there
        ours.load_state_dict(theirs.state_dict())
        assert list(ours.state_dict()) == list(theirs.state_dict())
        randomize(ours)
    theirs.load_state_dict({THEIR_NAMES.get(name, name): value for name, value in ours.state_dict().items()})
    for step in range(3):
        x = 2 * torch.randn(case.shape, dtype=torch.float64) + 3
        assert_close_by_name(forward_backward(ours, x, seed=step), forward_backward(theirs, x, seed=step))
    assert_close_by_name(dict(ours.named_buffers()), dict(theirs.named_buffers()))
    x = torch.randn(case.shape, dtype=torch.float64)
    assert_close_by_name(forward_backward(ours.eval(), x), forward_backward(theirs.eval(), x))


@every_layer
def test_evaluation_is_deterministic(case: Case) -> None:
    layer, x = build(case), torch.randn(case.shape)
    trained = layer(x)
    before = {name: buffer.clone() for name, buffer in layer.named_buffers()}
    evaluated = layer.eval()(x)
    torch.testing.assert_close(layer(x), evaluated, rtol=0, atol=0)
    for name, buffer in layer.named_buffers():
        assert torch.equal(buffer, before[name]), name
    assert torch.equal(trained, evaluated) is not case.trains_differently
    if case.stochastic:
        assert torch.equal(evaluated, x)


@every_layer
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("half_parameters", [True, False])
def test_half_precision_is_close_to_float32(case: Case, dtype: torch.dtype, half_parameters: bool) -> None:
    if ("weight" in case.name or case.name == "squeeze-excite") and not half_parameters:
        pytest.skip("convolutions and linear layers take one dtype")
    layer = build(case).to(dtype).float()  # parameters that both dtypes can represent
    x = torch.randn(case.shape).to(dtype)
    expected = forward_backward(layer, x.float())
    actual = forward_backward(layer.to(dtype) if half_parameters else layer, x)
    assert actual["output"].dtype == actual["input"].dtype == dtype
    tolerance = 16 * torch.finfo(dtype).eps
    for name, value in expected.items():
        torch.testing.assert_close(
            actual[name].float(), value, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


@every_layer
@pytest.mark.parametrize("training", [True, False])
def test_channels_last_equals_contiguous(case: Case, training: bool) -> None:
    layer = build(case).train(training)
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    x = torch.randn(case.shape)
    expected = forward_backward(layer, x)
    expected_buffers = [buffer.clone() for buffer in layer.buffers()]
    layer.load_state_dict(state)
    actual = forward_backward(layer, x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(list(layer.buffers()), expected_buffers)
    for name in ("output", "input"):
        assert actual[name].is_contiguous(memory_format=torch.channels_last), name
    assert expected["output"].is_contiguous()


@every_layer
def test_input_is_left_alone(case: Case) -> None:
    layer = build(case)
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(case.shape, dtype=dtype)
        before = x.clone()
        forward_backward(layer.to(dtype), x)
        assert torch.equal(x, before)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # PyTorch's own doing
@parametrize_cases(case for case in CASES if case.name in ("batch", "layer2d", "group", "squeeze-excite"))
def test_compiles_into_one_graph(case: Case) -> None:
    layer, x = build(case), torch.randn(case.shape).to(memory_format=torch.channels_last)
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    with torch.autocast("cpu", torch.bfloat16):
        expected = forward_backward(layer, x)
    expected_buffers = [buffer.clone() for buffer in layer.buffers()]
    layer.load_state_dict(state)
    torch.compiler.reset()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    with torch.autocast("cpu", torch.bfloat16):
        actual = forward_backward(compiled, x)
    torch.testing.assert_close(list(actual.values()), list(expected.values()))
    torch.testing.assert_close(list(layer.buffers()), expected_buffers)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.BatchNorm2d(0), "num_features must be positive, but is 0"),
        (lambda: layers.BatchNorm2d(6, eps=-1.0), "eps must not be negative, but is -1"),
        (lambda: layers.BatchNorm2d(6, momentum=1.5), r"momentum must lie in \[0, 1\], but is 1.5"),
        (lambda: layers.LayerNorm2d(3, eps=float("nan")), "eps must not be negative, but is nan"),
        (lambda: layers.LayerNorm2d(0), "num_channels must be positive, but is 0"),
        (lambda: layers.GroupNorm(4, 6), "num_groups must divide the number of channels, but 4 does not divide 6"),
        (lambda: layers.GroupNorm(0, 6), "num_groups must divide the number of channels"),
        (lambda: layers.GroupNorm(3, 6, eps=-1.0), "eps must not be negative"),
        (lambda: layers.InstanceNorm2d(0), "num_groups must divide"),
        (lambda: layers.Dropout(-0.1), r"p must lie in \[0, 1\], but is -0.1"),
        (lambda: layers.Dropout(1.1), r"p must lie in \[0, 1\], but is 1.1"),
        (lambda: layers.StochasticDepth(float("nan")), r"p must lie in \[0, 1\], but is nan"),
        (lambda: layers.SqueezeExcite(8, 0), "channels and reduction must be positive, but are 8 and 0"),
        (lambda: layers.MaxBlurPool2d()(torch.ones(2, 8, 1, 5)), "at least 2x2 values, but have 1x5"),
        (lambda: layers.make_norm("bach", 24), "one of batch, layer, group, instance, weight, none, but is 'bach'"),
        (lambda: layers.InstanceNorm2d(8)(torch.ones(2, 8, 1, 1)), r"one value, but .* shape \(2, 8, 1, 1\)"),
        (lambda: layers.weight_norm(torch.ones(5, 3), torch.ones(5)), r"\(5, 1\) for v .*, but has \(5,\)"),
        (lambda: layers.cross_entropy(torch.zeros(2, 4), torch.arange(2), -0.1), "label_smoothing must .* is -0.1"),
    ],
)
def test_bad_arguments(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("shape", [(4, 6, 5), (4, 5, 5, 5)])
@pytest.mark.parametrize("name", ["batch", "layer", "group", "instance"])
def test_bad_inputs(name: str, shape: tuple[int, ...]) -> None:
    words = re.escape(f"Expected an input of shape (N, 6, H, W), but it has shape {shape}.")
    with pytest.raises(ValueError, match=words):
        layers.make_norm(name, 6)(torch.randn(shape))


def test_squeeze_and_excitation_narrows_to_a_share_of_the_channels_but_not_below_8() -> None:
    assert [layers.SqueezeExcite(channels, 16).squeeze.out_features for channels in (256, 64)] == [16, 8]


def test_defaults_are_pytorchs_and_those_of_the_papers() -> None:
    defaults = {name: {key: each.default for key, each in inspect.signature(getattr(layers, name)).parameters.items()}
                for name in layers.__all__ if name not in ("NORMS", "Norm")}  # fmt: skip
    for ours, theirs in THEIR_DEFAULTS.items():
        expected = inspect.signature(theirs).parameters
        for key, value in defaults[ours].items():
            if key in expected and value is not inspect.Parameter.empty and key not in ("weight", "bias"):
                assert value == expected[key].default, (ours, key)
    assert defaults["StochasticDepth"]["p"] == 0.5
    assert defaults["SqueezeExcite"]["reduction"] == 16


def test_make_norm() -> None:
    normed = (layers.BatchNorm2d, layers.LayerNorm2d, layers.GroupNorm, layers.InstanceNorm2d)
    for name, kind in zip(layers.NORMS, (*normed, nn.Identity, nn.Identity), strict=True):
        norm = layers.make_norm(name, 24)
        assert type(norm) is kind
        assert norm(torch.randn(2, 24, 3, 3)).shape == (2, 24, 3, 3)
    assert [layers.make_norm("group", c).num_groups for c in (24, 12, 7)] == [8, 4, 1]
