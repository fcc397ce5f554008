"""The running average of a network's weights over the training steps."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Self
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from lit_a1.optim.base import check_number

# Where the tensors of a module are: (the dict of its parameters or buffers, name). Walking the modules at each step
# would cost more than the averaging. The tensors themselves may be replaced (`.to()`, `assign=True`).
_Slots = list[tuple[dict[str, Any], str]]
_SLOTS: WeakKeyDictionary[nn.Module, _Slots] = WeakKeyDictionary()


def _tensors(module: nn.Module) -> list[Tensor]:
    """Lists every parameter and buffer of `module` once, in a fixed order."""
    if module not in _SLOTS:
        unique = {
            id(tensor): (tensors, name)
            for child in module.modules()
            for tensors in (child._parameters, child._buffers)
            for name, tensor in tensors.items()
            if tensor is not None
        }
        _SLOTS[module] = list(unique.values())
    return [tensors[name] for tensors, name in _SLOTS[module]]


class WeightAverage(nn.Module):
    """An exponential moving average a of a network's weights w.

    Update t = 0, 1, ... is::

        a <- d a + (1 - d) w          d = min(decay, (1 + t) / (10 + t))

    It spans about the last 1 / (1 - decay) updates. The smaller d of the first updates (the rule of TensorFlow's
    `ExponentialMovingAverage`) lets it forget the random start sooner. Floating-point buffers (running statistics) are
    averaged like parameters; integer buffers are copied.

    The averaged copy takes no gradients and always stays in evaluation mode, despite `train()`. Both networks must keep
    the modules that they were built with. The copy is not compiled; call `self.net.compile()` to compile it.

    Args:
        net: the network to follow; it is copied, not kept.
        decay: largest d, in [0, 1).

    Attributes:
        net: the averaged network.
        updates: t, an int64 tensor of shape ().

    Raises:
        TypeError: `decay` is not a number.
        ValueError: `decay` is out of range.

    Sources: Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging"; Tarvainen & Valpola 2017,
    "Mean teachers are better role models".
    """

    updates: Tensor

    def __init__(self, net: nn.Module, decay: float) -> None:
        super().__init__()
        check_number("decay", decay, below=1.0)
        self.net = deepcopy(net).requires_grad_(False)
        self.decay = decay
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self._count: int | None = 0  # a copy of `updates` on the host; None: to be read again
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Keeps the averaged network in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Adds the current weights of `net` to the average; call it after each optimiser step.

        Args:
            net: the network followed, on the same device as the average.

        Raises:
            ValueError: `net` has another number of tensors than the averaged network.
        """
        averaged, current = _tensors(self.net), _tensors(net)
        if len(averaged) != len(current):
            raise ValueError(f"net must have the {len(averaged)} tensors of the average, got {len(current)}")
        pairs = list(zip(averaged, current, strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        weight = 1.0 - self._next_decay()
        torch._foreach_lerp_([target for target, _ in floats], [source for _, source in floats], weight)
        for target, source in pairs:
            if not target.is_floating_point():
                target.copy_(source)
        self.updates += 1

    def _next_decay(self) -> float:
        """Returns d of the next update, and counts that update."""
        if self._count is None:
            self._count = int(self.updates)
        count, self._count = self._count, self._count + 1
        return min(self.decay, (1 + count) / (10 + count))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], *args: Any) -> None:
        super()._load_from_state_dict(state_dict, *args)
        self._count = None
