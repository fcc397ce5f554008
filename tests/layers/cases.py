"""Every layer beside PyTorch's counterpart, for the harness of `test_layers.py`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm as parametrize
from torchvision.ops import SqueezeExcitation

from lit_a1 import layers


class ChannelsLastLayerNorm(nn.LayerNorm):
    """The reference for `LayerNorm2d`: PyTorch's layer norm on (N, H, W, C)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__(channels, eps)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class TorchvisionSqueezeExcite(nn.Module):
    """The reference for `SqueezeExcite`: torchvision's, whose 1x1 convolutions take the weights of linear layers."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        self.block = (SqueezeExcitation(channels, hidden),)  # no submodule: its own weights are not used

    def forward(self, x: Tensor) -> Tensor:
        weights = {
            f"{theirs}.{name}": value[..., None, None] if name == "weight" else value
            for theirs, ours in (("fc1", self.squeeze), ("fc2", self.excite))
            for name, value in ours.named_parameters()
        }
        return torch.func.functional_call(self.block[0], weights, (x,))


@dataclass
class Case:
    """A layer, PyTorch's counterpart (none for the stochastic layers, whose draws differ), and what to expect."""

    name: str
    ours: Callable[[], nn.Module]
    theirs: Callable[[], nn.Module] | None
    parameters: int
    repr: str
    shape: tuple[int, ...] = (4, 6, 5, 3)
    out_shape: tuple[int, ...] | None = None

    @property
    def stochastic(self) -> bool:
        return self.theirs is None

    @property
    def trains_differently(self) -> bool:
        return self.stochastic or "batch" in self.name


THEIR_NAMES = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
CONV = {"stride": 2, "padding": 1, "dilation": 2, "groups": 2, "bias": False}


def norm(name: str, ours: type, theirs: type, parameters: int, shown: str, *arguments: Any, **theirs_too: Any) -> Case:
    """A norm of both kinds with the same arguments, but for PyTorch's other name or default of one."""
    options = {"eps": 1e-2} if name.endswith("-eps") else {}
    return Case(
        name,
        lambda: ours(*arguments, **options),
        lambda: theirs(*arguments, **options | theirs_too),
        parameters,
        f"{ours.__name__}({shown})",
    )


CASES = [
    norm("batch", layers.BatchNorm2d, nn.BatchNorm2d, 12, "6, eps=1e-05, momentum=0.1, affine=True, sync=False", 6),
    Case(
        "batch-options",
        lambda: layers.BatchNorm2d(6, 1e-2, 0.3, sync=True),
        lambda: nn.BatchNorm2d(6, 1e-2, 0.3),
        12,
        "BatchNorm2d(6, eps=0.01, momentum=0.3, affine=True, sync=True)",
    ),
    norm("layer2d", layers.LayerNorm2d, ChannelsLastLayerNorm, 12, "(6,), eps=1e-06, affine=True", 6),
    norm("layer2d-eps", layers.LayerNorm2d, ChannelsLastLayerNorm, 12, "(6,), eps=0.01, affine=True", 6),
    norm("group", layers.GroupNorm, nn.GroupNorm, 12, "3, 6, eps=1e-05, affine=True", 3, 6),
    norm("group-eps", layers.GroupNorm, nn.GroupNorm, 12, "1, 6, eps=0.01, affine=True", 1, 6),
    norm("instance", layers.InstanceNorm2d, nn.InstanceNorm2d, 12, "6, eps=1e-05, affine=True", 6, affine=True),
    norm("instance-eps", layers.InstanceNorm2d, nn.InstanceNorm2d, 12, "6, eps=0.01, affine=True", 6, affine=True),
    Case(
        "weight-conv",
        lambda: layers.WeightNormConv2d(6, 4, 3, padding=1),
        lambda: parametrize(nn.Conv2d(6, 4, 3, padding=1)),
        6 * 4 * 9 + 4 + 4,
        "WeightNormConv2d(6, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
        out_shape=(4, 4, 5, 3),
    ),
    Case(
        "weight-conv-options",
        lambda: layers.WeightNormConv2d(6, 4, 2, **CONV),
        lambda: parametrize(nn.Conv2d(6, 4, 2, **CONV)),
        3 * 4 * 4 + 4,
        "WeightNormConv2d(6, 4, kernel_size=(2, 2), stride=(2, 2), padding=(1, 1), dilation=(2, 2), groups=2, "
        "bias=False)",
        out_shape=(4, 4, 3, 2),
    ),
    Case(
        "squeeze-excite",
        lambda: layers.SqueezeExcite(6, reduction=2),
        lambda: TorchvisionSqueezeExcite(6, 8),
        6 * 8 + 8 + 8 * 6 + 6,
        "SqueezeExcite(\n  (squeeze): Linear(in_features=6, out_features=8, bias=True)\n"
        "  (excite): Linear(in_features=8, out_features=6, bias=True)\n)",
    ),
    Case("dropout", lambda: layers.Dropout(0.4), None, 0, "Dropout(p=0.4)"),
    Case("depth", lambda: layers.StochasticDepth(0.4), None, 0, "StochasticDepth(p=0.4, mode='row')"),
]
