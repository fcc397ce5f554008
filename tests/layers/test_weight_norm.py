"""Weight normalisation: its definition and its initialisation from data."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lit_a1.layers import WeightNormConv2d, WeightNormLinear, initialize_from_data, weight_norm


def channel_statistics(y: Tensor) -> tuple[Tensor, Tensor]:
    return torch.var_mean(y.movedim(1, 0).flatten(1), 1, correction=0)


def test_length_and_direction() -> None:
    v, g = torch.randn(5, 3, 2, 2), torch.rand(5, 1, 1, 1) + 0.5
    w = weight_norm(v, g)
    torch.testing.assert_close(w.flatten(1).norm(dim=1), g.flatten())
    torch.testing.assert_close(weight_norm(7 * v, g), w)
    torch.testing.assert_close(torch.cosine_similarity(w.flatten(1), v.flatten(1)), torch.ones(5))


def test_gradient_of_v_is_orthogonal_to_v() -> None:
    v, g = torch.randn(5, 12, requires_grad=True), torch.rand(5, 1) + 0.5
    (gradient,) = torch.autograd.grad(weight_norm(v, g), v, torch.randn(5, 12))
    torch.testing.assert_close((gradient * v).sum(1), torch.zeros(5), rtol=0, atol=1e-6)


def test_a_fresh_layer_has_the_drawn_weights() -> None:
    for layer, fan_in in ((WeightNormConv2d(3, 64, 3), 27), (WeightNormLinear(27, 64), 27)):
        torch.testing.assert_close(weight_norm(layer.weight_v, layer.weight_g), layer.weight_v)
        for parameter in (layer.weight_v, layer.bias):
            assert 0.8 * fan_in**-0.5 < parameter.abs().max() <= fan_in**-0.5


def test_wrong_shape_of_g() -> None:
    with pytest.raises(ValueError, match=r"g must have the shape \(5, 1\) for v of shape \(5, 3\), but has \(5,\)"):
        weight_norm(torch.randn(5, 3), torch.randn(5))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(WeightNormConv2d(3, 5, 3, stride=2), (8, 3, 9, 9)), (WeightNormLinear(6, 5), (64, 6))],
    ids=["conv", "linear"],
)
def test_initialize_from(layer: WeightNormConv2d | WeightNormLinear, shape: tuple[int, ...]) -> None:
    x = 5 * torch.randn(shape) + 2
    layer.initialize_from(x)
    var, mean = channel_statistics(layer(x))
    torch.testing.assert_close(mean, torch.zeros(5), rtol=0, atol=1e-5)
    torch.testing.assert_close(var, torch.ones(5))
    assert all(parameter.requires_grad for parameter in layer.parameters())


def test_initialize_from_without_bias_sets_the_variance() -> None:
    layer, x = WeightNormLinear(6, 5, bias=False), torch.randn(64, 6) + 2
    layer.initialize_from(x)
    torch.testing.assert_close(channel_statistics(layer(x))[0], torch.ones(5))


def test_initialize_from_needs_several_values() -> None:
    with pytest.raises(ValueError, match=r"more than one value a channel, but the input has shape \(1, 6\)"):
        WeightNormLinear(6, 5).initialize_from(torch.randn(1, 6))


def test_initialize_from_a_channel_without_variance_is_finite() -> None:
    layer = WeightNormLinear(6, 5)
    layer.initialize_from(torch.zeros(4, 6))
    assert layer(torch.zeros(4, 6)).isfinite().all()


def test_initialize_from_data_goes_through_the_network() -> None:
    model = nn.Sequential(WeightNormConv2d(3, 5, 3), nn.ReLU(), nn.Sequential(WeightNormConv2d(5, 4, 3)))
    x = 10 * torch.rand(8, 3, 9, 9)
    initialize_from_data(model, x)
    for layer in (model[:1], model):
        var, mean = channel_statistics(layer(x))
        torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-5)
        torch.testing.assert_close(var, torch.ones_like(var), rtol=1e-4, atol=0)
    before = model[0].weight_g.clone()
    model(x + 1)
    assert torch.equal(model[0].weight_g, before)  # only the first batch counts
