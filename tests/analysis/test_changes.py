import numpy as np
import pytest
import torch
from torch import nn

from lit_a1.analysis import changes
from lit_a1.analysis.attention import centre_and_spread
from lit_a1.analysis.changes import TINTS, UNCHANGED, change_images, lower_half, tint
from lit_a1.data.colour import LUMA
from tests.analysis.networks import Kind, analyzed, network_of, rows_of


def test_a_tint_keeps_luma_and_gives_one_hue() -> None:
    images = 0.7 * torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor(LUMA)[:, None, None]
    for colour in TINTS.values():
        tinted = tint(images, colour)
        assert (tinted * weights).sum(1) == pytest.approx((images * weights).sum(1), abs=1e-6)
        ratios = (torch.tensor(colour) / colour[1])[None, :, None, None].expand_as(tinted)
        assert tinted / tinted[:, 1:2] == pytest.approx(ratios, abs=1e-5)
    assert tint(torch.ones(1, 3, 2, 2), TINTS["green"]).max() == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_only_the_named_place_is_changed(channels: int) -> None:
    images = torch.rand(2, channels, 32, 32, generator=torch.Generator().manual_seed(0))
    background = torch.zeros(2, 1, 32, 32, dtype=torch.bool)
    background[..., :16] = True
    found = change_images(images, background, np.zeros((2, 2)))
    assert ("background green" in found) == ("all grey" in found) == (channels == 3)
    assert torch.equal(found[UNCHANGED], images)
    for name, changed in found.items():
        if name.startswith("background"):
            assert torch.equal(changed[..., 16:], images[..., 16:])
            assert not torch.equal(changed[..., :16], images[..., :16])
    assert torch.equal(found["evidence blurred"][..., :16], images[..., :16])
    assert found["evidence blurred"][..., 16:].var() < images[..., 16:].var() / 4
    assert torch.equal(found["mirrored"].flip(3), images)


def test_the_background_is_half_of_each_image() -> None:
    maps = np.stack([np.arange(16.0).reshape(4, 4), np.zeros((4, 4)), -np.arange(16.0).reshape(4, 4)])
    halves = lower_half(maps)
    assert halves.sum((1, 2)).tolist() == [8, 8, 8]
    assert halves[0, :2].all()
    assert halves[2, 2:].all()


def test_the_enlarged_part_is_around_the_centre_and_stays_within() -> None:
    x = torch.arange(32.0).expand(3, 1, 32, 32) / 32
    background, centres = torch.zeros(3, 1, 32, 32, dtype=torch.bool), np.array([[-0.5, 0.0, 0.5], [0, 0, 0]])
    found = change_images(x, background, centres)["enlarged"]
    firsts, lasts = found[:, 0, 0, 0] * 32, found[:, 0, 0, -1] * 32
    assert firsts.tolist() == pytest.approx([0, 4, 8], abs=0.3)  # 24 of 32 pixels
    assert lasts.tolist() == pytest.approx([23, 27, 31], abs=0.3)


def test_centre_and_spread() -> None:
    maps = np.full((3, 4, 4), -1.0)
    maps[0, 0, 3] = 2
    maps[1, 1:3, [0, 3]] = 1
    x, y, spread = centre_and_spread(maps)
    assert x == pytest.approx([0.375, 0, 0])
    assert y == pytest.approx([-0.375, 0, 0])
    assert spread == pytest.approx([0, np.hypot(0.375, 0.125), np.sqrt(2 * (0.375**2 + 0.125**2) / 2)])


class Greenness(nn.Module):
    """Takes an image for the second class by how green it is; the network's own last maps stay."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.stem, self.stages, self.linear = net, net.stem, net.stages, net.linear

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.net(images)  # for its feature maps
        red, green, blue = images.mean((2, 3)).T
        return torch.stack([torch.zeros_like(red), 20 * (green - (red + blue) / 2)], 1)


def test_a_network_that_sees_green_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of("photos", 40)
    network.images[..., 1] //= 2
    net = Greenness(network.net)
    monkeypatch.setattr(type(network), "net", property(lambda _: net))
    monkeypatch.setattr(changes, "upsample", lambda maps, size: np.tile(np.arange(size) < 16.0, (len(maps), size, 1)))
    result = analyzed(changes, network)
    for class_ in ("cat", "dog"):
        assert result.numbers[f"background_green_{class_}"] > result.numbers[f"background_blue_{class_}"]
        assert result.numbers[f"background_green_{class_}_p_holm"] < 0.001
    assert result.numbers["green_less_blue"] - result.numbers["green_less_blue_half_interval"] > 0
    assert "So green favours Dog" in result.words[1]
    rows = {row["change"]: row for row in rows_of("changes_predictions")}
    assert rows["mirrored"]["changed"] == "0"
    assert all(int(row["changed"]) <= int(row["images"]) == 40 for row in rows.values())


def test_what_changes_is_counted(kind: Kind) -> None:
    network = network_of(kind, 30)
    result = analyzed(changes, network)
    assert ("A green background" in " ".join(result.words)) == (kind == "photos")
    with torch.inference_mode():
        images = network.standardize(network.prepared(slice(None)))
        plain, mirrored = (network.net(each).argmax(1).numpy() for each in (images, images.flip(3)))
    (row,) = [row for row in rows_of("changes_predictions") if row["change"] == "mirrored"]
    right = plain == network.labels
    assert int(row["changed"]) == (plain != mirrored).sum()
    assert int(row["made"]) == (right & (mirrored != network.labels)).sum()
    assert int(row["mended"]) == (~right & (mirrored == network.labels)).sum()
