"""Sharpness-aware steps against the paper's equations, by autograd in float64."""

import copy

import pytest
import torch
from torch import Tensor, nn

from lit_a1.optim import sam_perturbation


@pytest.fixture
def images() -> Tensor:
    return torch.randn(8, 2, 6, 6, dtype=torch.float64)


def loss(net: nn.Module, images: Tensor) -> Tensor:
    return nn.functional.cross_entropy(net(images), torch.arange(len(images)) % 2)


def assert_state(net: nn.Module, before: dict[str, Tensor]) -> None:
    torch.testing.assert_close(dict(net.state_dict()), before, rtol=0, atol=0)


def test_the_gradient_is_that_of_the_paper(net: nn.Module, images: Tensor) -> None:
    radius = 0.3
    reference = copy.deepcopy(net)
    weights = list(reference.parameters())
    slopes = torch.autograd.grad(loss(reference, images), weights)
    norm = torch.cat([slope.flatten() for slope in slopes]).norm()
    with torch.no_grad():
        for weight, slope in zip(weights, slopes, strict=True):
            weight += radius * slope / norm
    expected = torch.autograd.grad(loss(reference, images), weights)

    loss(net, images).backward()
    with sam_perturbation(net, radius):
        net.zero_grad()
        loss(net, images).backward()
    for param, slope in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(param.grad, slope, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(expected[-1], slopes[-1], rtol=1e-2)


def test_weights_and_statistics_come_back_to_the_bit(net: nn.Module, images: Tensor) -> None:
    loss(net, images).backward()
    before = dict(copy.deepcopy(net.state_dict()))
    with sam_perturbation(net, 0.1):
        assert not torch.equal(net.conv.weight, before["conv.weight"])
        loss(net, images).backward()  # moves the running statistics
        assert not torch.equal(net.norm.running_mean, before["norm.running_mean"])
        assert net.norm.num_batches_tracked == before["norm.num_batches_tracked"] + 1
    assert_state(net, before)
    with pytest.raises(KeyError), sam_perturbation(net, 0.1):
        raise KeyError
    assert_state(net, before)


def test_frozen_weights_stay_where_they_are(net: nn.Module, images: Tensor) -> None:
    net.linear.requires_grad_(False)
    loss(net, images).backward()
    before = net.linear.weight.clone()
    with sam_perturbation(net, 0.1):
        assert torch.equal(net.linear.weight, before)


@pytest.mark.parametrize("zeros", [False, True])
def test_without_gradients_or_with_zeros_nothing_moves(net: nn.Module, zeros: bool) -> None:
    for param in net.parameters():
        param.grad = torch.zeros_like(param) if zeros else None
    before = dict(copy.deepcopy(net.state_dict()))
    with sam_perturbation(net, 0.1):
        assert_state(net, before)


@pytest.mark.parametrize("radius", [-1.0, float("nan"), float("inf")])
def test_a_bad_radius_is_refused(radius: float, net: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"radius must be in \[0, inf\), got"), sam_perturbation(net, radius):
        pass
