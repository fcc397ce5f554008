import signal
import socket
from collections.abc import Callable

import pytest

from lit_a1.commands import demo


def test_without_gradio_a_sentence_names_the_extra(
    refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    assert refusal("demo") == 'error: the page needs Gradio, which is not installed: pip install ".[demo]"'


def test_a_port_that_is_taken_and_a_host_that_is_none_are_refused(
    refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: True)
    before = signal.getsignal(signal.SIGTERM)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"no page can be served at 127.0.0.1, port {port}" in refusal("demo", "--port", port)
    assert "--port must be from 0 to 65535; got 99999" in refusal("demo", "--port", "99999")
    assert "at 203.0.113.1" in refusal("demo", "--host", "203.0.113.1")  # of documentation, no machine's
    assert signal.getsignal(signal.SIGTERM) is before
