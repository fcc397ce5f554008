import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import beta
from torch import Tensor

from lit_a1.data.mix import cutout, mix, sample_beta
from tests.data.helpers import generator


def covered(result: Tensor, fill: float = 0.0) -> Tensor:
    """(N, S, S): which pixels a patch covers, on images that nowhere have the fill's value."""
    mask = result == fill
    assert torch.equal(mask.all(1), mask.any(1))
    return mask.all(1)


def test_cutout_covers_one_clipped_square() -> None:
    images = torch.ones(2_000, 3, 20, 20)
    mask = covered(cutout(images, 0.4, generator(), fill="zeros"))
    rows, columns = mask.any(2), mask.any(1)
    assert torch.equal(mask, rows[:, :, None] & columns[:, None])
    for part in (rows, columns):
        sides = part.sum(1)
        # a centre k places from the border loses part of the 8: start = centre - 4 in [-4, 15]
        expected = torch.tensor([min(c + 4, 20) - max(c - 4, 0) for c in range(20)]).float()
        assert set(sides.tolist()) == set(expected.int().tolist())
        spread = expected.std().item() / math.sqrt(2_000)
        assert sides.float().mean().item() == pytest.approx(expected.mean().item(), abs=5 * spread)
        edges = (part.int().diff(dim=1) != 0).sum(1)
        assert (edges <= 2).all()  # in one piece


def test_cutout_of_other_ratios_keeps_its_area() -> None:
    images = torch.ones(2_000, 1, 100, 100)
    mask = covered(cutout(images, 0.2, generator(), ratio=(0.4, 3.0), fill="zeros"))
    rows, columns = mask.any(2), mask.any(1)
    inside = ~(rows[:, 0] | rows[:, -1] | columns[:, 0] | columns[:, -1])
    area = mask[inside].sum((1, 2))
    assert ((area / 400 - 1).abs() < 0.06).all()
    ratio = columns[inside].sum(1) / rows[inside].sum(1)
    assert 0.35 < ratio.min() < 0.45
    assert 2.6 < ratio.max() < 3.3


def test_cutout_fills() -> None:
    images = torch.rand(200, 3, 16, 16, generator=generator(1))
    hole = covered(cutout(images + 1, 0.5, generator(), fill="zeros"))[:, None].expand_as(images)
    average = cutout(images, 0.5, generator(), fill="mean")
    noise = cutout(images, 0.5, generator(), fill="noise")
    for result in (average, noise):
        assert torch.equal(result[~hole], images[~hole])
    torch.testing.assert_close(average[hole], images.mean((2, 3), keepdim=True).expand_as(images)[hole])
    assert noise[hole].mean().item() == pytest.approx(0.5, abs=0.02)
    assert noise[hole].var().item() == pytest.approx(1 / 12, rel=0.05)
    assert not torch.equal(noise[hole], images[hole])


def test_probabilities() -> None:
    mask = covered(cutout(torch.ones(2_000, 1, 8, 8), 0.5, generator(), fill="zeros", probability=0.25))
    covered_share = mask.flatten(1).any(1).float().mean().item()
    assert covered_share == pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / 2_000))
    images, labels = torch.zeros(2_000, 1, 4, 4), torch.arange(2_000)
    _, targets = mix(images, labels, num_classes=2_000, generator=generator(), mixup=5.0, probability=0.3)
    mixed_share = (targets.max(1).values < 1).float().mean().item()
    assert mixed_share == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 2_000))


@pytest.mark.parametrize("alpha", [0.01, 0.2, 0.5, 1.0, 3.0, 1e4])
def test_beta_has_its_distribution(alpha: float) -> None:
    draws, shares = sample_beta(torch.full((100_000,), alpha), generator()), np.linspace(0.001, 0.999, 51)
    assert draws.dtype == torch.float32
    assert ((draws >= 0) & (draws <= 1)).all()
    assert draws.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)
    places = beta.ppf(shares, alpha, alpha)
    inside = (places > 1e-6) & (places < 1 - 1e-6)  # float32 has no finer steps near 1
    found = (draws.numpy()[:, None] <= places).mean(0)
    margin = 5 * np.sqrt(shares * (1 - shares) / len(draws))
    assert inside.any()
    assert (np.abs(found - shares) < margin)[inside].all()


def test_beta_at_the_ends_of_its_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = torch.tensor([[0.0, 0.0, 0.0, 1 - 2**-24], [0.0, 0.25, 0.5, 0.25]])
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: draws)
    assert sample_beta(torch.full((4,), 0.2), generator()).tolist() == pytest.approx([1, 0, 0, 0.5], abs=1e-6)


@pytest.mark.parametrize("config", [{"mixup": 0.7}, {"cutmix": 0.7}, {"mixup": 0.7, "cutmix": 0.7}], ids=str)
def test_targets_tell_what_is_in_the_pixels(config: dict[str, float]) -> None:
    """Images of one colour a class: the pixels' mean is the target, whatever was mixed."""
    labels = torch.arange(300) % 3
    images = F.one_hot(labels, 3).float()[:, :, None, None].expand(-1, -1, 24, 24)
    mixed, targets = mix(images, labels, num_classes=3, generator=generator(), **config)
    torch.testing.assert_close(targets.sum(1), torch.ones(300))
    torch.testing.assert_close(mixed.mean((2, 3)), targets, atol=1e-5, rtol=0)
    is_mixed = targets.max(1).values < 1
    constant = (mixed == mixed[:, :, :1, :1]).flatten(1).all(1)
    is_cut = is_mixed & ~constant
    assert ((mixed[is_cut] == 0) | (mixed[is_cut] == 1)).all()  # each pixel from one image
    if "cutmix" not in config:
        assert constant.all()
    elif "mixup" not in config:
        assert torch.equal(is_cut, is_mixed)
    else:
        assert is_cut.sum() > 0.25 * is_mixed.sum()
    assert is_mixed.float().mean() > 0.4


def test_cutmix_pastes_the_same_place_of_the_partner() -> None:
    """Every pixel of a mixed image is the pixel there of one image of the batch, the patch a rectangle."""
    images = torch.rand(40, 3, 12, 12, generator=generator(1))
    mixed, _ = mix(images, torch.zeros(40).long(), num_classes=2, generator=generator(), cutmix=1.0)
    foreign = (mixed != images).any(1)
    assert foreign.any()
    assert torch.equal(foreign, foreign.any(2)[:, :, None] & foreign.any(1)[:, None])
    for result, patch in zip(mixed, foreign, strict=True):
        donors = (images == result).all(1) | ~patch
        assert donors.flatten(1).all(1).any()


def test_cutmix_area_is_one_minus_lambda() -> None:
    """With an enormous alpha lambda is one half, and so is every patch that is not clipped."""
    labels = torch.arange(500)
    images = labels.view(-1, 1, 1, 1).expand(-1, 1, 100, 100).float()
    mixed, _ = mix(images, labels, num_classes=500, generator=generator(), cutmix=1e5)
    foreign = (mixed != images)[:, 0]
    rows, columns = foreign.any(2), foreign.any(1)
    interior = foreign[~(rows[:, 0] | rows[:, -1] | columns[:, 0] | columns[:, -1])]
    assert len(interior) > 20
    share = interior.float().mean((1, 2))
    torch.testing.assert_close(share, torch.full_like(share, 0.5), atol=0.02, rtol=0)


def test_mixup_lambda_is_beta() -> None:
    labels = torch.arange(8_000)
    _, targets = mix(torch.zeros(8_000, 1, 1, 1), labels % 2, num_classes=2, generator=generator(), mixup=0.5)
    share = targets[torch.arange(8_000), labels % 2]
    share = share[share < 1]  # partners of the other class
    assert len(share) == pytest.approx(4_000, abs=200)
    assert share.mean().item() == pytest.approx(0.5, abs=0.03)
    assert share.var().item() == pytest.approx(1 / 8, rel=0.06)
