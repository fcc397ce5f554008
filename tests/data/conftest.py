"""Small files that the tests of the data make for themselves, and a server on this machine that has some."""

import http.server
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lit_a1.data.cache import DecodedImages
from tests.conftest import encoded
from tests.data.damaged import picture

Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def encode() -> Encode:
    """encode(7): the bytes of a random JPEG, the same for the same number; also of an array or a Pillow image."""

    def encode(what: int | np.ndarray | Image.Image, form: str = "JPEG", size: tuple[int, int] = (64, 64), **options):
        if isinstance(what, int):
            what = picture(what, size)
        elif isinstance(what, np.ndarray):
            what = Image.fromarray(what)
        return encoded(what, form, **options)

    return encode


@pytest.fixture
def make_files(tmp_path: Path) -> Callable[[str, dict[str, bytes]], Path]:
    """make_files("x.zip", files) makes a zip file of them, make_files("x", files) a folder."""

    def make(name: str, files: dict[str, bytes]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                for entry, data in files.items():
                    archive.writestr(entry, data)
            return path
        for entry, data in files.items():
            (path / entry.rpartition("/")[0]).mkdir(parents=True, exist_ok=True)
            if not entry.endswith("/"):
                (path / entry).write_bytes(data)
        return path

    return make


@pytest.fixture(scope="session")
def images_of() -> Callable[..., DecodedImages]:
    """images_of([3, 4, 3], [0, 1, 0]): a decoded set; equal numbers are equal images."""

    def make(contents: list[int], labels: list[int] | None = None, names: list[str] | None = None) -> DecodedImages:
        kinds = np.random.default_rng(0).integers(0, 256, (max(contents) + 1, 4, 4, 3), dtype=np.uint8)
        names = names or [f"{index}.jpg" for index in range(len(contents))]
        classes = () if labels is None else ("Cat", "Dog", "Fox")[: max(labels) + 1]
        of = None if labels is None else np.array(labels, dtype=np.int64)
        return DecodedImages(kinds[contents], of, tuple(names), classes, {})

    return make


@dataclass
class Server:
    """What a server on this machine has, how it behaves, and what it was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True  # honours Range headers
    breaks: int = 0  # so many of the next answers break off after `sends` bytes
    sends: int = 0
    status: int = 200
    errors: int = 0  # so many of the next answers are `status`
    length: bool = True  # says how long its answers are
    shift: int = 0  # resumes so many bytes away from where it was asked to
    paths: list[str] = field(default_factory=list)
    range_headers: list[str | None] = field(default_factory=list)  # one a request


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            range_header, name = self.headers["Range"], self.path[1:]
            state.paths.append(name)
            state.range_headers.append(range_header)
            if state.errors or name not in state.files:
                state.errors -= bool(state.errors)
                self.send_error(404 if name not in state.files else state.status)
                return
            body = state.files[name]
            start = int(re.fullmatch(r"bytes=(\d+)-", range_header)[1]) if range_header and state.ranges else 0
            if start and start >= len(body):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start + state.shift}-{len(body) - 1}/{len(body)}")
            if state.length:
                self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            end = start + state.sends if state.breaks else None
            state.breaks -= bool(state.breaks)
            self.wfile.write(body[start:end])

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{running.server_port}/"
        yield state
        running.shutdown()
        thread.join()
