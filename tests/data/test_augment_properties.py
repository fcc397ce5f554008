"""Augmentation and resampling over shapes, layouts in memory, and every option at once."""

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from lit_a1.data.augment import Augment
from lit_a1.data.resample import resample, resize, to_float, whole_boxes
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
colours = st.fixed_dictionaries(dict.fromkeys(("brightness", "contrast", "saturation", "grayscale", "trivial"), shares))
sides = st.integers(3, 20)


def laid_out(images: torch.Tensor, layout: str) -> torch.Tensor:
    """The same images, differently in memory."""
    if layout == "a part":
        return torch.cat([images, images], 3)[..., : images.shape[3]]
    return images.contiguous() if layout == "contiguous" else images


layouts = st.sampled_from(["contiguous", "channels-last", "a part"])


@tried(200)
@given(options, colours, st.sampled_from([1, 3]), st.integers(0, 4), sides, sides, st.integers(1, 24), layouts)
def test_augment_whatever_is_asked_for(
    chosen: dict, colour: dict, channels: int, count: int, height: int, width: int, size: int, layout: str
) -> None:
    augment = Augment(**chosen | (colour if channels == 3 else {}))
    images = photos(count, height, width, channels)
    before, labels = images.clone(), torch.arange(count) % 2
    (out, targets), (other, _) = (
        augment(same, labels, torch.arange(count), size=size, epoch=1, generator=generator(5))
        for same in (images, laid_out(images, layout))
    )
    assert torch.equal(images, before)
    assert out.shape == (count, channels, size, size)
    assert out.dtype == torch.float32
    assert count == 0 or out.is_contiguous(memory_format=torch.channels_last)
    assert ((out >= 0) & (out <= 1)).all()
    assert torch.equal(out, other)
    if targets.ndim == 2:
        assert augment.is_mixing
        torch.testing.assert_close(targets.sum(1), torch.ones(count))
        assert (targets >= 0).all()
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
        torch.testing.assert_close(found.double(), exact, rtol=0, atol=2e-6)
