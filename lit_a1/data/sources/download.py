"""Downloads a file over HTTP: resumes broken transfers, verifies the file, and moves it in place when complete."""

import hashlib
import http.client
import logging
import re
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import Future
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from lit_a1.data.errors import DataError
from lit_a1.data.files import move

ATTEMPTS = 5  # transfers in a row that bring less than a block
BLOCK = 1 << 18  # bytes

log = logging.getLogger(__name__)


def fetch(url: str, path: Path, *, sha256: str, size: int, timeout: float = 10.0) -> Path:
    """Downloads `url` to `path`, unless it is there already; returns `path`.

    The bytes go to `path` + `.part`. A later call resumes this file if the server allows it. The file is renamed once
    it has the right size and checksum. A server that does not answer is given up at once, so a machine without a
    network waits little longer than `timeout` seconds. A transfer that breaks off is resumed a few times. If several
    runs start at once, one downloads under a lock, and the others wait.

    Raises:
        DataError: the server can't be reached, refuses, breaks off again and again or sends something else than
            `size` bytes with the checksum `sha256`, or the disk can't be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        if _file_size(path) != size:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_name(f".{path.name}.lock")):
                if _file_size(path) != size:  # another run may have fetched it just now
                    _complete(part, url, sha256, size, timeout)
                    move(part, path)
    except OSError as error:
        raise DataError(f"{part} cannot be written: {error.strerror}.") from error
    return path


class _BrokenOffError(Exception):
    """A transfer that is worth resuming."""


class _UnreachableError(_BrokenOffError):
    """No answer at all: worth another try only if there were answers before."""


def _complete(part: Path, url: str, sha256: str, size: int, timeout: float) -> None:
    answered = restarted = False
    failures = 0
    while True:
        before = _file_size(part)
        try:
            _transfer(url, part, size, timeout)
        except _BrokenOffError as error:
            if not answered and isinstance(error, _UnreachableError):
                by_hand = f"it can be put at {part.with_suffix('')} by hand"
                raise DataError(f"{url} cannot be reached ({error}); {by_hand}.") from error
            answered = True
            failures = 0 if _file_size(part) >= before + BLOCK else failures + 1
            if failures == ATTEMPTS:
                raise DataError(f"{url} broke off {ATTEMPTS} times in a row ({error}); try again later.") from error
            log.info("%s broke off (%s); resuming.", url, error)
            time.sleep(0.1 * 2**failures)
            continue
        if (mismatch := _find_mismatch(part, sha256, size)) is None:
            return
        part.unlink()
        if before == 0 or restarted:
            raise DataError(f"{url} is not the file expected: {mismatch}.")
        log.info("The rest of an earlier download did not match (%s); starting again.", mismatch)
        restarted = True


def _transfer(url: str, part: Path, size: int, timeout: float) -> None:
    """Appends the missing bytes to `part`, or writes it from the start if the server can't resume."""
    offset = _file_size(part)
    if offset == size:
        return
    headers = {"User-Agent": "lit_a1"} | ({"Range": f"bytes={offset}-"} if offset else {})
    try:
        response = _open_url(urllib.request.Request(url, headers=headers), timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if offset and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()
            raise _BrokenOffError("nothing to resume") from error
        if error.code >= http.client.INTERNAL_SERVER_ERROR:
            raise _BrokenOffError(f"HTTP {error.code} {error.reason}") from error
        raise DataError(f"{url} cannot be fetched: HTTP {error.code} {error.reason}.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: from the address of a redirect
        raise _UnreachableError(" ".join(str(getattr(error, "reason", None) or error).split())) from error
    with response:
        resumed = re.match(rf"bytes {offset}-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if response.status != http.client.PARTIAL_CONTENT:
            offset, total = 0, response.length or 0
        elif resumed is not None:
            total = int(resumed[1])
        else:
            part.unlink()
            raise _BrokenOffError("it resumed at another place than asked")
        if total not in (0, size):
            raise DataError(f"{url} is not the file expected: it has {total:,} bytes, not {size:,}.")
        title = f"Fetching {part.stem}"
        bar = tqdm(desc=title, total=size, initial=offset, unit="B", unit_scale=True, disable=None)
        with bar, part.open("ab" if offset else "wb") as file:
            while block := _read_block(response):
                file.write(block)
                bar.update(len(block))
                if file.tell() > size:  # the response may be endless
                    break
    if _file_size(part) < total:
        raise _BrokenOffError(f"after {_file_size(part):,} of {total:,} bytes")


def _open_url(request: urllib.request.Request, timeout: float) -> http.client.HTTPResponse:
    """Opens the request in its own thread: looking up a name and trying many addresses have no time-out."""
    answer: Future[http.client.HTTPResponse] = Future()

    def ask() -> None:
        try:
            answer.set_result(urllib.request.urlopen(request, timeout=timeout))
        except Exception as error:  # passed on to the caller
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()  # one of an executor's would have to end before the program can
    try:
        return answer.result(timeout + 1)
    except TimeoutError:
        raise TimeoutError(f"no answer in {timeout:g} seconds") from None


def _read_block(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(str(error) or type(error).__name__) from error


def _file_size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _find_mismatch(part: Path, sha256: str, size: int) -> str | None:
    """How the file differs from the expected one, if it does."""
    if (actual := _file_size(part)) != size:
        return f"it has {actual:,} bytes{' or more' if actual > size else ''}, not {size:,}"
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return None if found == sha256 else f"its SHA-256 is {found}, not {sha256}"
