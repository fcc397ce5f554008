"""Optimisers by name, and the groups that they are given."""

import pytest
import torch
from torch import nn

from lit_a1.layers import WeightNormConv2d
from lit_a1.optim import OPTIMIZERS, SGD, Adam, Muon, make_optimizer, parameter_groups


@pytest.mark.parametrize(
    ("name", "kind", "decoupled"),
    [("sgd", SGD, False), ("sgdw", SGD, True), ("adam", Adam, False), ("adamw", Adam, True), ("muon", Muon, True)],
)
def test_names(name, kind, decoupled, net):
    options = {"momentum": 0.7, "nesterov": False, "weight_decay": 0.3}
    optimizer = make_optimizer(name, net.parameters(), 0.2, **options)
    assert type(optimizer) is kind
    group = optimizer.param_groups[0]
    expected = {"lr": 0.2, "weight_decay": 0.3, "decoupled": decoupled}
    expected |= {"momentum": 0.7, "nesterov": False} if kind in (SGD, Muon) else {"betas": (0.7, 0.999), "eps": 1e-8}
    assert {key: group[key] for key in expected} == expected
    assert set(group) == set(expected) | {"params"}


def test_every_name_is_tested_and_others_are_refused(net):
    assert OPTIMIZERS == ("sgd", "sgdw", "adam", "adamw", "muon")
    with pytest.raises(ValueError, match="optimizer must be one of sgd, sgdw, adam, adamw, muon, got 'lion'"):
        make_optimizer("lion", net.parameters(), 0.1)


def test_groups_split_by_dimensions(net):
    net.linear.bias.requires_grad_(False)
    decayed, others = parameter_groups(net, 0.01)
    assert [id(p) for p in decayed["params"]] == [id(net.conv.weight), id(net.linear.weight)]
    expected = [net.seldom, net.conv.bias, net.norm.weight, net.norm.bias]
    assert [id(p) for p in others["params"]] == [id(p) for p in expected]
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.01, 0.0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_only_weights_are_decayed(name, net):
    optimizer = make_optimizer(name, parameter_groups(net, 0.1), lr=0.1, weight_decay=0.5)
    before = [param.detach().clone() for param in net.parameters()]
    for param in net.parameters():
        param.grad = torch.zeros_like(param)
    optimizer.step()
    for param, old in zip(net.parameters(), before, strict=True):
        assert torch.equal(param, old) is (param.ndim <= 1)


def test_gains_of_weight_norm_are_not_decayed():
    decayed, others = parameter_groups(WeightNormConv2d(3, 4, 3), 0.1)
    assert [param.shape for param in decayed["params"]] == [(4, 3, 3, 3)]
    assert [param.shape for param in others["params"]] == [(4,), (4, 1, 1, 1)]


def test_one_group_may_be_empty_but_not_both():
    net = nn.Linear(2, 2, bias=False)
    optimizer = make_optimizer("sgd", parameter_groups(net, 0.1), 0.1)
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert len(optimizer.param_groups) == 2
    with pytest.raises(ValueError, match="Linear has no trainable parameter"):
        parameter_groups(nn.Linear(2, 2).requires_grad_(False), 0.1)
