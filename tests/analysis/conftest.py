import pytest

from tests.analysis.networks import Kind


@pytest.fixture(params=["photos", "digits"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Both kinds of images, one after the other."""
    return request.param


@pytest.fixture(params=[0, 1], ids=["all_right", "all_wrong"])
def shift(request: pytest.FixtureRequest) -> int:
    """What is added to the labels to make predictions of them."""
    return request.param
