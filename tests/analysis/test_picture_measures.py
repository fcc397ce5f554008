import numpy as np
import pytest

from lit_a1.analysis.picture_measures import LEVELS, foreground_share, measure, otsu


def test_brightness_and_contrast_of_a_colour() -> None:
    pictures = np.zeros((2, 4, 4, 3), np.uint8)
    pictures[0] = (255, 0, 0)
    pictures[1, :2] = 255  # half white
    found = measure(pictures)
    assert found.brightness == pytest.approx([0.299, 0.5])
    assert found.contrast == pytest.approx([0, 0.5], abs=1e-9)


def test_sharpness_is_that_of_the_laplacian() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (3, 7, 6, 1)).astype(np.uint8)
    grey = pictures[..., 0] / 255
    expected = [
        np.var([
            grey[n, y - 1, x] + grey[n, y + 1, x] + grey[n, y, x - 1] + grey[n, y, x + 1] - 4 * grey[n, y, x]
            for y in range(1, 6) for x in range(1, 5)
        ])
        for n in range(3)
    ]  # fmt: skip
    assert measure(pictures).sharpness == pytest.approx(expected)


def test_a_ramp_is_not_sharp_and_a_step_is() -> None:
    ramp = np.tile(np.arange(0, 160, 10, dtype=np.uint8), (16, 1))[None, ..., None]
    step = np.where(np.arange(16) < 8, 0, 150).astype(np.uint8) * np.ones((1, 16, 1), np.uint8)
    sharp = [measure(each).sharpness[0] for each in (ramp, step[..., None])]
    assert sharp[0] == pytest.approx(0, abs=1e-12)
    assert sharp[1] > 0.01


@pytest.mark.parametrize("background", [(0.0, 0.0, 0.0), (0.9, 0.1, 0.4)])
def test_foreground_is_what_differs_from_the_border(background: tuple[float, ...]) -> None:
    picture = np.tile(np.array(background), (1, 10, 10, 1))
    picture[0, 2:6, 3:8] = (0.2, 0.9, 0.2)  # 20 of 100 pixels
    picture[0, 8, 8] += 0.02  # a trace of noise stays background
    assert foreground_share(picture) == pytest.approx([0.2])


def test_a_picture_of_one_colour_has_no_foreground() -> None:
    assert foreground_share(np.full((2, 5, 5, 1), 0.3)).tolist() == [0, 0]


def test_more_pictures_than_are_measured_at_once() -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (501, 5, 5, 3)).astype(np.uint8)
    alone = measure(pictures[500:])
    assert [values[-1] for values in measure(pictures)] == pytest.approx([values[0] for values in alone])


def test_otsu_by_its_definition() -> None:
    rng = np.random.default_rng(2)
    levels = np.clip(np.concatenate([rng.normal(15, 4, 60), rng.normal(45, 6, 40)]), 0, LEVELS - 1).astype(np.int64)
    between = []
    for k in range(LEVELS):
        low, high = levels[levels <= k], levels[levels > k]
        share = len(low) / 100
        between.append(share * (1 - share) * (low.mean() - high.mean()) ** 2 if len(low) and len(high) else 0)
    assert otsu(levels[None]).tolist() == [int(np.argmax(between))]
