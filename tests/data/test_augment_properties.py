"""Augmentation and resampling over shapes, layouts in memory, and every option at once."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from lit_a1.data.augment import Augment
from lit_a1.data.resample import flip, resample, resize, rotate, shift, to_float, whole_boxes
from tests.data.helpers import generator, photos
from tests.properties import tried

shares, pairs = st.floats(0, 1), st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)).map(sorted).map(tuple)
options = st.fixed_dictionaries(
    {
        "flip": st.sampled_from(["none", "random", "alternating"]),
        "crop_scale": pairs,
        "shift": st.integers(0, 3),
        "rotation": st.sampled_from([0.0, 10.0, 180.0]),
        "cutout": shares,
        "cutout_ratio": pairs,
        "cutout_fill": st.sampled_from(["zeros", "mean", "noise"]),
        "mixup": st.sampled_from([0.0, 1e-4, 1.0, 1e4]),
        "cutmix": st.sampled_from([0.0, 1e-4, 1.0, 1e4]),
        "mix_until": st.integers(0, 2),
        **dict.fromkeys(("cutout_probability", "mix_probability"), shares),
    }
)
colours = st.fixed_dictionaries(dict.fromkeys(("brightness", "contrast", "saturation", "grayscale"), shares))
sides = st.integers(3, 20)


def laid_out(images: torch.Tensor, layout: str) -> torch.Tensor:
    """The same images, differently in memory."""
    if layout == "a part":
        return torch.cat([images, images], 3)[..., : images.shape[3]]
    return images.contiguous() if layout == "contiguous" else images


layouts = st.sampled_from(["contiguous", "channels-last", "a part"])


@pytest.mark.long
@tried(400)
@given(options, colours, st.sampled_from([1, 3]), st.integers(1, 4), sides, sides, st.integers(1, 24), layouts)
def test_augment_whatever_is_asked_for(
    chosen: dict, colour: dict, channels: int, count: int, height: int, width: int, size: int, layout: str
) -> None:
    augment = Augment(**chosen | (colour if channels == 3 else {}))
    images = photos(count, height, width, channels)
    before, labels = images.clone(), torch.arange(count) % 2
    outcomes = []
    for given_images in (images, laid_out(images, layout)):
        about = {"size": size, "epoch": 1, "generator": generator(5)}
        outcomes.append(augment(given_images, labels, torch.arange(count), **about))
    (out, targets), (other, _) = outcomes
    assert torch.equal(images, before)
    assert out.shape == (count, channels, size, size)
    assert out.dtype == torch.float32
    assert out.isfinite().all()
    assert out.min() >= 0
    assert out.max() <= 1
    torch.testing.assert_close(out, other, rtol=0, atol=1e-5)
    if targets.ndim == 2:
        assert augment.is_mixing
        torch.testing.assert_close(targets.sum(1), torch.ones(count))
        assert targets.min() >= 0
    else:
        assert torch.equal(targets, labels)


@tried(40)
@given(st.integers(1, 3), st.integers(1, 4), sides, sides, st.integers(1, 40), layouts)
def test_a_resized_image_is_that_of_float64(
    count: int, channels: int, height: int, width: int, size: int, layout: str
) -> None:
    images = laid_out(photos(count, height, width, channels), layout)
    exact = F.interpolate(images.double() / 255, (size, size), mode="bilinear", antialias=True)
    for found in (resize(images, size), resample(to_float(images), whole_boxes(images), size)):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-5)


@tried(40)
@given(st.integers(1, 4), sides, st.integers(-2, 2), st.integers(-2, 2), layouts, st.integers(0, 15))
def test_what_is_moved_there_and_back(count: int, side: int, dy: int, dx: int, layout: str, mask: int) -> None:
    images = laid_out(photos(count, side), layout)
    moved = shift(images, dy, dx)
    assert moved.dtype == images.dtype
    inside = shift(moved, -dy, -dx)[..., 2:-2, 2:-2]
    assert torch.equal(inside, images[..., 2:-2, 2:-2])
    mirrored = torch.tensor([bool(mask >> place & 1) for place in range(count)])
    assert torch.equal(flip(flip(images, mirrored), mirrored), images)
    floats = to_float(images)
    torch.testing.assert_close(rotate(floats, torch.zeros(count)), floats, rtol=0, atol=1e-5)
    turned = rotate(floats, torch.full((count,), 180.0))
    torch.testing.assert_close(turned, floats.flip(2, 3), rtol=0, atol=1e-3)
