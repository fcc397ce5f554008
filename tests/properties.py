"""What the property-based tests share."""

from hypothesis import HealthCheck, settings


def tried(times: int) -> settings:
    """Settings of a test that is tried with so many examples, always the same."""
    return settings(
        max_examples=times,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
