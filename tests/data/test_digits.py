import numpy as np
import pytest

from lit_a1.data.sources.digits import draw_digits


def test_shapes_and_labels():
    pictures, labels = draw_digits(23, seed=0)
    assert pictures.shape == (23, 28, 28)
    assert pictures.dtype == np.uint8
    assert labels.dtype == np.int64
    assert labels.tolist() == [*range(10), *range(10), 0, 1, 2]
    assert draw_digits(0, 0)[0].shape == (0, 28, 28)


def test_the_seed_decides_and_the_number_does_not():
    few, many, others = (draw_digits(n, seed)[0] for n, seed in ((10, 1), (30, 1), (10, 2)))
    np.testing.assert_array_equal(few, many[:10])
    assert (few != others).any(axis=(1, 2)).all()


def test_no_two_are_alike_and_none_is_blank():
    pictures, _ = draw_digits(500, seed=3)
    assert len({picture.tobytes() for picture in pictures}) == 500
    assert pictures.max(axis=(1, 2)).min() > 240


def test_they_lie_as_mnists_do():
    pictures, _ = draw_digits(2000, seed=4)
    ink = pictures.astype(np.float64)
    assert 25 < ink.mean() < 36  # MNIST's is 33
    place = np.arange(28) - 13.5
    for axis in (1, 2):
        centre = (ink.sum(axis=axis) @ place) / ink.sum(axis=(1, 2))
        assert np.abs(centre).max() <= 0.51  # as near as whole pixels allow
        inked = (ink > 0).any(axis=axis)
        extent = 28 - inked.argmax(axis=1) - inked[:, ::-1].argmax(axis=1)
        assert extent.max() <= 20  # a digit that went over the edge would span all 28


def test_shapes_tell_the_digits_apart_and_nothing_simpler_does():
    pictures, labels = draw_digits(1500, seed=0)
    others, wanted = draw_digits(500, seed=1)
    amount = [pictures[labels == digit].mean() for digit in range(10)]
    by_amount = np.abs(others.mean(axis=(1, 2))[:, None] - amount).argmin(axis=1)
    assert np.mean(by_amount == wanted) < 0.4
    flat, flat_others = (array.reshape(len(array), -1) / 255.0 for array in (pictures, others))
    nearest = (((flat**2).sum(axis=1) - 2 * flat_others @ flat.T).argmin(axis=1)) % 10
    assert np.mean(nearest == wanted) > 0.8


@pytest.mark.parametrize("arguments", [(-1, 0), (1, -1)])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="n and seed must be 0 or above; got"):
        draw_digits(*arguments)
