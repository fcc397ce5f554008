import pytest
import torch

from lit_a1.optim import Adam, AdamW

STATES = ("exp_avg", "exp_avg_sq", "step")


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.5), (0.7, 0.9)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.03])
@pytest.mark.parametrize(("ours", "theirs"), [(Adam, torch.optim.Adam), (AdamW, torch.optim.AdamW)])
def test_same_as_torch(ours, theirs, betas, weight_decay, assert_same_training):
    arguments = {"lr": 0.05, "betas": betas, "eps": 1e-6, "weight_decay": weight_decay}
    assert_same_training(lambda p: ours(p, **arguments), lambda p: theirs(p, **arguments), *STATES)


@pytest.mark.parametrize(("ours", "theirs"), [(Adam, torch.optim.Adam), (AdamW, torch.optim.AdamW)])
def test_same_defaults_as_torch(ours, theirs, assert_same_training):
    assert_same_training(ours, theirs, *STATES)


def test_first_step_is_the_rate_against_the_sign():
    """Both corrections cancel the averages' start at zero: m / sqrt(v) is the sign of the gradient."""
    param = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    param.grad = torch.tensor([1e-3, -5.0, 2.0, 1e4], dtype=torch.float64)
    Adam([param], lr=0.1, eps=0.0).step()
    torch.testing.assert_close(param.detach(), -0.1 * param.grad.sign(), rtol=1e-12, atol=0)


def test_each_parameter_counts_its_own_steps(net, train):
    optimizer = Adam(net.parameters())
    train(net, optimizer, 0, 6)
    assert optimizer.state[net.seldom]["step"] == 3
    assert optimizer.state[net.conv.weight]["step"] == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": -0.1}, "lr must be in"),
        ({"betas": (1.0, 0.9)}, r"betas\[0\] must be in \[0, 1\), got 1.0"),
        ({"betas": (0.9, -0.1)}, r"betas\[1\] must be in"),
        ({"betas": (0.9,)}, "betas must be two numbers"),
        ({"eps": -1e-8}, "eps must be in"),
        ({"weight_decay": -1e-4}, "weight_decay must be in"),
    ],
)
@pytest.mark.parametrize("build", [Adam, AdamW])
def test_bad_arguments(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build([torch.ones(1, requires_grad=True)], **arguments)
