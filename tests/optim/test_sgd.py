from copy import deepcopy

import pytest
import torch

from lit_a1.optim import SGD


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True), (0.5, True)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.03])
def test_same_as_torch(momentum, nesterov, weight_decay, assert_same_training):
    arguments = {"lr": 0.05, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    states = ("momentum_buffer",) if momentum else ()
    assert_same_training(lambda p: SGD(p, **arguments), lambda p: torch.optim.SGD(p, **arguments), *states)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_decoupled_decay_follows_its_formula(momentum, nesterov, net, groups, train):
    """Torch's SGD without decay, each parameter with a gradient shrunk by hand before the step."""
    other = deepcopy(net)
    train(net, SGD(groups(net), 0.05, momentum, nesterov, weight_decay=0.03, decoupled=True), 0, 12)

    reference = torch.optim.SGD(groups(other), lr=0.05, momentum=momentum, nesterov=nesterov, weight_decay=0.0)
    decays = [0.03, 0.1]
    for group in reference.param_groups:
        group["weight_decay"] = 0.0

    def shrink(optimizer, *_):
        for group, decay in zip(optimizer.param_groups, decays, strict=True):
            for param in group["params"]:
                if param.grad is not None:
                    param.data -= group["lr"] * decay * param.data

    reference.register_step_pre_hook(shrink)
    train(other, reference, 0, 12)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_two_steps_by_hand():
    param = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    optimizer = SGD([param], lr=0.1, momentum=0.5, nesterov=True)
    for gradient, expected in [(2.0, 1 - 0.1 * (2 + 0.5 * 2)), (1.0, 0.7 - 0.1 * (1 + 0.5 * 2))]:
        param.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        assert param.item() == pytest.approx(expected, abs=1e-15)


def test_constant_gradient_is_amplified_by_momentum():
    """The displacement of one step tends to lr g / (1 - momentum), as the docstring says."""
    param = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = SGD([param], lr=0.01, momentum=0.9)
    for _ in range(300):
        before = param.item()
        param.grad = torch.ones_like(param)
        optimizer.step()
    assert before - param.item() == pytest.approx(0.01 / (1 - 0.9), rel=1e-9)


@pytest.mark.parametrize("nesterov", [False, True])
def test_quadratic_converges(nesterov):
    curvature = torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)
    param = torch.ones(3, dtype=torch.float64, requires_grad=True)
    optimizer = SGD([param], lr=0.01, momentum=0.9, nesterov=nesterov)
    for _ in range(600):
        optimizer.zero_grad()
        (0.5 * curvature * param**2).sum().backward()
        optimizer.step()
    assert param.abs().max() < 1e-10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": -0.1}, "lr must be in"),
        ({"lr": float("nan")}, "lr must be in"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
        ({"momentum": -0.1}, "momentum must be in"),
        ({"weight_decay": -1e-4}, "weight_decay must be in"),
        ({"nesterov": True}, "nesterov=True needs a momentum above 0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SGD([torch.ones(1, requires_grad=True)], **({"lr": 0.1} | arguments))


def test_wrong_type():
    with pytest.raises(TypeError, match=r"lr must be a number, got '0\.1'"):
        SGD([torch.ones(1, requires_grad=True)], lr="0.1")
