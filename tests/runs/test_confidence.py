import pytest

from lit_a1.runs.confidence import wilson


def test_wilsons_interval() -> None:
    """As R's prop.test(100, 2000, correct = FALSE) has it; and where nothing, or everything, was wrong."""
    assert wilson(0.05, 2000) == pytest.approx((0.04128, 0.06044), abs=1e-5)
    for low, high in (wilson(0, 50), [1 - end for end in reversed(wilson(1, 50))]):
        assert low == pytest.approx(0, abs=1e-12)
        assert high == pytest.approx(1.96**2 / (50 + 1.96**2))


def test_rounding_stays_within_what_a_share_can_be() -> None:
    for count in range(1, 3000, 7):
        assert wilson(0.0, count)[0] >= 0
        assert wilson(1.0, count)[1] <= 1
