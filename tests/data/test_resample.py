import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lit_a1.data.resample import flip, random_boxes, resample, resize, rotate, shift, to_float
from tests.data.helpers import generator, photos


def test_to_float() -> None:
    images = photos()
    assert torch.equal(to_float(images), images.float() / 255)
    assert torch.equal(to_float(images / 255), images / 255)
    assert torch.equal(resize(images, 32), images / 255)
    with pytest.raises(TypeError, match=r"torch\.int64"):
        to_float(images.long())


@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (2, -3), (-1, 5), (40, -40)])
def test_shift_repeats_the_edge(dy: int, dx: int) -> None:
    images = photos()
    pad = 40
    padded = F.pad(images.float(), [pad] * 4, mode="replicate")
    expected = padded[:, :, pad - dy : pad - dy + 32, pad - dx : pad - dx + 32]
    assert torch.equal(shift(images, dy, dx), expected.byte())
    assert torch.equal(shift(images / 255, dy, dx), expected / 255)


def test_flip_of_some() -> None:
    images = photos(4)
    result = flip(images, torch.tensor([True, False, False, True]))
    assert torch.equal(result[[1, 2]], images[[1, 2]])
    assert torch.equal(result[[0, 3]], images[[0, 3]].flip(3))


def test_rotate() -> None:
    """Right angles are exact, and a ramp turns by the angle in pixels, not in shares of the sides."""
    images = photos(4)
    result = rotate(images, torch.tensor([0.0, 90.0, 180.0, -90.0]))
    for turned, image, quarters in zip(result, images / 255, (0, 1, 2, -1), strict=True):
        torch.testing.assert_close(turned, image.rot90(quarters, (1, 2)), atol=1e-4, rtol=0)
    images = to_float(photos(2, 24, 40))
    torch.testing.assert_close(
        rotate(images, torch.tensor([180.0, -180.0])), images.rot90(2, (2, 3)), atol=1e-4, rtol=0
    )
    ramp = torch.arange(40.0).expand(1, 1, 24, 40)
    turned = rotate(ramp, torch.tensor([5.0]))[0, 0, :, 20]
    torch.testing.assert_close(turned.diff()[8:16], torch.full((8,), -math.sin(math.radians(5))), atol=1e-3, rtol=0)


def pillow_crop(image: Tensor, box: list[float], size: int) -> Tensor:
    """Pillow's own crop and antialiased resize of float channels."""
    top, left, height, width = box
    corners = (left, top, left + width, top + height)
    channels = [Image.fromarray(channel.numpy(), mode=None) for channel in image]
    bilinear = Image.Resampling.BILINEAR
    return torch.stack([torch.from_numpy(np.array(c.resize((size, size), bilinear, corners))) for c in channels])


@pytest.mark.parametrize("size", [10, 20, 32, 48])
def test_crops_are_those_of_pillow(size: int) -> None:
    images = to_float(photos(20, 32, 40))
    boxes = random_boxes(20, 32, 40, scale=(0.1, 1.0), generator=generator())
    result = resample(images, boxes, size)
    expected = torch.stack([pillow_crop(p, b, size) for p, b in zip(images, boxes.tolist(), strict=True)])
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)


def test_mirrored_crops() -> None:
    images = to_float(photos(6))
    boxes = random_boxes(6, 32, 32, scale=(0.2, 0.9), generator=generator())
    mirrored = torch.tensor([True, False] * 3)
    for size in (20, 40):
        expected = flip(resample(images, boxes, size), mirrored)
        torch.testing.assert_close(resample(images, boxes, size, mirrored), expected, atol=1e-5, rtol=0)


def test_boxes_outside_the_image() -> None:
    images = to_float(photos(5))
    moves = [(0, 0), (3, -4), (-7, 2), (32, 32), (-32, 5)]
    boxes = torch.tensor([[dy, dx, 32.0, 32.0] for dy, dx in moves])
    result = resample(images, boxes, 32)
    for moved, image, (dy, dx) in zip(result, images, moves, strict=True):
        padded = np.pad(image.numpy(), [(0, 0), (32, 32), (32, 32)], mode="edge")
        assert torch.equal(moved, torch.from_numpy(padded[:, 32 + dy : 64 + dy, 32 + dx : 64 + dx]))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 64)])
def test_boxes_keep_their_promises(height: int, width: int) -> None:
    scale, ratio = (0.2, 0.9), (3 / 4, 4 / 3)
    boxes = random_boxes(20_000, height, width, scale=scale, generator=generator())
    top, left, tall, wide = boxes.unbind(1)
    for start, extent, side in ((top, tall, height), (left, wide, width)):
        assert (start >= 0).all()
        assert (start + extent <= side + 1e-4).all()
        assert_uniform((start / (side - extent))[extent < side - 1], 0, 1)
    area = tall * wide / (height * width)
    assert_uniform(area, *scale)
    every_ratio_fits = area < 0.37
    assert_uniform((wide / tall)[every_ratio_fits].log(), *map(math.log, ratio))
    independent = torch.stack([top / (height - tall), left / (width - wide), area])[:, area < 0.5]
    assert (torch.corrcoef(independent) - torch.eye(3)).abs().max() < 0.05


def assert_uniform(draws: Tensor, low: float, high: float) -> None:
    """Limits, and mean and variance within five standard errors."""
    width, root = high - low, math.sqrt(len(draws))
    assert draws.min() >= low - 1e-4
    assert draws.max() <= high + 1e-4
    assert draws.mean().item() == pytest.approx((low + high) / 2, abs=5 * width / (math.sqrt(12) * root))
    assert draws.var().item() == pytest.approx(width**2 / 12, abs=5 * width**2 / (math.sqrt(180) * root))


def test_a_crop_of_everything_is_the_image() -> None:
    boxes = random_boxes(5, 32, 32, scale=(1.0, 1.0), generator=generator())
    assert torch.equal(boxes, torch.tensor([[0.0, 0.0, 32.0, 32.0]] * 5))
    images = to_float(photos(5))
    assert torch.equal(resample(images, boxes, 32), images)
