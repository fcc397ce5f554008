import numpy as np
import pytest

from lit_a1.analysis.attention_measures import (
    another_of_the_class,
    central_share,
    mean_with_interval,
    rank_correlations,
)


def test_the_centre_by_hand() -> None:
    maps = np.zeros((4, 8, 8))
    maps[0, 2:6, 2:6] = 3
    maps[1, 0, 0], maps[1, 3, 3], maps[1, 7, 7] = 3, 1, -5
    maps[2] = 0.2
    np.testing.assert_allclose(central_share(maps), [1, 0.25, 0.25, np.nan])


def test_rank_correlations_by_hand() -> None:
    one = np.array([[[1.0, 2], [3, 4]], [[1, 2], [3, 4]], [[1, 1], [1, 1]], [[1, 2], [3, 4]]])
    other = np.array([[[1.0, 10], [100, 1000]], [[4, 3], [2, 1]], [[1, 2], [3, 4]], [[1, 2], [4, 3]]])
    np.testing.assert_allclose(rank_correlations(one, other), [1, -1, np.nan, 1 - 6 * 2 / (4 * 15)])


def test_another_picture_of_the_class() -> None:
    assert another_of_the_class(np.array([0, 1, 0, 2, 1, 0])).tolist() == [2, 4, 5, -1, 1, 0]


def test_a_mean_leaves_out_what_is_not_there() -> None:
    mean, half, count = mean_with_interval(np.array([1, 3, np.nan, 5, 7]))
    assert (mean, count) == (4, 4)
    assert half == pytest.approx(1.96 * np.sqrt(20 / 3) / 2)
    assert mean_with_interval(np.array([2, np.nan]))[0] == 2
    assert np.isnan(mean_with_interval(np.array([np.nan]))[0])
