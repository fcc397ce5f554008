"""Small networks in float64, their groups, and a training loop that any optimiser can run."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn


class _Net(nn.Module):
    """Convolution, norm and linear layers, and a parameter that the loss reaches only at odd steps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.linear = nn.Linear(3, 4)
        self.seldom = nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor, use_seldom: bool = True) -> Tensor:
        y = self.linear(self.norm(self.conv(x)).relu().mean((2, 3)))
        return y + self.seldom if use_seldom else y


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(3)
    return _Net().double()


@pytest.fixture
def groups() -> Callable[[nn.Module], list[dict[str, Any]]]:
    """Two groups, the second with a rate and a decay of its own."""

    def split(net: nn.Module) -> list[dict[str, Any]]:
        params = list(net.parameters())
        return [{"params": params[::2]}, {"params": params[1::2], "lr": 0.02, "weight_decay": 0.1}]

    return split


@pytest.fixture
def train() -> Callable[..., None]:
    """Runs steps `first` to `last` - 1; each step's batch and rate depend on its number alone."""

    def run(net: nn.Module, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
        for step in range(first, last):
            generator = torch.Generator().manual_seed(step)
            x = torch.randn(5, 2, 6, 6, generator=generator, dtype=torch.float64)
            target = torch.randint(4, (5,), generator=generator)
            for index, group in enumerate(optimizer.param_groups):
                group["lr"] = 0.05 / (1 + step + index)
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x, use_seldom=step % 2 == 1), target).backward()
            optimizer.step()

    return run


@pytest.fixture
def assert_same_training(net, groups, train) -> Callable[..., None]:
    """Trains two copies of the network, one with each optimiser, and compares parameters and state along the way."""

    def check(
        ours: Callable[[Any], torch.optim.Optimizer], theirs: Callable[[Any], torch.optim.Optimizer], *states: str
    ) -> None:
        nets = [deepcopy(net), deepcopy(net)]
        optimizers = [build(groups(copy)) for build, copy in zip((ours, theirs), nets, strict=True)]
        for step in range(15):
            for copy, optimizer in zip(nets, optimizers, strict=True):
                train(copy, optimizer, step, step + 1)
            for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
                for name in states if b in optimizers[1].state else ():
                    mine, reference = optimizers[0].state[a][name], optimizers[1].state[b][name]
                    torch.testing.assert_close(torch.as_tensor(mine), reference, rtol=0, atol=1e-12, check_dtype=False)
        assert any((a != b).any() for a, b in zip(nets[0].parameters(), net.parameters(), strict=True))

    return check
