import contextlib
import hashlib
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from lit_a1.data.errors import DataError
from lit_a1.data.sources import download
from lit_a1.data.sources.download import ATTEMPTS, BLOCK

BODY = np.random.default_rng(0).bytes(3 * BLOCK + 1234)
SHA = hashlib.sha256(BODY).hexdigest()
SIZE = len(BODY)
fetch = partial(download.fetch, sha256=SHA, size=SIZE)


@pytest.fixture
def url(server, monkeypatch) -> str:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the waits between attempts
    server.files, server.sends = {"photos.zip": BODY}, BLOCK
    return f"{server.url}photos.zip"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "photos.zip"


def left_files(path) -> list[str]:
    """The files beside `path` and itself, but for the lock."""
    return [each.name for each in path.parent.iterdir() if each.suffix != ".lock"]


def test_a_whole_file_is_fetched_once_also_by_several_runs(server, url, path):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: fetch(url, path), range(4)))
    assert found == [path] * 4
    assert path.read_bytes() == BODY
    assert left_files(path) == [path.name]
    assert len(server.paths) == 1
    path.write_bytes(b"short")
    fetch(url, path)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("part", "server_does", "range_headers"),
    [
        pytest.param(BODY[:1000], {}, ["bytes=1000-"], id="an earlier download is resumed"),
        pytest.param(BODY[:1000], {"ranges": False}, ["bytes=1000-"], id="ranges ignored: all is sent again"),
        pytest.param(BODY, {}, [], id="a complete part needs no request"),
        pytest.param(BODY + b"more", {}, [f"bytes={SIZE + 4}-", None], id="a part too long is thrown away"),
        pytest.param(b"x" * 1000, {}, ["bytes=1000-", None], id="a part of another file is thrown away"),
        pytest.param(BODY[:1000], {"shift": 5}, ["bytes=1000-", None], id="resumed elsewhere"),
        pytest.param(None, {"length": False}, [None], id="a length that is not told"),
        pytest.param(None, {"status": 503, "errors": 2}, [None] * 3, id="busy for a while"),
        pytest.param(None, {"breaks": 3}, [None, *(f"bytes={n * BLOCK}-" for n in (1, 2, 3))], id="broken off"),
    ],
)
def test_however_it_goes_the_file_is_whole(server, url, path, part, server_does, range_headers):
    vars(server).update(server_does)
    if part is not None:
        path.parent.mkdir()
        path.with_name("photos.zip.part").write_bytes(part)
    fetch(url, path)
    assert path.read_bytes() == BODY
    assert left_files(path) == [path.name]
    assert server.range_headers == range_headers


def test_breaking_off_again_and_again_is_given_up(server, url, path):
    server.breaks, server.sends = 100, 10
    with pytest.raises(DataError, match=rf"broke off {ATTEMPTS} times in a row .* try again later"):
        fetch(url, path)
    assert len(server.paths) == ATTEMPTS
    assert path.with_name("photos.zip.part").read_bytes() == BODY[: 10 * ATTEMPTS]
    assert not path.exists()


@pytest.mark.parametrize(("breaks", "sends"), [(0, BLOCK), (1, BLOCK), (10**9, 2 * BLOCK)])
def test_a_wrong_checksum(server, url, path, breaks, sends):
    server.breaks, server.sends = breaks, sends
    with pytest.raises(DataError, match=f"is not the file expected: its SHA-256 is {SHA}, not {'0' * 64}"):
        fetch(url, path, sha256="0" * 64)
    assert left_files(path) == []


@pytest.fixture
def no_pause(monkeypatch):
    """No pause before another try: a server that does not answer is given up."""
    monkeypatch.setattr(download.time, "sleep", lambda seconds: pytest.fail(f"waits {seconds} seconds"))


def test_no_server(path, no_pause):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/x.zip"
    with pytest.raises(DataError, match=r"cannot be reached \(.*refused.*\); it can be put at .*photos.zip by hand"):
        fetch(address, path)


def test_looking_up_a_name_for_ever(path, monkeypatch, no_pause):
    done = threading.Event()

    def stuck(*_: object, **__: object) -> None:
        done.wait()
        raise OSError("too late")

    monkeypatch.setattr(download.urllib.request, "urlopen", stuck)
    with pytest.raises(DataError, match=r"no answer in 0.1 seconds"):
        fetch("http://nowhere.invalid/x.zip", path, timeout=0.1)
    done.set()


def test_a_place_that_cannot_be_written(url, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        fetch(url, tmp_path / "file" / "x.zip")


HEAD = b"HTTP/1.1 200 OK\r\n"
LIES = {  # what a server says, byte by byte, to whatever it is asked, before it closes, resets or stalls; the error
    "it stalls after a part": (HEAD + b"Content-Length: 12\r\n\r\nabc", "broke off .*timed out|no answer"),
    "it stalls in its header": (HEAD + b"Content-Le", "timed out|no answer"),
    "it resets": (HEAD + b"Content-Length: 12\r\n\r\nabc", "broke off .*(reset|after 3 of 12 bytes)"),
    "it resets at once": (b"", "cannot be reached"),
    "it promises more": (HEAD + b"Content-Length: 12\r\n\r\nabc", "broke off .*after 3 of 12 bytes"),
    "it promises another": (HEAD + b"Content-Length: 99\r\n\r\nabc", "it has 99 bytes, not 12"),
    "it promises less": (HEAD + b"Content-Length: 3\r\n\r\nabcdefghijkl", "it has 3 bytes, not 12"),
    "it promises no number": (HEAD + b"Content-Length: many\r\n\r\nabc", "it has 3 bytes, not 12"),
    "it promises less than nothing": (HEAD + b"Content-Length: -5\r\n\r\nabc", "it has 3 bytes, not 12"),
    "it promises nearly nothing": (HEAD + b"Content-Length: \xb2\r\n\r\nabc", "it has 3 bytes, not 12"),
    "it sends without end": (HEAD + b"\r\n" + b"x" * (40 * BLOCK), "it has [0-9,]{5,7} bytes or more, not 12"),
    "it sends a page": (HEAD + b"Content-Type: text/html\r\n\r\n<html>Log in</html>", "bytes or more, not 12"),
    "it sends nothing": (HEAD + b"Content-Length: 0\r\n\r\n", "it has 0 bytes, not 12"),
    "its chunks are broken": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc", "broke off"),
    "its chunks end early": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\nabc", "broke off"),
    "it speaks no HTTP": (b"220 mail.example ESMTP\r\n", "cannot be reached"),
    "its header never ends": (HEAD + b"X: y\r\n" * 200, "cannot be reached"),
    "a line of it never ends": (HEAD + b"X: " + b"y" * 99_999, "cannot be reached"),
    "it sends elsewhere": (b"HTTP/1.1 302 Found\r\nLocation: http://[x\r\n\r\n", "cannot be reached"),
    "it sends to a file": (b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", "HTTP 302"),
    "it sends nowhere": (b"HTTP/1.1 301 Moved\r\n\r\n", "HTTP 301"),
    "it sends to no name": (
        b"HTTP/1.1 302 Found\r\nLocation: http://" + b"x" * 99 + b"..y/\r\n\r\n",
        "cannot be reached",
    ),
    "it wants a password": (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "HTTP 401"),
}


@pytest.mark.parametrize("what", LIES)
def test_whatever_a_server_does_it_ends_in_a_sentence_and_leaves_no_file(what, path, monkeypatch):
    (content, words), connections = LIES[what], []
    monkeypatch.setattr(time, "sleep", lambda seconds: None)

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connections.append(connection)
            with contextlib.suppress(OSError):  # the other side may have gone
                connection.recv(9999)
                connection.sendall(content)
            if "resets" in what:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if "stalls" not in what:
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/x.zip"
        with pytest.raises(DataError, match=words) as caught:
            fetch(address, path, size=12, timeout=0.05 if "stalls" in what else 10)
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in connections:
        connection.close()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert not path.exists()
    part = path.with_name(path.name + ".part")
    assert not part.exists() or part.stat().st_size < 2 * BLOCK
