from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from lit_a1.layers import NORMS, BatchNorm2d
from lit_a1.models.catsdogs import ResidualNet
from lit_a1.models.rules import RuleError, check_rules
from lit_a1.optim import SGD

EXAMPLE = torch.rand(4, 3, 16, 16)


def sgd(net: nn.Module) -> SGD:
    return SGD(net.parameters(), lr=0.1)


@pytest.mark.parametrize("norm", NORMS)
def test_the_projects_own_networks_pass(norm: str) -> None:
    net = ResidualNet((8, 8), (1,), norm=norm, dropout=0.5, stochastic_depth=0.5)
    check_rules(net, sgd(net), EXAMPLE)


@pytest.mark.parametrize(
    "layer",
    [
        nn.BatchNorm2d(8), nn.LayerNorm(8), nn.GroupNorm(2, 8), nn.InstanceNorm2d(8), nn.RMSNorm(8),
        nn.LocalResponseNorm(2), nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout(), nn.SyncBatchNorm(8),
        nn.MultiheadAttention(8, 2), nn.LSTM(8, 8),
    ],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_torchs_own_layers_are_named_and_refused(layer: nn.Module) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(layer))
    with pytest.raises(RuleError, match=rf"'1\.0' \({type(layer).__name__}\)"):
        check_rules(net, sgd(net), EXAMPLE)


def test_reparametrised_weights_are_refused() -> None:
    net = nn.Sequential(weight_norm(nn.Conv2d(3, 8, 3)))
    with pytest.raises(RuleError, match="reparametrised"):
        check_rules(net, sgd(net), EXAMPLE)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_torchs_own_optimisers_are_refused(optimizer: type[torch.optim.Optimizer]) -> None:
    net = nn.Linear(3, 2)
    with pytest.raises(RuleError, match=f"torch.optim.{optimizer.__name__}"):
        check_rules(net, optimizer(net.parameters(), lr=0.1), EXAMPLE)


CALLS: dict[str, Callable[[Tensor], Tensor]] = {
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "group_norm": lambda x: torch.group_norm(x, 2),
    "dropout": F.dropout,
    "instance_norm": F.instance_norm,
}


class Calling(nn.Module):
    def __init__(self, call: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.call, self.convolution = call, nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self.convolution(x))


@pytest.mark.parametrize("name", CALLS)
def test_calls_in_the_forward_pass_are_found(name: str) -> None:
    net = Calling(CALLS[name]).eval()
    with pytest.raises(RuleError, match=name):
        check_rules(net, sgd(net), EXAMPLE)
    allowed = Calling(F.relu)
    check_rules(allowed, sgd(allowed), EXAMPLE)


def test_looking_leaves_no_trace() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), BatchNorm2d(8)).eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.get_rng_state()
    check_rules(net, sgd(net), EXAMPLE)
    assert not net.training
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name
