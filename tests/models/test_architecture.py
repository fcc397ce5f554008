import copy
from pathlib import Path

import pytest
import torch
from matplotlib.patches import FancyBboxPatch
from PIL import Image
from torch import nn

from lit_a1.layers import NORMS, BatchNorm2d, WeightNormConv2d
from lit_a1.models import diagram
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
        nn.Linear(7, 2),
    )
    found = layers_of(net, (3, 10, 12))
    assert found.layers == [
        ("", "convolution", False, (3, 5), (2, 1), (1, 2), (8, 5, 12), 8 * 3 * 3 * 5 + 8, 8 * 5 * 12 * 3 * 3 * 5),
        ("", "batch norm", True, None, None, None, (8, 5, 12), 16, 0),
        ("", "ReLU", False, None, None, None, (8, 5, 12), 0, 0),
        ("", "max pooling", False, (2, 2), (2, 2), (0, 0), (8, 2, 6), 0, 0),
        ("", "weight-normalised convolution", True, (1, 1), (2, 2), (0, 0), (4, 1, 3), 4 * 4 + 4 + 4, 4 * 1 * 3 * 4),
        ("", "average pooling", False, None, None, None, (4, 1, 1), 0, 0),
        ("", "linear layer", False, None, None, None, (7,), 28, 28),
        ("", "linear layer", False, None, None, None, (2,), 7 * 2 + 2, 14),
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


def test_layers_are_named_by_their_place_in_the_order_in_which_an_image_meets_them() -> None:
    """Of both ways to halve the image; norm and activation follow a convolution, the sum has its own activation."""
    start = ["convolution 3x3", "batch norm", "ReLU"]
    block = [*start, "convolution 3x3", "batch norm", "sum", "ReLU"]
    head = ["head, mean over all positions", "head, linear layer"]

    found = layers_of(ResidualNet((4, 6), (1,), 10, channels=1), (1, 28, 28))
    shortcut = [f"shortcut, {words}" for words in ("average pooling 2x2", "convolution 1x1", "batch norm")]
    names = [f"stem, {words}" for words in start] + [f"stage 1, block 1, {words}" for words in shortcut + block]
    assert [layer.name for layer in found.layers] == names + head
    assert [layer.on_side_path for layer in found.layers] == [False] * 3 + [True] * 3 + [False] * 9
    assert {layer.kind for layer in found.layers if layer.is_handwritten} == {"batch norm"}

    options = {"channels": 3, "transition": "max_pool", "dropout": 0.1, "stochastic_depth": 0.1, "squeeze_excite": 2}
    found = layers_of(ResidualNet((4, 6, 6), (1, 2), 2, **options), (3, 28, 28))  # type: ignore[arg-type]
    gate = ["gate, linear layer", "gate, linear layer"]
    gated = [*block[:-2], *gate, *block[-2:]]
    last = [*block[:-2], *gate, "stochastic depth", *block[-2:]]
    names = [f"stem, {words}" for words in start]
    for stage, blocks in (("stage 1", [gated]), ("stage 2", [last, last])):
        names += [f"{stage}, {words}" for words in [*start, "max pooling 2x2"]]
        names += [
            f"{stage}, block {number}, {words}" for number, words_of in enumerate(blocks, 1) for words in words_of
        ]
    assert [layer.name for layer in found.layers] == [*names, head[0], "head, dropout", head[1]]


@pytest.mark.parametrize(("blocks", "transition"), [((1, 1, 1), "stride"), ((1, 3), "max_pool"), ((1,) * 6, "stride")])
@pytest.mark.usefixtures("full_size")
def test_the_drawing_has_nothing_over_another_and_every_size(
    blocks: tuple[int, ...], transition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = []
    monkeypatch.setattr(diagram, "_arrow", lambda drawn, *_: axes.append(drawn))
    widths = [64] * (len(blocks) + 1)
    options = {"norm": "weight", "squeeze_excite": 4, "dropout": 0.1} if len(blocks) > 3 else {}
    found = layers_of(ResidualNet(widths, blocks, 10, channels=3, transition=transition, **options), (3, 64, 64))  # type: ignore[arg-type]
    diagram.draw(tmp_path / "drawn.png", (3, 64, 64), found)
    with Image.open(tmp_path / "drawn.png") as drawn:
        assert drawn.width >= 1200
        assert len(drawn.getcolors(1 << 20) or ()) > 10
    axes[0].figure.dpi = 200  # as it was drawn
    boxes = [text.get_window_extent() for text in axes[0].texts if text.get_text()]
    assert len(boxes) > len(found.layers) / 2
    assert not [(one, other) for k, one in enumerate(boxes) for other in boxes[:k] if one.overlaps(other)]
    page = axes[0].figure.bbox
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 for box in boxes)
    texts = [text.get_text() for text in axes[0].texts]
    assert {"x".join(map(str, layer.shape)) for layer in found.layers if not layer.on_side_path} <= set(texts)
    frames = [patch for patch in axes[0].patches if isinstance(patch, FancyBboxPatch)]
    sums = sum(layer.kind == "sum" for layer in found.layers)
    assert len(frames) == sums + sum(layer.filter is not None and not layer.on_side_path for layer in found.layers) + 2


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
