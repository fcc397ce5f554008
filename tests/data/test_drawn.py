import numpy as np
import pytest

from lit_a1.data.sources.drawn import draw_cats_and_dogs, draw_digits

BOTH = pytest.mark.parametrize(("draw", "classes"), [(draw_cats_and_dogs, 2), (draw_digits, 10)])


@BOTH
def test_shapes_and_labels_and_that_the_seed_decides_and_the_number_does_not(draw, classes):
    shape = (64, 64, 3) if classes == 2 else (28, 28)
    images, labels = draw(23, seed=0)
    assert images.shape == (23, *shape)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert labels.tolist() == [index % classes for index in range(23)]
    assert draw(0, 0)[0].shape == (0, *shape)
    few, many, others = (draw(n, seed)[0] for n, seed in ((10, 1), (30, 1), (10, 2)))
    np.testing.assert_array_equal(few, many[:10])
    assert (few != others).reshape(10, -1).any(axis=1).all()


@pytest.mark.parametrize(("draw", "count", "spread"), [(draw_cats_and_dogs, 60, 8), (draw_digits, 500, 30)])
def test_no_two_are_alike_and_none_is_blank(draw, count, spread):
    images, _ = draw(count, seed=3)
    assert len({image.tobytes() for image in images}) == count
    assert images.std(axis=(1, 2)).reshape(count, -1).max(axis=1).min() > spread


def test_colours_do_not_tell_cats_from_dogs():
    images, labels = draw_cats_and_dogs(400, seed=0)
    means = images.mean(axis=(1, 2))
    cats, dogs = means[labels == 0], means[labels == 1]
    assert np.abs(cats.mean(axis=0) - dogs.mean(axis=0)).max() < 0.5 * means.std(axis=0).min()


def test_digits_lie_as_mnists_do():
    images, _ = draw_digits(2000, seed=4)
    ink = images.astype(np.float64)
    assert ink.max(axis=(1, 2)).min() > 240
    assert 25 < ink.mean() < 36  # MNIST's is 33
    place = np.arange(28) - 13.5
    for axis in (1, 2):
        centre = (ink.sum(axis=axis) @ place) / ink.sum(axis=(1, 2))
        assert np.abs(centre).max() <= 0.51  # as near as whole pixels allow
        inked = (ink > 0).any(axis=axis)
        extent = 28 - inked.argmax(axis=1) - inked[:, ::-1].argmax(axis=1)
        assert extent.max() <= 20  # a digit that went over the edge would span all 28


def test_shapes_tell_the_digits_apart_and_nothing_simpler_does():
    images, labels = draw_digits(1500, seed=0)
    others, other_labels = draw_digits(500, seed=1)
    amount = [images[labels == digit].mean() for digit in range(10)]
    by_amount = np.abs(others.mean(axis=(1, 2))[:, None] - amount).argmin(axis=1)
    assert np.mean(by_amount == other_labels) < 0.4
    flat, flat_others = (array.reshape(len(array), -1) / 255.0 for array in (images, others))
    nearest = (((flat**2).sum(axis=1) - 2 * flat_others @ flat.T).argmin(axis=1)) % 10
    assert np.mean(nearest == other_labels) > 0.8


def test_photos_have_any_size():
    assert draw_cats_and_dogs(1, 0, size=28)[0].shape == (1, 28, 28, 3)
