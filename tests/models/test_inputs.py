"""Standardised images, and the views that a prediction is averaged over."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lit_a1.models.inputs import Standardize, Views, tta_views


@pytest.fixture
def images() -> Tensor:
    return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("views", "count"), [("one", 1), ("flip", 2), ("shift", 5), ("scale", 4)])
def test_the_images_come_first_and_any_mirror_images_last(views: Views, count: int, images: Tensor) -> None:
    before = images.clone()
    found_views = tta_views(images, views)
    assert torch.equal(images, before)
    assert len(found_views) == count
    assert torch.equal(found_views[0], images)
    assert all(len(view) == 5 for view in found_views)
    if views in ("flip", "scale"):
        pairs = zip(found_views[: count // 2], found_views[count // 2 :], strict=True)
        assert all(torch.equal(mirrored, view.flip(3)) for view, mirrored in pairs)


@pytest.mark.parametrize(("side", "step"), [(16, 1), (28, 1), (64, 2)])
def test_shifts_are_by_a_32nd_of_the_side_in_each_direction(side: int, step: int) -> None:
    images = torch.rand(5, 3, side, side, generator=torch.Generator().manual_seed(0))
    inner = slice(4, 12)
    offsets = [(-step, 0), (step, 0), (0, -step), (0, step)]
    for view, (dy, dx) in zip(tta_views(images, "shift")[1:], offsets, strict=True):
        assert torch.equal(view[..., inner, inner], images[..., 4 - dy : 12 - dy, 4 - dx : 12 - dx])


@pytest.mark.parametrize(("side", "smaller"), [(16, 14), (64, 56), (28, 24), (4, 4)])
def test_the_smaller_size_is_seven_eighths(side: int, smaller: int) -> None:
    images = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(1))
    found_views = tta_views(images, "scale")
    assert [view.shape[-2:] for view in found_views] == [(side, side), (smaller, smaller)] * 2
    expected = F.interpolate(images, size=smaller, mode="bilinear", antialias=True)
    torch.testing.assert_close(found_views[1], expected, rtol=1e-4, atol=1e-4)


def test_standardize_maps_to_zero_mean_and_unit_variance() -> None:
    x = torch.tensor([0.2, 0.6]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    y = Standardize((0.2, 0.4), (0.5, 0.1))(x)
    torch.testing.assert_close(y, torch.tensor([0.0, 2.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2))
