"""The page in a browser, as people use it: by the mouse, at two widths, and without a network."""

import http.client
import itertools
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lit_a1.data.sources.drawn import draw_cats_and_dogs
from tests.conftest import REPOSITORY

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright, of the extra demo-test")
pytest.importorskip("gradio", reason="needs Gradio, of the extra demo")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDE, PHONE = (
    {"viewport": {"width": 1400, "height": 900}},
    {"viewport": {"width": 390, "height": 844}, "has_touch": True},
)
PATIENCE = 120_000  # milliseconds, on a busy machine

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome"),
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a served page, whose process has no runs, no data and no way to the internet."""
    folder, uploads = (tmp_path_factory.mktemp(name) for name in ("served", "uploads"))
    unreachable = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    env = {name: value for name, value in os.environ.items() if not name.startswith("LIT_A1_")} | unreachable
    env |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(uploads))
    command = [sys.executable, str(REPOSITORY / "main.py"), "demo", "--port", "0", "--no_browser"]
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("The page: http://127.0.0.1:"), line
            yield line.split()[2]
        finally:
            process.terminate()
    assert [*folder.iterdir(), *uploads.iterdir()] == []  # nothing is left behind


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(params=[WIDE, PHONE], ids=["1400", "390"])
def page(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[Any]:
    """The opened page, which must ask for nothing from elsewhere, nor be wider than the screen."""
    context = browser.new_context(**request.param)
    opened, asked = context.new_page(), []
    opened.set_default_timeout(PATIENCE)
    opened.on("request", lambda sent: asked.append(sent.url))
    opened.goto(address)
    opened.wait_for_selector("canvas")
    yield opened
    assert opened.evaluate("document.documentElement.scrollWidth") <= request.param["viewport"]["width"]
    assert asked
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    context.close()


def draw(page: Any, *points: tuple[float, float]) -> None:
    """Draws a line on the canvas with the mouse; points are in shares of the sides."""
    box = page.locator("canvas").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def drop(page: Any, tab: str, place: int, count: int) -> None:
    """Drops drawn animals, a plain picture and a file that is no picture into a tab."""
    page.get_by_role("tab", name=tab).click()
    for k, image in enumerate(draw_cats_and_dogs(count, 7, 128)[0]):
        Image.fromarray(image).save(f"drawn{k}.jpg")
    Image.new("RGB", (80, 60), "teal").save("plain.png")
    Path("none.jpg").write_text("nothing")
    page.locator("input[type=file]").nth(place).set_input_files([*map(str, Path().glob("*.jpg")), "plain.png"])


def until_seen(page: Any, action: Callable[[], None], *selectors: str, attempts: int = 4) -> None:
    """Repeats an action until its effects are seen: on a busy machine the page may still move, or miss an event."""
    for attempt in range(attempts):
        action()
        try:
            for selector in selectors:
                page.wait_for_selector(selector, timeout=PATIENCE / attempts)
            return
        except playwright.TimeoutError:
            if attempt == attempts - 1:
                raise


def test_digits_are_read_as_they_are_drawn(page: Any) -> None:
    clear = page.get_by_role("button", name="Clear").click
    circle = [(0.5 + 0.22 * math.sin(a / 4), 0.5 - 0.32 * math.cos(a / 4)) for a in range(26)]
    for digit, points in (("1", [(0.5, 0.15), (0.5, 0.85)]), ("0", circle)):
        answers = [f'[data-network={network}] h3 strong:text-is("{digit}")' for network in ("MLP", "CNN")]
        until_seen(page, lambda points=points: (clear(), draw(page, *points)), *answers)
        until_seen(page, clear, "text=Draw a digit on the black square")
    draw(page, (0.5, 0.15), (0.5, 0.85))
    page.wait_for_selector("text=stage by stage")
    before = page.locator("img.seen").first.get_attribute("src")
    page.locator("input[type=number]").nth(0).fill("5")
    page.wait_for_function("before => document.querySelector('img.seen').src != before", arg=before)


def test_dropped_photos_get_their_answers(page: Any) -> None:
    drop(page, "Photos", 0, 2)
    page.wait_for_selector('[data-photo="drawn0.jpg"] h3 strong:text-is("Cat")')
    page.wait_for_selector('[data-photo="drawn1.jpg"] h3 strong:text-is("Dog")')
    page.wait_for_selector('[data-photo="plain.png"] .warning:has-text("unlike the training photos")')
    assert page.locator(".error").inner_text().startswith("none.jpg can't be read: it is not an image")


def test_two_networks_are_compared(page: Any) -> None:
    page.get_by_role("tab", name="Compare").click()
    drop(page, "Compare", -1, 2)
    page.wait_for_selector(".compared")
    assert page.locator(".compared tbody tr").count() == 3
    assert page.locator(".compared th").all_inner_texts()[1:] == ["catsdogs_best (published)", "catsdogs (published)"]


def test_learning_is_seen_and_can_be_stopped(page: Any) -> None:
    page.get_by_role("tab", name="Learn").click()
    page.get_by_role("button", name="Train").click()
    seen = set()
    for _ in itertools.takewhile(lambda _: len(seen) < 3, range(600)):
        page.wait_for_selector("text=The three networks differ")
        seen.add(page.locator(".hint >> visible=true").inner_text())
        page.wait_for_timeout(50)
    assert len(seen) == 3
    page.get_by_role("button", name="Stop").click()
    page.wait_for_timeout(500)
    assert page.locator(".panel").count() == 3


def test_large_uploads_and_foreign_names_are_refused(address: str) -> None:
    host, port = address.removeprefix("http://").rstrip("/").split(":")

    def status(method: str, path: str, **headers: str) -> int:
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        assert "default-src 'self'" in answer.getheader("Content-Security-Policy", "")
        connection.close()
        return answer.status

    assert status("GET", "/") == 200
    assert status("POST", "/gradio_api/upload", Content_Length=str(1 << 30)) == 413
    assert status("GET", "/", Host="elsewhere.example") == 400
