import copy

import pytest
import torch
from torch import nn

from lit_a1.layers import NORMS, BatchNorm2d, WeightNormConv2d, WeightNormLinear
from lit_a1.models.architecture import layers_of
from lit_a1.models.mnist import MNISTCNN
from lit_a1.models.residual import ResidualNet


def test_multiply_adds_are_those_counted_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, (3, 5), stride=(2, 1), padding=(1, 2)),  # (8,5,12) from (3,10,12)
        BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (8,2,6)
        WeightNormConv2d(8, 4, 1, stride=2, groups=2),  # (4,1,3)
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 7, bias=False),
        WeightNormLinear(7, 2),
    )
    found = layers_of(net, (3, 10, 12))
    assert found.layers == [
        ("0", "Conv2d", (3, 5), (2, 1), (8, 5, 12), 8 * 3 * 3 * 5 + 8, 8 * 5 * 12 * 3 * 3 * 5),
        ("1", "BatchNorm2d", None, None, (8, 5, 12), 16, 0),
        ("3", "MaxPool2d", (2, 2), (2, 2), (8, 2, 6), 0, 0),
        ("4", "WeightNormConv2d", (1, 1), (2, 2), (4, 1, 3), 4 * 4 + 4 + 4, 4 * 1 * 3 * 4),
        ("5", "AdaptiveAvgPool2d", None, None, (4, 1, 1), 0, 0),
        ("7", "Linear", None, None, (7,), 28, 28),
        ("8", "WeightNormLinear", None, None, (2,), 7 * 2 + 2 + 2, 14),
    ]
    assert found.multiply_adds == 21_600 + 48 + 28 + 14
    assert found.parameters == sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("stem_stride", "size"), [(1, 28), (2, 28), (2, 33)])
def test_totals_of_a_residual_network(norm: str, stem_stride: int, size: int) -> None:
    net = ResidualNet((4, 6, 10), (1, 2), 10, norm, channels=1, stem_stride=stem_stride)  # type: ignore[arg-type]
    found = layers_of(net, (1, size, size))
    assert found.parameters == sum(parameter.numel() for parameter in net.parameters())
    assert found.parameters == sum(layer.parameters for layer in found.layers)
    side = -(-size // stem_stride)
    half = -(-side // 2)
    quarter = -(-half // 2)
    expected = side**2 * 4 * 9  # the stem
    expected += half**2 * (6 * 4 * 9 + 6 * 6 * 9 + 6 * 4)  # a block, with its 1x1 projection
    expected += quarter**2 * (10 * 6 * 9 + 10 * 10 * 9 + 10 * 6 + 2 * 10 * 10 * 9)  # and two more
    assert found.multiply_adds == expected + 10 * 10


def test_layers_come_in_the_order_in_which_a_image_meets_them() -> None:
    found = layers_of(ResidualNet((4, 6), (1,), 10, channels=1), (1, 28, 28))
    convolution = ["Conv2d", "BatchNorm2d"]
    assert [layer.kind for layer in found.layers] == [*convolution, "AvgPool2d", *convolution * 3, "Linear"]
    assert found.layers[2].filter == (2, 2)
    assert found.layers[-1].name == "linear"


def test_the_network_stays_as_it_is() -> None:
    net = MNISTCNN(widths=(4, 6), blocks=(1,), average_decay=0).net
    net.train()
    before, mode = copy.deepcopy(net.state_dict()), [module.training for module in net.modules()]
    random = torch.get_rng_state()
    layers_of(net, (1, 28, 28))
    after = net.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [module.training for module in net.modules()] == mode
    assert not any(module._forward_hooks for module in net.modules())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_shared_layer_has_its_parameters_once_and_costs_each_time() -> None:
    layer = nn.Linear(5, 5)
    found = layers_of(nn.Sequential(nn.Flatten(), layer, nn.ReLU(), layer), (1, 1, 5))
    assert (found.parameters, found.multiply_adds) == (30, 50)
    tied = nn.Sequential(nn.Flatten(), nn.Linear(5, 5), nn.Linear(5, 5))
    tied[2].weight = tied[1].weight
    found = layers_of(tied, (1, 1, 5))
    assert [layer.parameters for layer in found.layers] == [30, 5]
    assert (found.parameters, found.multiply_adds) == (35, 50)


def test_layers_that_cannot_be_counted_are_refused() -> None:
    with pytest.raises(ValueError, match="multiply-adds of 0, a ConvTranspose2d, are not known"):
        layers_of(nn.Sequential(nn.ConvTranspose2d(1, 1, 2)), (1, 4, 4))
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    net[0].idle = nn.Linear(3, 3)
    with pytest.raises(ValueError, match="12 of 18 parameters are in layers that no image meets"):
        layers_of(net, (1, 1, 2))
