"""The stochastic layers: what they drop, how often, and at what scale."""

import pytest
import torch
from torch import Tensor

from lit_a1.layers import Dropout, StochasticDepth

SHAPE = (200, 50, 2, 3)
every_layer = pytest.mark.parametrize("layer", [Dropout, StochasticDepth])


def check_rate(kept: Tensor, p: float) -> None:
    """The number of kept entries is within five standard deviations of its expectation."""
    deviation = (p * (1 - p) / kept.numel()) ** 0.5
    assert abs(kept.float().mean().item() - (1 - p)) < 5 * deviation


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_rate_and_scale(p: float, dtype: torch.dtype) -> None:
    y = Dropout(p)(torch.ones(SHAPE, dtype=dtype))
    check_rate(y != 0, p)
    assert torch.equal(y, (y != 0) * torch.tensor(1 / (1 - p)).to(dtype))


def test_dropout_draws_each_value_on_its_own() -> None:
    kept = (Dropout(0.5)(torch.ones(SHAPE)) != 0).float()
    for dim in range(len(SHAPE)):
        means = kept.mean([d for d in range(4) if d != dim])
        assert (means - 0.5).abs().max() < 0.1, dim  # no slice is kept or dropped together
    neighbours = (kept[..., 1:] == kept[..., :-1]).float().mean()
    assert abs(neighbours - 0.5) < 0.02


def test_stochastic_depth_drops_whole_samples() -> None:
    x = torch.ones(2000, 3, 2)
    y = StochasticDepth(0.3)(x)
    kept = y[:, 0, 0] != 0
    assert torch.equal(y, (kept[:, None, None] * torch.tensor(1 / 0.7)).expand(x.shape))
    check_rate(kept, 0.3)


@every_layer
def test_expectation_and_gradient(layer: type[Dropout]) -> None:
    x = torch.full(SHAPE, 2.0, requires_grad=True)
    y = layer(0.25)(x)
    assert abs(y.mean().item() - 2) < 0.2
    cotangent = torch.randn(SHAPE)
    (gradient,) = torch.autograd.grad(y, x, cotangent)
    torch.testing.assert_close(gradient, cotangent * y.detach() / 2)  # the same mask and scale backwards


@every_layer
def test_extreme_probabilities(layer: type[Dropout]) -> None:
    x = torch.randn(SHAPE, requires_grad=True)
    assert layer(0.0)(x) is x
    y = layer(1.0)(x)
    assert torch.equal(y, torch.zeros(SHAPE))
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], torch.zeros(SHAPE))


@every_layer
def test_follows_the_global_seed_and_draws_nothing_in_evaluation(layer: type[Dropout]) -> None:
    x, draws, state = torch.ones(SHAPE), [], torch.get_rng_state()
    assert layer(0.5).eval()(x) is x
    assert torch.equal(torch.get_rng_state(), state)
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(layer(0.5)(x))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
