import hashlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lit_a1.data.errors import DataError
from lit_a1.data.sources import download
from lit_a1.data.sources.download import ATTEMPTS, BLOCK, fetch

BODY = np.random.default_rng(0).bytes(3 * BLOCK + 1234)
SHA = hashlib.sha256(BODY).hexdigest()
SIZE = len(BODY)


@pytest.fixture
def url(server, monkeypatch) -> str:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the waits between attempts
    server.files, server.sends = {"photos.zip": BODY}, BLOCK
    return f"{server.url}photos.zip"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "photos.zip"


def left(path) -> list[str]:
    """The files beside `path` and itself, but for the lock."""
    return [each.name for each in path.parent.iterdir() if each.suffix != ".lock"]


def test_a_whole_file_is_fetched_once_also_by_several_runs(server, url, path):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: fetch(url, path, sha256=SHA.upper(), size=SIZE), range(4)))
    assert found == [path] * 4
    assert path.read_bytes() == BODY
    assert left(path) == [path.name]
    for size in (SIZE, None):
        fetch(url, path, size=size)
    assert len(server.asked) == 1
    path.write_bytes(b"short")
    fetch(url, path, size=SIZE)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("part", "server_does", "size", "wanted"),
    [
        pytest.param(BODY[:1000], {}, None, ["bytes=1000-"], id="an earlier download is resumed"),
        pytest.param(BODY[:1000], {"ranges": False}, SIZE, ["bytes=1000-"], id="ranges ignored: all is sent again"),
        pytest.param(BODY, {}, SIZE, [], id="a complete part needs no request"),
        pytest.param(BODY + b"more", {}, None, None, id="a part too long is thrown away"),
        pytest.param(BODY + b"more", {}, SIZE, None, id="a part too long is thrown away, the size known"),
        pytest.param(b"x" * 1000, {}, None, ["bytes=1000-", None], id="a part of another file is thrown away"),
        pytest.param(BODY[:1000], {"shift": 5}, None, None, id="resumed elsewhere"),
        pytest.param(None, {"length": False}, None, [None], id="a length that is not told"),
        pytest.param(None, {"status": 503, "errors": 2}, None, [None] * 3, id="busy for a while"),
        pytest.param(
            None, {"breaks": 3}, SIZE, [None, *(f"bytes={n * BLOCK}-" for n in (1, 2, 3))], id="broken off, taken up"
        ),
    ],
)
def test_however_it_goes_the_file_is_whole(server, url, path, part, server_does, size, wanted):
    vars(server).update(server_does)
    if part is not None:
        path.parent.mkdir()
        path.with_name("photos.zip.part").write_bytes(part)
    fetch(url, path, sha256=SHA, size=size)
    assert path.read_bytes() == BODY
    assert left(path) == [path.name]
    assert wanted is None or server.wanted == wanted


def test_breaking_off_again_and_again_is_given_up(server, url, path):
    server.breaks, server.sends = 100, 10
    with pytest.raises(DataError, match=rf"broke off {ATTEMPTS} times in a row .* try again later"):
        fetch(url, path)
    assert len(server.asked) == ATTEMPTS
    assert path.with_name("photos.zip.part").read_bytes() == BODY[: 10 * ATTEMPTS]
    assert not path.exists()


@pytest.mark.parametrize(("breaks", "sends"), [(0, BLOCK), (1, BLOCK), (10**9, 2 * BLOCK)])
def test_a_wrong_checksum(server, url, path, breaks, sends):
    server.breaks, server.sends = breaks, sends
    with pytest.raises(DataError, match=f"is not the file expected: its SHA-256 is {SHA}, not {'0' * 64}"):
        fetch(url, path, sha256="0" * 64)
    assert left(path) == []


def test_a_wrong_size_and_a_server_that_refuses(server, url, path):
    for server.length in (True, False):
        with pytest.raises(DataError, match=f"it has {SIZE:,} bytes, not 7"):
            fetch(url, path, size=7)
        assert not path.exists()
    server.status, server.errors, server.asked = 404, 100, []
    with pytest.raises(DataError, match="cannot be fetched: HTTP 404"):
        fetch(url, path)
    assert len(server.asked) == 1


@pytest.fixture
def at_once(monkeypatch):
    """No pause before another try: a server that does not answer is given up."""
    monkeypatch.setattr(download.time, "sleep", lambda seconds: pytest.fail(f"waits {seconds} seconds"))


def test_no_server_and_one_that_says_nothing(path, at_once):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/x.zip"
    with pytest.raises(DataError, match=r"cannot be reached \(.*refused.*\); it can be put at .*photos.zip by hand"):
        fetch(address, path)
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


def test_a_place_that_cannot_be_written(url, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        fetch(url, tmp_path / "file" / "x.zip")
