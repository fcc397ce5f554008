import numpy as np
import pytest

from lit_a1.data.sources.drawn import draw_cats_and_dogs


def test_shapes_and_labels():
    pictures, labels = draw_cats_and_dogs(7, seed=0)
    assert pictures.shape == (7, 64, 64, 3)
    assert pictures.dtype == np.uint8
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert draw_cats_and_dogs(1, 0, size=28)[0].shape == (1, 28, 28, 3)
    assert draw_cats_and_dogs(0, 0)[0].shape == (0, 64, 64, 3)


def test_the_seed_decides_and_the_number_does_not():
    few, many, others = (draw_cats_and_dogs(n, seed)[0] for n, seed in ((4, 1), (8, 1), (4, 2)))
    np.testing.assert_array_equal(few, many[:4])
    assert (few != others).any(axis=(1, 2, 3)).all()


def test_no_two_are_alike_and_none_is_blank():
    pictures, _ = draw_cats_and_dogs(60, seed=3)
    assert len({picture.tobytes() for picture in pictures}) == 60
    assert pictures.std(axis=(1, 2)).max(axis=1).min() > 8


def test_colours_do_not_tell_cats_from_dogs():
    pictures, labels = draw_cats_and_dogs(400, seed=0)
    means = pictures.mean(axis=(1, 2))
    cats, dogs = means[labels == 0], means[labels == 1]
    assert np.abs(cats.mean(axis=0) - dogs.mean(axis=0)).max() < 0.5 * means.std(axis=0).min()


def test_bad_arguments():
    for arguments in ((-1, 0), (1, -1), (1, 0, 7)):
        with pytest.raises(ValueError, match="n and seed must be 0 or above, and size 8 or above; got"):
            draw_cats_and_dogs(*arguments)
