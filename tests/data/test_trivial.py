import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as theirs

from lit_a1.data.resample import to_float
from lit_a1.data.trivial import CHANGES, trivial_augment
from tests.data.helpers import generator, photos

PIXELWISE: dict[str, Callable[[Tensor, float], Tensor]] = {  # of bytes (3, S, S), by torchvision
    "none": lambda image, _: image,
    "brightness": lambda image, u: theirs.adjust_brightness(image, 1 + 0.99 * u),
    "contrast": lambda image, u: theirs.adjust_contrast(image, 1 + 0.99 * u),
    "saturation": lambda image, u: theirs.adjust_saturation(image, 1 + 0.99 * u),
    "sharpen": lambda image, u: theirs.adjust_sharpness(image, 1 + 0.99 * u),
    "posterize": lambda image, u: theirs.posterize(image, 8 - round(6 * abs(u))),
    "solarize": lambda image, u: theirs.solarize(image, 255 * (1 - abs(u))),
    "stretch_contrast": lambda image, _: theirs.autocontrast(image),
    "equalize": lambda image, _: theirs.equalize(image),
}
STRENGTHS = torch.tensor([-1.0, -0.6, -0.25, 0.0, 0.25, 0.7, 1.0])
MOVES = {  # angle, translation in pixels of 28, shear in degrees
    "shear_x": lambda u: (0.0, [0, 0], [math.degrees(math.atan(0.99 * u)), 0.0]),
    "shift_x": lambda u: (0.0, [-round(4 * u), 0], [0.0, 0.0]),
    "shift_y": lambda u: (0.0, [0, -round(4 * u)], [0.0, 0.0]),
    "rotate": lambda u: (-135.0 * u, [0, 0], [0.0, 0.0]),
}


@pytest.mark.parametrize("way", PIXELWISE)
def test_values_change_as_torchvision_changes_them(way: str) -> None:
    """Exactly, or within two levels of 255 where torchvision rounds to bytes."""
    images = photos(len(STRENGTHS))
    images[1] = 77  # of one colour
    found = CHANGES[way](to_float(images), STRENGTHS)
    for changed, image, strength in zip(found, images, STRENGTHS.tolist(), strict=True):
        expected = PIXELWISE[way](image, strength)
        atol = 1e-3 if way in ("none", "posterize", "equalize") else 2
        torch.testing.assert_close(255 * changed, expected.float(), atol=atol, rtol=0)


@pytest.mark.parametrize("way", MOVES)
@pytest.mark.parametrize("strength", [-1.0, -0.5, 0.5])
def test_images_move_as_torchvision_moves_them(way: str, strength: float) -> None:
    """In the middle, for torchvision fills the outside with black."""
    image = to_float(photos(1, 28))
    angle, move, shear = MOVES[way](strength)
    expected = theirs.affine(image, angle, move, 1.0, shear, InterpolationMode.BILINEAR)
    found = CHANGES[way](image, torch.tensor([strength]))
    middle = slice(10, 18)
    torch.testing.assert_close(found[..., middle, middle], expected[..., middle, middle], atol=1e-4, rtol=0)


def test_shears_are_each_others_transpose() -> None:
    images = to_float(photos(7))
    upright = CHANGES["shear_x"](images, STRENGTHS)
    torch.testing.assert_close(CHANGES["shear_y"](images.mT, STRENGTHS), upright.mT)


def test_each_image_takes_one_way_of_equal_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number, put in place of the change, tells; so does the strength, uniform in [-1, 1]."""
    strengths = []

    def mark(number: int, images: Tensor, strength: Tensor) -> Tensor:
        strengths.append(strength)
        return torch.full_like(images, number)

    for number, way in enumerate(CHANGES):
        monkeypatch.setitem(CHANGES, way, lambda images, strength, number=number: mark(number, images, strength))
    count = 14 * 400
    taken = trivial_augment(torch.rand(count, 3, 1, 1), generator())[:, 0, 0, 0].long().bincount(minlength=14)
    assert ((taken - 400).abs() < 4 * (400 * 13 / 14) ** 0.5).all()
    drawn = torch.cat(strengths)
    assert drawn.histc(4, -1, 1).sub(count / 4).abs().max() < 4 * (count * 3 / 16) ** 0.5
    assert (drawn.min() < -0.99) & (drawn.max() > 0.99)


def test_only_a_share_takes_part() -> None:
    images = torch.rand(2000, 3, 8, 8)
    changed = (trivial_augment(images, generator(), 0.25) != images).flatten(1).any(1)
    assert 0.25 * 10 / 14 - 0.04 < changed.float().mean() < 0.25 * 13 / 14 + 0.04
    assert torch.equal(trivial_augment(images, generator(), 0.0), images)
