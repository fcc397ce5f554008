"""The convolution and the pooling against PyTorch's, whose values they share."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_a1.layers import Conv2d, MaxPool2d
from lit_a1.layers.convolution import FEW_POSITIONS, _FewPositions


def gradients(layer: nn.Module, x: Tensor, grad: Tensor, half: bool) -> list[Tensor]:
    """The output, and the gradients of the input and the weights."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        y = layer(x)
    y.backward(grad.to(y.dtype))
    assert x.grad is not None
    return [y.detach(), x.grad, *(parameter.grad for parameter in layer.parameters() if parameter.grad is not None)]


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of inputs whose weight gradient is a matrix product."""
    shapes: list[tuple[int, ...]] = []
    apply: Callable[..., Tensor] = _FewPositions.apply

    def noting(x: Tensor, weight: Tensor) -> Tensor:
        shapes.append(tuple(x.shape))
        return apply(x, weight)

    monkeypatch.setattr(_FewPositions, "apply", noting)
    return shapes


@pytest.mark.parametrize(("half", "error"), [(False, 1e-5), (True, 0.01)])  # bfloat16 has three digits
@pytest.mark.parametrize(("size", "kernel"), [((3, 3), 3), ((5, 4), 3), ((1, 1), 3), ((4, 4), 1), ((6, 5), 5)])
def test_the_weight_gradient_of_few_positions(
    size: tuple[int, int], kernel: int, half: bool, error: float, products: list[tuple[int, ...]]
) -> None:
    ours = Conv2d(16, 24, kernel, padding=kernel // 2, bias=False).to(memory_format=torch.channels_last)
    theirs = nn.Conv2d(16, 24, kernel, padding=kernel // 2, bias=False)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(8, 16, *size).contiguous(memory_format=torch.channels_last)
    grad = torch.randn(8, 24, *size)
    for gradient, exact in zip(gradients(ours, x, grad, half), gradients(theirs, x, grad, False), strict=True):
        assert ((gradient - exact).norm() / exact.norm()).item() < error
    assert products == [(8, 16, *size)]


@pytest.mark.parametrize(
    ("options", "shape", "half"),
    [
        ({}, (1, 16, 1, FEW_POSITIONS + 1), True),
        ({"stride": 2}, (8, 16, 4, 4), True),
        ({"bias": True}, (8, 16, 4, 4), True),
        ({"groups": 2}, (8, 16, 4, 4), True),
        ({"dilation": 2}, (8, 16, 6, 6), True),
        ({"padding": 0}, (8, 16, 4, 4), True),
        ({"padding_mode": "reflect"}, (8, 16, 4, 4), True),
    ],
)
def test_all_else_is_torchs(
    options: dict[str, Any], shape: tuple[int, ...], half: bool, products: list[tuple[int, ...]]
) -> None:
    options = {"padding": 1, "bias": False} | options
    ours, theirs = (kind(16, 24, 3, **options) for kind in (Conv2d, nn.Conv2d))
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(shape)
    grad = torch.randn_like(theirs(x))
    for gradient, expected in zip(gradients(ours, x, grad, half), gradients(theirs, x, grad, half), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=0, atol=0)
    assert not products


def test_without_a_weight_gradient_it_is_torchs(products: list[tuple[int, ...]]) -> None:
    """So that a graph exported for any number of images does not compare that number."""
    layer = Conv2d(16, 24, 3, padding=1, bias=False)
    with torch.no_grad():
        layer(torch.randn(8, 16, 4, 4))
    layer.requires_grad_(False)(torch.randn(8, 16, 4, 4))
    assert not products


@pytest.mark.parametrize("size", [(4, 4), (5, 4), (5, 5), (1, 3)])
def test_compiled_pooling_gives_the_largest_value_the_gradient(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)  # the branch, without the compiler's seconds
    x = torch.randn(2, 3, *size)
    grad = torch.randn_like(F.max_pool2d(x, 2, ceil_mode=True))
    ours, theirs = (gradients(pool, x, grad, False) for pool in (MaxPool2d(), nn.MaxPool2d(2, ceil_mode=True)))
    for gradient, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=0, atol=0)


def test_equal_largest_values_share_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    _, grad = gradients(MaxPool2d(), torch.tensor([[[[1.0, 1.0], [0.0, -1.0]]]]), torch.ones(1, 1, 1, 1), False)
    assert grad.tolist() == [[[[0.5, 0.5], [0.0, 0.0]]]]


def test_they_are_described_as_torchs() -> None:
    """A checkpoint names its layers, and those of earlier versions were torch's."""
    assert repr(Conv2d(1, 2, 3)) == repr(nn.Conv2d(1, 2, 3))
    assert repr(MaxPool2d()) == repr(nn.MaxPool2d(2, ceil_mode=True))
