import math

import pytest
import torch
from torch import Tensor

from lit_a1.data.augment import Augment, alternating_flip_mask, flip, resize
from tests.data.helpers import generator, photos

LUMA = torch.tensor([0.299, 0.587, 0.114])
EVERYTHING = {
    **{"flip": "random", "crop_scale": (0.3, 1.0), "shift": 4, "rotation": 10.0, "brightness": 0.3, "contrast": 0.3},
    **{"saturation": 0.3, "grayscale": 0.2, "trivial": 0.5, "cutout": 0.3, "mixup": 0.4, "cutmix": 1.0},
}
ONE_AT_A_TIME = [
    *({"flip": "random"}, {"crop_scale": (0.3, 1.0)}, {"shift": 4}),
    *({"rotation": 20.0}, {"brightness": 0.5}, {"contrast": 0.5}, {"saturation": 0.5}, {"grayscale": 0.5}),
    {"trivial": 0.9},
    *({"cutout": 0.4}, {"cutout": 0.4, "cutout_fill": "zeros", "cutout_ratio": (0.5, 2.0)}),
    *({"cutout": 0.4, "cutout_fill": "noise", "cutout_probability": 0.5}, {"mixup": 0.5}, {"cutmix": 0.5}),
]


def augmented(
    config: dict[str, object], images: Tensor, *, seed: int = 0, size: int | None = None, epoch: int = 0
) -> tuple[Tensor, Tensor]:
    index = torch.arange(len(images))
    augment = Augment(**config)  # type: ignore[arg-type]
    return augment(images, index % 2, index, size=size or images.shape[2], epoch=epoch, generator=generator(seed))


@pytest.mark.parametrize("config", [*ONE_AT_A_TIME, EVERYTHING], ids=str)
def test_the_seed_decides_with_a_fresh_draw_for_each_image(config: dict[str, object]) -> None:
    first, targets = augmented(config, photos(24), seed=3)
    torch.rand(7)  # the global generator has no say
    again, same_targets = augmented(config, photos(24), seed=3)
    assert torch.equal(first, again)
    assert torch.equal(targets, same_targets)
    assert not torch.equal(first, augmented(config, photos(24), seed=4)[0])
    if "mixup" in config or "cutmix" in config:  # an image mixed with itself is itself: its targets tell
        assert len(targets.max(1).values.unique()) > 8
    else:
        distinct = len(augmented(config, photos(1).expand(24, -1, -1, -1))[0].flatten(1).unique(dim=0))
        assert distinct == 2 if config in ({"flip": "random"}, {"grayscale": 0.5}) else distinct > 8


def test_autocast_makes_no_difference() -> None:
    expected, _ = augmented(EVERYTHING, photos())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result, _ = augmented(EVERYTHING, photos())
    assert result.dtype == torch.float32
    assert torch.equal(result, expected)


def test_nothing_on_is_to_float_and_resize() -> None:
    images = photos()
    assert torch.equal(augmented({}, images)[0], images / 255)
    torch.testing.assert_close(augmented({}, images, size=20)[0], resize(images, 20))


def test_shifts_are_whole_uniform_and_centred() -> None:
    """A ramp along each axis tells how far each image moved."""
    count, size, reach = 3_000, 16, 3
    ramp = torch.arange(size, dtype=torch.uint8).expand(size, size)
    images = torch.stack([ramp, ramp.T, ramp]).expand(count, -1, -1, -1)
    result, _ = augmented({"shift": reach}, images)
    middle = result[:, :2, size // 2, size // 2] * 255 - size // 2
    torch.testing.assert_close(middle, middle.round(), atol=1e-4, rtol=0)
    variance = ((2 * reach + 1) ** 2 - 1) / 12
    for moves in middle.unbind(1):
        assert sorted(moves.round().unique().tolist()) == list(range(-reach, reach + 1))
        assert moves.mean().item() == pytest.approx(0, abs=5 * math.sqrt(variance / count))
        assert moves.var().item() == pytest.approx(variance, rel=0.1)
    assert abs(torch.corrcoef(middle.T)[0, 1]) < 0.1


def test_random_flips_are_exact_and_fair() -> None:
    images = photos(1, 4).expand(4_000, -1, -1, -1)
    result, _ = augmented({"flip": "random"}, images)
    flipped = (result == images.flip(3) / 255).flatten(1).all(1)
    kept = (result == images / 255).flatten(1).all(1)
    assert (flipped ^ kept).all()
    assert flipped.float().mean().item() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(4_000))


def test_alternating_flips() -> None:
    index = torch.arange(20_000)
    first = alternating_flip_mask(index, 0)
    assert first.dtype == torch.bool
    assert first.float().mean().item() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(20_000))
    for epoch in range(1, 6):
        assert torch.equal(alternating_flip_mask(index, epoch), first ^ (epoch % 2 == 1))
    # no pattern: neighbours agree half of the time
    for other in (first.roll(1), first.roll(2), first.roll(64)):
        assert (first == other).float().mean().item() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(20_000))
    # they belong to the image
    index = torch.tensor([5, 70_000, 3, 2**31 + 5])
    assert torch.equal(alternating_flip_mask(index.flip(0), 0), alternating_flip_mask(index, 0).flip(0))


@pytest.mark.parametrize("more", [{}, {"shift": 1}], ids=["alone", "resampled"])
def test_augment_flips_alternately(more: dict[str, int]) -> None:
    images = photos(1, 5).expand(64, -1, -1, -1)
    config = {"flip": "alternating", **more}
    even, odd, later = (augmented(config, images, epoch=epoch)[0] for epoch in (0, 1, 2))
    assert torch.equal(even, later)
    assert not torch.equal(even, odd)
    if not more:
        assert torch.equal(even, odd.flip(3))
        mask = alternating_flip_mask(torch.arange(64), 0)
        assert torch.equal(even, flip(images / 255, mask))


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_colour_factors_are_uniform(name: str) -> None:
    """Read off an image of two colours, dark enough that nothing is clamped."""
    dark, light = torch.tensor([[40, 60, 80], [60, 80, 60]]) / 255
    images = (torch.stack([dark, light], 1) * 255).round().byte()[None, :, None].expand(4_000, 3, 2, 2)
    result, _ = augmented({name: 0.4}, images)
    left, right = result[:, :, 0].unbind(2)
    if name == "brightness":
        factor = left[:, 0] / dark[0]
    elif name == "contrast":
        factor = (left - right)[:, 0] / (dark - light)[0]
    else:
        factor = (left[:, 0] - left @ LUMA) / (dark[0] - dark @ LUMA)
    assert factor.min() >= 0.6 - 1e-4
    assert factor.max() <= 1.4 + 1e-4
    assert factor.mean().item() == pytest.approx(1, abs=5 * 0.8 / math.sqrt(12 * 4_000))
    assert factor.var().item() == pytest.approx(0.8**2 / 12, rel=0.1)


def test_grayscale_makes_some_images_grey() -> None:
    images = photos(1, 4).expand(2_000, -1, -1, -1)
    result, _ = augmented({"grayscale": 0.3}, images)
    luma = LUMA.view(3, 1, 1)
    grey = (luma * images[0] / 255).sum(0)
    is_grey = (result - grey).abs().flatten(1).amax(1) < 1e-5
    assert is_grey.float().mean().item() == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 2_000))
    torch.testing.assert_close(result[~is_grey], images[~is_grey] / 255)


def test_mixing_ends_with_its_last_epoch() -> None:
    mixing = {"crop_scale": (0.5, 1.0), "flip": "random", "cutmix": 1.0, "mixup": 0.4}
    images = photos()
    plain, labels = augmented({"crop_scale": (0.5, 1.0), "flip": "random"}, images)
    for epoch in (0, 4, 5, 6):
        result, targets = augmented(mixing | {"mix_until": 5}, images, epoch=epoch)
        assert targets.shape == ((16, 2) if epoch < 5 else (16,))
        assert epoch < 5 or torch.equal(targets, labels)
        assert torch.equal(result, plain) == (epoch >= 5), "all else is drawn as before"
    assert augmented(mixing, images, epoch=1000)[1].shape == (16, 2), "without the setting it never ends"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("flip", "sometimes", "none, random, alternating; got 'sometimes'"),
        ("cutout_fill", "grey", "zeros, mean, noise; got 'grey'"),
        ("crop_scale", (0.0, 1.0), "above 0 and at most 1, the smaller first"),
        ("crop_scale", (0.5, 1.5), "above 0 and at most 1, the smaller first"),
        ("crop_scale", (0.9, 0.5), "the smaller first"),
        ("cutout_ratio", (2.0, 1.0), "the smaller first"),
        ("cutout_ratio", (0.0, 1.0), "above 0"),
        ("cutout_ratio", (1.0, math.inf), "above 0"),
        ("shift", -1, "at least 0; got -1"),
        ("rotation", 200.0, "between 0 and 180"),
        ("brightness", 1.5, "between 0 and 1; got 1.5"),
        ("contrast", -0.1, "between 0 and 1"),
        ("saturation", math.nan, "between 0 and 1; got nan"),
        ("grayscale", 2.0, "between 0 and 1"),
        ("cutout", 1.1, "between 0 and 1"),
        ("cutout_probability", -1.0, "between 0 and 1"),
        ("mixup", -0.2, "at least 0"),
        ("cutmix", math.inf, "finite and at least 0; got inf"),
        ("mix_probability", 1.2, "between 0 and 1"),
        ("mix_until", -1, "at least 0; got -1"),
    ],
)
def test_bad_hyper_parameters(name: str, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be .*{words}"):
        Augment(**{name: value})  # type: ignore[arg-type]
