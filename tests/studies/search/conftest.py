"""Figures take seconds: a test that needs the one of a whole search asks for it."""

import pytest

from lit_a1.studies.search import results


@pytest.fixture
def with_figure() -> None:
    pass


@pytest.fixture(autouse=True)
def without_figure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "with_figure" not in request.fixturenames:
        monkeypatch.setattr(results, "draw", lambda *_: None)
