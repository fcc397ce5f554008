import io
import math
from copy import deepcopy

import pytest
import torch

from lit_a1.optim import SGD, Adam, AdamW, Muon
from lit_a1.optim.base import check_number

BUILDERS = {
    "sgd": lambda params: SGD(params, 0.05),
    "nesterov": lambda params: SGD(params, 0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "sgdw": lambda params: SGD(params, 0.05, momentum=0.9, weight_decay=0.01, decoupled=True),
    "adam": lambda params: Adam(params, 0.01, weight_decay=0.01),
    "adamw": lambda params: AdamW(params, 0.01),
    "muon": lambda params: Muon(params, 0.1, weight_decay=0.01),  # Adam, for all of one dimension, takes a tenth
}


@pytest.fixture(params=BUILDERS)
def build(request):
    return BUILDERS[request.param]


def assert_identical(net, other):
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_same_run_gives_same_bits(build, net, groups, train):
    other = deepcopy(net)
    for copy in (net, other):
        train(copy, build(groups(copy)), 0, 8)
    assert_identical(net, other)


@pytest.mark.parametrize("stop", [1, 5])  # after step 0, one parameter has no state yet
def test_resumed_run_gives_same_bits(stop, build, net, groups, train):
    other = deepcopy(net)
    train(net, build(groups(net)), 0, 10)

    first = build(groups(other))
    train(other, first, 0, stop)
    file = io.BytesIO()
    torch.save({"net": other.state_dict(), "optimizer": first.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    for param in other.parameters():
        param.data.zero_()
    other.load_state_dict(saved["net"])
    second = build(groups(other))
    second.load_state_dict(saved["optimizer"])
    train(other, second, stop, 10)
    assert_identical(net, other)


def test_parameters_without_gradient_are_left_alone(build):
    used, unused = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    optimizer = build([used, unused])
    used.grad = torch.ones(3)
    optimizer.step()
    assert (used != 1).all()
    assert (unused == 1).all()
    assert unused not in optimizer.state
    used.grad = None
    optimizer.step()  # no gradient at all


def test_gradients_stay_as_they_are(build):
    param = torch.ones(3, requires_grad=True)
    param.grad = torch.tensor([1.0, -2.0, 3.0])
    optimizer = build([param])
    for _ in range(2):
        optimizer.step()
    assert param.grad.tolist() == [1.0, -2.0, 3.0]


def test_updates_in_place_and_keeps_the_memory_format(build):
    param = torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last).requires_grad_()
    pointer = param.data_ptr()
    param.grad = torch.ones_like(param)
    optimizer = build([param])
    optimizer.step()
    assert param.data_ptr() == pointer
    for value in optimizer.state[param].values():
        assert not isinstance(value, torch.Tensor) or value.stride() == param.stride()


def test_closure_runs_with_gradients_and_its_loss_is_returned(build):
    param = torch.tensor([2.0], requires_grad=True)
    optimizer = build([param])

    def closure():
        optimizer.zero_grad()
        loss = (param**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 4.0
    assert param.item() < 2.0
    assert optimizer.step() is None


def test_step_hooks_are_called_once(build):
    optimizer, calls = build([torch.ones(1, requires_grad=True)]), []
    optimizer.register_step_post_hook(lambda *_: calls.append("post"))
    optimizer.register_step_pre_hook(lambda *_: calls.append("pre"))
    optimizer.step()
    assert calls == ["pre", "post"]


def test_logistic_regression_converges(build, logistic):
    assert logistic(build, 1500) <= 0.01


@pytest.mark.parametrize("build", [SGD, Adam, AdamW, Muon])
def test_groups_are_checked_too(build):
    params = [torch.ones(1, requires_grad=True) for _ in range(2)]
    with pytest.raises(ValueError, match=r"lr must be in \[0, inf\), got -2"):
        build([{"params": params[:1]}, {"params": params[1:], "lr": -2}], lr=0.1)
    optimizer = build(params[:1], lr=0.1)
    with pytest.raises(ValueError, match="weight_decay must be"):
        optimizer.add_param_group({"params": params[1:], "weight_decay": -1.0})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("value", [-1e-9, 1.0, math.nan, math.inf])
def test_check_number_refuses_what_is_out_of_range(value):
    with pytest.raises(ValueError, match=rf"momentum must be in \[0, 1\), got {value}"):
        check_number("momentum", value, below=1.0)


@pytest.mark.parametrize("value", ["0.1", None, True, [0.1]])
def test_check_number_refuses_what_is_no_number(value):
    with pytest.raises(TypeError, match="lr must be a number, got"):
        check_number("lr", value)


def test_check_number_takes_the_lower_bound():
    check_number("lr", 0)
