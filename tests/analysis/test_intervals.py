import numpy as np
import pytest
from scipy import stats

from lit_a1.analysis.intervals import error_bars, mean_with_interval


def test_error_bars_end_where_wilsons_interval_does() -> None:
    # that of 1 in 10 is 1.79 % to 40.42 %, that of 0 in 40 ends at 1.96^2 / (40 + 1.96^2)
    expected = [[0.1 - 0.0179, 0], [0.4042 - 0.1, 0.0876]]
    np.testing.assert_allclose(error_bars(np.array([0.1, 0.0]), np.array([10, 40])), expected, atol=5e-5)


def test_a_mean_leaves_out_what_is_not_there() -> None:
    mean, half, count = mean_with_interval(np.array([1, 3, np.nan, 5, 7]))
    assert (mean, count) == (4, 4)
    assert half == pytest.approx(stats.t.ppf(0.975, 3) * np.sqrt(20 / 3) / 2)
    assert mean_with_interval(np.array([2, np.nan]))[0] == 2
    assert np.isnan(mean_with_interval(np.array([np.nan]))[0])
