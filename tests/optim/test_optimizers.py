"""All optimisers: against torch's, by their formulas, and what they share: bits, groups, state, refusals."""

import math
import re
from copy import deepcopy
from functools import partial

import pytest
import torch

from lit_a1.optim import SGD, Adam, Muon
from tests.optim.conftest import groups, reloaded, train

AdamW = partial(Adam, weight_decay=0.01, decoupled=True)
BUILDERS = {
    "sgd": lambda params: SGD(params, 0.05),
    "nesterov": lambda params: SGD(params, 0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "sgdw": lambda params: SGD(params, 0.05, momentum=0.9, weight_decay=0.01, decoupled=True),
    "adam": lambda params: Adam(params, 0.01, weight_decay=0.01),
    "adamw": lambda params: AdamW(params, 0.01),
    "muon": lambda params: Muon(params, 0.1, weight_decay=0.01),  # Adam, for all of one dimension, takes a tenth
}
MOMENTA = [(0.0, False), (0.9, False), (0.9, True), (0.5, True)]
ADAM_STATES = ("exp_avg", "exp_avg_sq", "step")


@pytest.fixture(params=BUILDERS)
def build(request):
    return BUILDERS[request.param]


def assert_same(net, other, atol=0.0):
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=atol)


def ones(*shape):
    return torch.ones(shape, requires_grad=True)


# against torch's


TORCHS = {SGD: torch.optim.SGD, Adam: torch.optim.Adam, AdamW: torch.optim.AdamW}
ADAMS = [{"betas": betas, "eps": 1e-6} for betas in [(0.9, 0.999), (0.0, 0.5), (0.7, 0.9)]]
SGDS = [{"momentum": momentum, "nesterov": nesterov} for momentum, nesterov in MOMENTA]
ARGUMENTS = {SGD: SGDS, Adam: ADAMS, AdamW: ADAMS}
CASES = [(kind, given, decay) for kind in TORCHS for given in ARGUMENTS[kind] for decay in (0.0, 0.03)]


@pytest.mark.parametrize(("kind", "arguments", "weight_decay"), [*CASES, (Adam, {}, None), (AdamW, {}, None)])
def test_same_as_torch(kind, arguments, weight_decay, net):
    """Parameters and state, along the way."""
    if weight_decay is not None:
        arguments = arguments | {"lr": 0.05, "weight_decay": weight_decay}
    states = ("momentum_buffer",) if arguments.get("momentum") else ADAM_STATES if kind is not SGD else ()
    nets = [deepcopy(net), deepcopy(net)]
    optimizers = [make(groups(copy), **arguments) for make, copy in zip((kind, TORCHS[kind]), nets, strict=True)]
    for step in range(15):
        for copy, optimizer in zip(nets, optimizers, strict=True):
            train(copy, optimizer, step, step + 1)
        assert_same(*nets, atol=1e-12)
        for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
            for name in states if b in optimizers[1].state else ():
                ours, theirs = optimizers[0].state[a][name], optimizers[1].state[b][name]
                torch.testing.assert_close(torch.as_tensor(ours), theirs, rtol=0, atol=1e-12, check_dtype=False)
    assert any((a != b).any() for a, b in zip(nets[0].parameters(), net.parameters(), strict=True))


@pytest.mark.parametrize(("momentum", "nesterov"), MOMENTA[:3])
def test_decoupled_decay_follows_its_formula(momentum, nesterov, net):
    """Torch's SGD without decay, each parameter with a gradient shrunk by hand before the step."""
    other = deepcopy(net)
    train(net, SGD(groups(net), 0.05, momentum, nesterov, weight_decay=0.03, decoupled=True), 0, 12)
    undecayed = [group | {"weight_decay": 0.0} for group in groups(other)]
    reference = torch.optim.SGD(undecayed, lr=0.05, momentum=momentum, nesterov=nesterov)

    def shrink(optimizer, *_):
        for group, decay in zip(optimizer.param_groups, (0.03, 0.1), strict=True):
            for param in group["params"]:
                if param.grad is not None:
                    param.data -= group["lr"] * decay * param.data

    reference.register_step_pre_hook(shrink)
    train(other, reference, 0, 12)
    assert_same(net, other, atol=1e-12)


# what all share


@pytest.mark.parametrize("stop", [0, 1, 5])  # after step 0, one parameter has no state yet
def test_same_and_resumed_run_give_same_bits(stop, build, net):
    other = deepcopy(net)
    train(net, build(groups(net)), 0, 10)

    first = build(groups(other))
    train(other, first, 0, stop)
    saved = reloaded({"net": other.state_dict(), "optimizer": first.state_dict()})
    for param in other.parameters():
        param.data.zero_()
    other.load_state_dict(saved["net"])
    second = build(groups(other))
    second.load_state_dict(saved["optimizer"])
    train(other, second, stop, 10)
    assert_same(net, other)


def test_gradients_and_parameters_without_one_are_left_alone(build):
    used, unused = ones(3), ones(3)
    optimizer = build([used, unused])
    used.grad = torch.tensor([1.0, -2.0, 3.0])
    for _ in range(2):
        optimizer.step()
    assert used.grad.tolist() == [1.0, -2.0, 3.0]
    assert (used != 1).all()
    assert (unused == 1).all()
    assert unused not in optimizer.state
    used.grad = None
    optimizer.step()  # no gradient at all


def test_updates_in_place_and_keeps_the_memory_format(build):
    param = torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last).requires_grad_()
    pointer = param.data_ptr()
    param.grad = torch.ones_like(param)
    optimizer = build([param])
    optimizer.step()
    assert param.data_ptr() == pointer
    for value in optimizer.state[param].values():
        assert not isinstance(value, torch.Tensor) or value.stride() == param.stride()


def test_closure_runs_with_gradients_its_loss_is_returned_and_hooks_are_called_once(build):
    param, calls = torch.tensor([2.0], requires_grad=True), []
    optimizer = build([param])
    optimizer.register_step_post_hook(lambda *_: calls.append("post"))
    optimizer.register_step_pre_hook(lambda *_: calls.append("pre"))

    def closure():
        optimizer.zero_grad()
        loss = (param**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 4.0
    assert param.item() < 2.0
    assert calls == ["pre", "post"]
    assert optimizer.step() is None


# refusals


@pytest.mark.parametrize("kind", [SGD, Adam, Muon])
def test_groups_are_checked_too(kind):
    params = [ones(1), ones(1)]
    with pytest.raises(ValueError, match=r"lr must be in \[0, inf\), got -2"):
        kind([{"params": params[:1]}, {"params": params[1:], "lr": -2}], lr=0.1)
    optimizer = kind(params[:1], lr=0.1)
    with pytest.raises(ValueError, match="weight_decay must be"):
        optimizer.add_param_group({"params": params[1:], "weight_decay": -1.0})
    assert len(optimizer.param_groups) == 1


MOMENTUM = [
    ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
    ({"momentum": -0.1}, "momentum must be in"),
    ({"momentum": math.nan}, "momentum must be in"),
    ({"momentum": 0.0, "nesterov": True}, "nesterov=True needs a momentum above 0"),
]
BETAS = [
    ({"betas": (1.0, 0.9)}, r"betas\[0\] must be in \[0, 1\), got 1.0"),
    ({"betas": (0.9, -0.1)}, r"betas\[1\] must be in"),
    ({"betas": (0.9,)}, "betas must be two numbers"),
    ({"eps": -1e-8}, "eps must be in"),
]
FOR_ALL = [({"lr": value}, "lr must be in") for value in (-1e-9, math.nan, math.inf)]
FOR_ALL += [({"weight_decay": -1}, "weight_decay must be in")]
BAD = {SGD: [*MOMENTUM, *FOR_ALL], Adam: [*BETAS, *FOR_ALL], Muon: [*MOMENTUM, *FOR_ALL]}


@pytest.mark.parametrize(("kind", "arguments", "message"), [(kind, *case) for kind in BAD for case in BAD[kind]])
def test_bad_arguments(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**{"params": [ones(1, 1)], "lr": 0.1} | arguments)


@pytest.mark.parametrize("value", ["0.1", None, True, [0.1]])
def test_wrong_type(value):
    with pytest.raises(TypeError, match=re.escape(f"lr must be a number, got {value!r}")):
        SGD([ones(1)], lr=value)
