"""Small networks in float64, their groups, and a training loop that any optimiser can run."""

import io
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


def groups(net: nn.Module) -> list[dict[str, Any]]:
    """Two groups, the second with a rate and a decay of its own."""
    params = list(net.parameters())
    return [{"params": params[::2]}, {"params": params[1::2], "lr": 0.02, "weight_decay": 0.1}]


def train(net: nn.Module, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    """Runs steps `first` to `last` - 1; each step's batch and rate depend on its number alone."""
    for step in range(first, last):
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(5, 2, 6, 6, generator=generator, dtype=torch.float64)
        target = torch.randint(4, (5,), generator=generator)
        for index, group in enumerate(optimizer.param_groups):
            group["lr"] = 0.05 / (1 + step + index)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x, use_seldom=step % 2 == 1), target).backward()
        optimizer.step()


def reloaded(state: dict[str, Any]) -> dict[str, Any]:
    """A state dict as a checkpoint gives it back."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)
