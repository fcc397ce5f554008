import gc
from copy import deepcopy

import pytest
import torch
from torch import nn

from lit_a1.optim import WeightAverage
from lit_a1.optim.average import _SLOTS
from tests.optim.conftest import reloaded


def follow(average, net, step):
    """Updates the average after what stands for a step: every parameter moves, and the running statistics too."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for param in net.parameters():
            param += torch.randn(param.shape, generator=generator, dtype=param.dtype)
    net.train()(torch.randn(4, 2, 6, 6, generator=generator, dtype=param.dtype))
    average.update(net)


def parent_of(net, decay=0.999):
    """A module that has the network and its average, as a LightningModule has."""
    parent = nn.Module()
    parent.net, parent.average = net, WeightAverage(net, decay)
    return parent


def tensors(module):
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def assert_identical(module, other):
    for name, tensor in tensors(module).items():
        assert torch.equal(tensor, tensors(other)[name]), name


@pytest.mark.parametrize(("decay", "decays"), [(0.05, [0.05] * 5), (0.25, [1 / 10, 2 / 11, 3 / 12, 0.25, 0.25])])
def test_closed_form(decay, decays):
    scalar = nn.Linear(1, 1, bias=False).double()
    scalar.weight.data.fill_(8.0)
    average, expected = WeightAverage(scalar, decay), 8.0
    for value, d in zip([1.0, -2.0, 5.0, 0.0, 3.0], decays, strict=True):
        scalar.weight.data.fill_(value)
        average.update(scalar)
        expected = d * expected + (1 - d) * value
        assert average.net.weight.item() == pytest.approx(expected, abs=1e-14)
    assert average.updates.item() == 5


def test_every_float_tensor_is_averaged_and_the_others_copied(net):
    average = WeightAverage(net, 0.05)
    expected = {name: tensor.clone() for name, tensor in tensors(net).items()}
    for step in range(3):
        follow(average, net, step)
        for name, tensor in tensors(net).items():
            is_float = tensor.is_floating_point()
            expected[name] = 0.05 * expected[name] + 0.95 * tensor if is_float else tensor.clone()
    assert "norm.running_var" in expected
    assert average.net.norm.num_batches_tracked == 3
    for name, tensor in tensors(average.net).items():
        torch.testing.assert_close(tensor, expected[name].to(tensor.dtype), rtol=0, atol=1e-12)


def test_shared_parameters_are_averaged_once():
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    net[1].weight = net[0].weight
    net[0].weight.data.fill_(0.0)
    average = WeightAverage(net, 0.1)
    net[0].weight.data.fill_(1.0)
    average.update(net)
    assert average.net[1].weight is average.net[0].weight
    assert average.net[0].weight.item() == pytest.approx(0.9)


def test_network_itself_is_not_touched_nor_kept_and_the_copy_stays_in_evaluation_mode(net):
    before, parent = deepcopy(net), parent_of(net)
    parent.average.update(net)
    assert_identical(net, before)
    assert not set(net.modules()) & set(parent.average.modules())
    assert all(param.requires_grad for param in net.parameters())
    assert not any(param.requires_grad for param in parent.average.parameters())
    assert net.training
    assert not any(module.training for module in parent.average.modules())
    for mode in (True, False, True):
        parent.train(mode)
        assert net.training is mode
        assert not any(module.training for module in parent.average.modules())


def test_networks_that_are_gone_leave_nothing_behind():
    gc.collect()
    known = len(_SLOTS)
    net = nn.Linear(1, 1)
    average = WeightAverage(net, 0.9)
    average.update(net)
    assert len(_SLOTS) == known + 2
    del net, average
    gc.collect()
    assert len(_SLOTS) == known


def test_copies_are_independent(net):
    average = WeightAverage(net, 0.9)
    follow(average, net, 0)
    other = deepcopy(average)
    follow(other, net, 1)
    assert (average.updates, other.updates) == (1, 2)
    assert not torch.equal(average.net.conv.weight, other.net.conv.weight)


@pytest.mark.parametrize("assign", [False, True])
def test_resumed_average_has_the_same_bits(assign, net):
    """Through a parent's state dict, into an average that has been used already."""
    parent, resumed = (parent_of(deepcopy(net)) for _ in range(2))
    resumed.average.update(resumed.net)
    for step in range(7):
        if step == 4:
            resumed.load_state_dict(reloaded(parent.state_dict()), assign=assign)
        follow(parent.average, parent.net, step)
        if step >= 4:
            follow(resumed.average, resumed.net, step)
    assert_identical(parent, resumed)
    assert resumed.average.updates == 7


def test_follows_its_parent_to_another_dtype(net):
    parent = parent_of(net.float(), 0.05)
    follow(parent.average, parent.net, 0)
    parent.to(torch.float64)
    before = {name: tensor.clone() for name, tensor in tensors(parent.average.net).items()}
    follow(parent.average, parent.net, 1)
    assert parent.average.updates.dtype == torch.int64
    for name, tensor in tensors(parent.average.net).items():
        if tensor.is_floating_point():
            assert tensor.dtype == torch.float64
            expected = 0.05 * before[name] + 0.95 * tensors(parent.net)[name]
            torch.testing.assert_close(tensor, expected, rtol=0, atol=1e-12)


def test_buffers_that_were_replaced_are_still_followed(net):
    average = WeightAverage(net, 0.0)
    average.update(net)
    net.norm.running_mean = torch.full((3,), 7.0, dtype=torch.float64)
    average.update(net)
    assert (average.net.norm.running_mean == 7.0).all()


@pytest.mark.parametrize("before", [False, True])
def test_network_compiled_in_place(before, net):
    plain = deepcopy(net)
    if before:
        net.compile(backend="eager")
    average, reference = WeightAverage(net, 0.9), WeightAverage(plain, 0.9)
    if not before:
        net.compile(backend="eager")
    for step in range(2):
        follow(average, net, step)
        follow(reference, plain, step)
    assert_identical(average, reference)
    assert average.net._compiled_call_impl is None
    x = torch.randn(2, 2, 6, 6, dtype=torch.float64)
    assert torch.equal(average.net(x), reference.net(x))


@pytest.mark.parametrize(
    ("decay", "message"),
    [
        (1.0, r"decay must be in \[0, 1\), got 1.0"),
        (-0.1, "decay must be in"),
        (0.9, r"net must have the \d+ tensors of the average, got 2"),
    ],
)
def test_bad_arguments(decay, message, net):
    with pytest.raises(ValueError, match=message):
        WeightAverage(net, decay).update(nn.Linear(1, 1))
