import hashlib
import http.server
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest

from lit_a1.data.errors import DataError
from lit_a1.data.sources import download
from lit_a1.data.sources.download import ATTEMPTS, BLOCK, fetch

BODY = np.random.default_rng(0).bytes(3 * BLOCK + 1234)
SHA = hashlib.sha256(BODY).hexdigest()


@dataclass
class Server:
    """A server on this machine, and how it behaves."""

    url: str = ""
    body: bytes = BODY
    ranges: bool = True
    """Whether it honours Range headers."""
    breaks: int = 0
    """How many of the next answers break off after `sends` bytes."""
    sends: int = BLOCK
    status: int = 200
    errors: int = 0
    """How many of the next answers are `status`."""
    length: bool = True
    shift: int = 0
    """Resumes so many bytes away from where it was asked to."""
    asked: list[str | None] = field(default_factory=list)
    """The Range header of each request."""


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    state = Server()
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the waits between attempts

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            state.asked.append(wanted)
            if state.errors:
                state.errors -= 1
                self.send_error(state.status)
                return
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and state.ranges else 0
            if start and start >= len(state.body):
                self.send_error(416)
                return
            part = state.body[start:]
            self.send_response(206 if start else 200)
            if start:
                first = start + state.shift
                self.send_header("Content-Range", f"bytes {first}-{len(state.body) - 1}/{len(state.body)}")
            if state.length:
                self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            if state.breaks:
                state.breaks -= 1
                part = part[: state.sends]
            self.wfile.write(part)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{running.server_port}/photos.zip"
        yield state
        running.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "photos.zip"


def left(path) -> list[str]:
    """The files beside `path` and itself, but for the lock."""
    return [each.name for each in path.parent.iterdir() if each.suffix != ".lock"]


def only(path) -> bool:
    return left(path) == [path.name]


def test_a_whole_file(server, path):
    assert fetch(server.url, path, sha256=SHA.upper(), size=len(BODY)) == path
    assert path.read_bytes() == BODY
    assert only(path)


def test_what_is_there_is_not_fetched_again(server, path):
    for _ in range(2):
        fetch(server.url, path, size=len(BODY))
        fetch(server.url, path)
    assert len(server.asked) == 1
    path.write_bytes(b"short")
    fetch(server.url, path, size=len(BODY))
    assert path.read_bytes() == BODY


def test_several_runs_at_once_fetch_it_once(server, path):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: fetch(server.url, path, sha256=SHA), range(4)))
    assert found == [path] * 4
    assert path.read_bytes() == BODY
    assert len(server.asked) == 1


def part_of(path, data: bytes) -> None:
    path.parent.mkdir()
    path.with_name("photos.zip.part").write_bytes(data)


def test_an_earlier_download_is_resumed(server, path):
    part_of(path, BODY[:1000])
    fetch(server.url, path, sha256=SHA)
    assert server.asked == ["bytes=1000-"]
    assert path.read_bytes() == BODY
    assert only(path)


def test_a_server_that_ignores_ranges_sends_it_all_again(server, path):
    server.ranges = False
    part_of(path, BODY[:1000])
    fetch(server.url, path, sha256=SHA, size=len(BODY))
    assert server.asked == ["bytes=1000-"]
    assert path.read_bytes() == BODY


def test_a_complete_part_needs_no_request(server, path):
    part_of(path, BODY)
    fetch(server.url, path, sha256=SHA, size=len(BODY))
    assert server.asked == []
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("size", [None, len(BODY)])
def test_a_part_that_is_too_long_is_thrown_away(server, path, size):
    part_of(path, BODY + b"more")
    fetch(server.url, path, sha256=SHA, size=size)
    assert path.read_bytes() == BODY


def test_a_part_of_another_file_is_thrown_away(server, path):
    part_of(path, b"x" * 1000)
    fetch(server.url, path, sha256=SHA)
    assert server.asked == ["bytes=1000-", None]
    assert path.read_bytes() == BODY


def test_a_transfer_that_breaks_off_is_taken_up_again(server, path):
    server.breaks = 3
    fetch(server.url, path, sha256=SHA, size=len(BODY))
    assert server.asked == [None, f"bytes={BLOCK}-", f"bytes={2 * BLOCK}-", f"bytes={3 * BLOCK}-"]
    assert path.read_bytes() == BODY


def test_breaking_off_again_and_again_is_given_up(server, path):
    server.breaks, server.sends = 100, 10
    with pytest.raises(DataError, match=rf"broke off {ATTEMPTS} times in a row .* try again later"):
        fetch(server.url, path)
    assert len(server.asked) == ATTEMPTS
    assert path.with_name("photos.zip.part").read_bytes() == BODY[: 10 * ATTEMPTS]
    assert not path.exists()


def test_a_server_that_resumes_elsewhere(server, path):
    part_of(path, BODY[:1000])
    server.shift = 5
    fetch(server.url, path, sha256=SHA)
    assert path.read_bytes() == BODY


def test_a_length_that_is_not_told(server, path):
    server.length = False
    fetch(server.url, path, sha256=SHA)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("breaks", [0, 1])
def test_a_wrong_checksum(server, path, breaks):
    server.breaks = breaks
    with pytest.raises(DataError, match=f"is not the file expected: its SHA-256 is {SHA}, not {'0' * 64}"):
        fetch(server.url, path, sha256="0" * 64)
    assert left(path) == []


def test_a_wrong_checksum_from_a_server_that_always_breaks_off_once_ends(server, path):
    server.breaks = 10**9
    server.sends = 2 * BLOCK
    with pytest.raises(DataError, match="is not the file expected"):
        fetch(server.url, path, sha256="0" * 64)


def test_a_wrong_size_is_told_before_the_transfer(server, path):
    with pytest.raises(DataError, match=f"it has {len(BODY):,} bytes, not 7"):
        fetch(server.url, path, size=7)
    assert not path.exists()
    server.length = False
    with pytest.raises(DataError, match=f"it has {len(BODY):,} bytes, not 7"):
        fetch(server.url, path, size=7)


def test_a_server_that_refuses(server, path):
    server.status, server.errors = 404, 100
    with pytest.raises(DataError, match="cannot be fetched: HTTP 404"):
        fetch(server.url, path)
    assert len(server.asked) == 1


def test_a_server_that_is_busy_for_a_while(server, path):
    server.status, server.errors = 503, 2
    fetch(server.url, path, sha256=SHA)
    assert path.read_bytes() == BODY


@pytest.fixture
def at_once(monkeypatch):
    """No pause before another try: a server that does not answer is given up."""
    monkeypatch.setattr(download.time, "sleep", lambda seconds: pytest.fail(f"waits {seconds} seconds"))


def test_no_server(path, at_once):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/x.zip"
    with pytest.raises(DataError, match=r"cannot be reached \(.*refused.*\); it can be put at .*photos.zip by hand"):
        fetch(address, path)


def test_a_server_that_says_nothing(path, at_once):
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DataError, match="cannot be reached"):
        fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/x.zip", path, timeout=0.2)


def test_looking_up_a_name_for_ever(path, monkeypatch, at_once):
    done = threading.Event()

    def stuck(*_: object, **__: object) -> None:
        done.wait()
        raise OSError("too late")

    monkeypatch.setattr(download.urllib.request, "urlopen", stuck)
    with pytest.raises(DataError, match=r"no answer in 0.1 seconds"):
        fetch("http://nowhere.invalid/x.zip", path, timeout=0.1)
    done.set()


def test_a_place_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        fetch(server.url, tmp_path / "file" / "x.zip")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "x.zip"])
def test_other_addresses(url, path):
    with pytest.raises(ValueError, match="url must start with http"):
        fetch(url, path)
