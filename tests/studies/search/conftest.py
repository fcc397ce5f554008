import pytest

from lit_a1.studies.search import results


@pytest.fixture(autouse=True)
def without_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take seconds: a test that needs the one of a whole search sets it back."""
    monkeypatch.setattr(results, "draw", lambda *_: None)
