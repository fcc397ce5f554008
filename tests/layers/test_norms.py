"""What the norms without running statistics promise beyond parity: stability, independence, relations to each other."""

import pytest
import torch
from torch import nn

from lit_a1.layers import (
    GroupNorm,
    InstanceNorm2d,
    LayerNorm2d,
    WeightNormConv2d,
    make_norm,
    weight_norm,
)

NORMS = [LayerNorm2d(8), GroupNorm(4, 8), InstanceNorm2d(8)]
every_norm = pytest.mark.parametrize("norm", NORMS, ids=lambda norm: type(norm).__name__)


@every_norm
def test_large_mean(norm: nn.Module) -> None:
    x = torch.randn(4, 8, 16, 16) + 1e4
    expected = norm.double()(x.double())
    # Values near 1e4 are themselves 1e-3 apart in float32; E[x^2] - E[x]^2 would be wrong by about 10.
    torch.testing.assert_close(norm.float()(x).double(), expected, rtol=0, atol=1e-2)


@every_norm
def test_constant_input_is_finite_and_samples_do_not_influence_each_other(norm: nn.Module) -> None:
    x = torch.full((2, 8, 4, 16), 3.0, requires_grad=True)
    y = norm(x)
    torch.testing.assert_close(y, torch.zeros_like(y))
    assert torch.autograd.grad(y, x, torch.randn_like(y))[0].isfinite().all()
    x = torch.randn(4, 8, 5, 16)
    torch.testing.assert_close(norm(x)[:1], norm(x[:1]))


def test_second_derivatives_are_refused() -> None:
    x = torch.randn(2, 8, 3, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(make_norm("group", 8)(x).pow(3).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


# weight normalisation


def test_length_and_direction() -> None:
    v, g = torch.randn(5, 3, 2, 2), torch.rand(5, 1, 1, 1) + 0.5
    w = weight_norm(v, g)
    torch.testing.assert_close(w.flatten(1).norm(dim=1), g.flatten())
    torch.testing.assert_close(weight_norm(7 * v, g), w)
    torch.testing.assert_close(torch.cosine_similarity(w.flatten(1), v.flatten(1)), torch.ones(5))


def test_a_fresh_layer_has_the_drawn_weights() -> None:
    torch.manual_seed(0)
    layer = WeightNormConv2d(3, 64, 3)
    torch.manual_seed(0)
    drawn = torch.nn.Conv2d(3, 64, 3)
    assert torch.equal(layer.weight_v, drawn.weight)
    assert torch.equal(layer.bias, drawn.bias)
    torch.testing.assert_close(weight_norm(layer.weight_v, layer.weight_g), layer.weight_v)
