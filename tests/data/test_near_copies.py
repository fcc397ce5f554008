import io

import numpy as np
import pytest
from PIL import Image

from lit_a1.data.near_copies import near_copies
from lit_a1.data.sources.drawn import draw_cats_and_dogs
from tests.conftest import encoded


def made_again(image: np.ndarray, resampling: Image.Resampling, quality: int) -> np.ndarray:
    """Enlarged, compressed, and shrunk by another filter."""
    data = encoded(Image.fromarray(image).resize((250, 250), Image.Resampling.BICUBIC), "JPEG", quality=quality)
    return np.array(Image.open(io.BytesIO(data)).resize(image.shape[1::-1], resampling))


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    return draw_cats_and_dogs(1030, 0, 64)[0]


@pytest.mark.parametrize("resampling", [Image.Resampling.BILINEAR, Image.Resampling.NEAREST])
def test_a_photo_in_another_size_and_compression_is_found_and_no_other(photos, resampling):
    copies = np.stack([made_again(image, resampling, quality=50) for image in photos[1010:1025]])
    assert not (copies == photos[1010:1025]).all((1, 2, 3)).any()
    found = near_copies(photos, copies)
    assert np.flatnonzero(found).tolist() == list(range(1010, 1025))


def test_sizes_may_differ(photos):
    small = np.stack([np.array(Image.fromarray(image).resize((40, 40))) for image in photos[:5]])
    assert near_copies(small, photos[3:6]).tolist() == [False, False, False, True, True]


def test_a_photo_moved_by_a_pixel_is_found(photos):
    moved = np.roll(photos[:20], (1, 1), (1, 2))
    assert near_copies(photos[:40], moved)[:20].mean() > 0.9


def test_photos_of_one_colour_are_copies_of_nothing(photos):
    blank = np.full((2, 64, 64, 3), 200, np.uint8)
    assert not near_copies(blank, np.concatenate([blank, photos[:3]])).any()
    assert near_copies(photos[:0], blank).shape == (0,)
    assert near_copies(blank, photos[:0]).tolist() == [False, False]
