import math

import pytest

from lit_a1.runs.statistics import ALPHA, difference_interval, holm, mcnemar, mean_interval, wilson


def test_wilsons_interval() -> None:
    """As R's prop.test(100, 2000, correct = FALSE) has it; and where nothing, or everything, was wrong."""
    assert wilson(0.05, 2000) == pytest.approx((0.04128, 0.06044), abs=1e-5)
    for low, high in (wilson(0, 50), [1 - end for end in reversed(wilson(1, 50))]):
        assert low == pytest.approx(0, abs=1e-12)
        assert high == pytest.approx(1.96**2 / (50 + 1.96**2))
    for count in range(1, 3000, 7):  # rounding stays within what a share can be
        assert wilson(0.0, count)[0] >= 0
        assert wilson(1.0, count)[1] <= 1


def images(both: int, b: int, c: int, neither: int) -> tuple[list[bool], list[bool]]:
    first = [True] * (both + b) + [False] * (c + neither)
    return first, [True] * both + [False] * b + [True] * c + [False] * neither


def test_mcnemar() -> None:
    """1 or fewer heads of 6 tosses: (1 + 6) / 64, and twice that on both sides."""
    for both, neither in ((0, 0), (1000, 30)):
        for b, c, p in ((1, 5, 2 * 7 / 64), (5, 1, 2 * 7 / 64), (3, 3, 1), (0, 0, 1)):
            assert mcnemar(*images(both, b, c, neither)) == (b, c, pytest.approx(p))
    b, c = 4000, 4300  # the normal approximation, with the correction for continuity
    z = (c - b - 1) / math.sqrt(b + c)
    assert mcnemar(*images(0, b, c, 0)).p == pytest.approx(math.erfc(z / math.sqrt(2)), rel=3e-3)
    with pytest.raises(ValueError, match="shorter"):
        mcnemar([True], [])


def test_intervals_of_a_mean_and_of_a_difference() -> None:
    half = 2.77645 * math.sqrt(2.5 / 5)  # Student's t of 4 degrees of freedom, from the printed tables
    assert mean_interval([1, 2, 3, 4, 5]) == pytest.approx((3 - half, 3 + half), rel=1e-5)
    assert mean_interval([1]) is None
    assert mean_interval([2, 2, 2]) is None
    half = 4.30265 * math.sqrt(2)  # of two pairs with the same variance: 2 degrees of freedom
    assert difference_interval([1, 3], [5, 3]) == pytest.approx((2 - half, 2 + half), rel=1e-5)
    assert difference_interval([1, 1], [3, 5]) == pytest.approx((3 - 12.7062, 3 + 12.7062), rel=1e-5)
    assert difference_interval([1], [3, 5]) is None
    assert difference_interval([1, 1], [3, 3]) is None


def test_holms_correction_by_hand() -> None:
    # 4 x 0.01, 3 x 0.02, then no less than that: 2 x 0.025 = 0.05, 1 x 0.9
    assert holm([0.9, 0.02, 0.01, 0.025]) == pytest.approx([0.9, 0.06, 0.04, 0.06])
    assert holm([0.5, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    # it gives up at the first that stands
    for last, hold in ((0.04, [True, True, True]), (0.06, [True, True, False])):
        assert [p <= ALPHA for p in holm([0.02, 0.001, last])] == hold
    assert [p <= ALPHA for p in holm([0.03, 0.001, 0.04])] == [False, True, False]
