"""`python main.py demo`: a page to draw a digit, drop a photo, compare networks and watch one learn."""

import os
import signal
import sys
import threading
import webbrowser
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from lit_a1.demo.networks import Networks
from lit_a1.demo.server import LOCAL, listen, serve
from lit_a1.environment import PROGRAM
from lit_a1.runs.settings import PlainParser, UsageError
from lit_a1.startup import import_lightning


def main(arguments: Sequence[str]) -> None:
    """Serves the page until Ctrl+C."""
    parser = PlainParser(
        f"{PROGRAM} demo",
        description="Open a page to draw a digit, drop a photo, compare networks and watch one learn. It uses "
        "the published weights and the runs in --logs. It needs no data and no internet. Nothing leaves this machine.",
    )
    parser.add_argument("--logs", type=Path, default=Path("lightning_logs"), help="where runs are (lightning_logs)")
    parser.add_argument("--host", default=LOCAL, help=f"who may open it ({LOCAL}: this machine alone; 0.0.0.0: all)")
    parser.add_argument("--port", type=int, default=7860, help="its port (7860; 0 for any free one)")
    parser.add_argument("--no_browser", action="store_true", help="open no browser")
    options = parser.parse_args(arguments)
    if find_spec("gradio") is None:
        raise UsageError('the page needs Gradio, which is not installed: pip install ".[demo]"')
    has_screen = sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()
    networks = Networks(options.logs)

    def warm_up() -> None:
        import_lightning()
        networks.warm_up()

    def ready(address: str) -> None:
        print(f"The page: {address} (Ctrl+C ends it)", flush=True)
        threading.Thread(target=warm_up, daemon=True).start()  # the page need not wait for this
        if has_screen and not options.no_browser:
            webbrowser.open(address)

    with listen(options.host, options.port) as listener:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # also removes uploads
        serve(networks, listener, ready)
