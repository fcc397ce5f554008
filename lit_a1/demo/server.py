"""Serves the page, only to this machine unless told otherwise; loads nothing from elsewhere, sends nothing there."""

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lit_a1.demo.networks import Networks
from lit_a1.runs.settings import UsageError

LOCAL = "127.0.0.1"
PHOTO_BYTES, REQUEST_BYTES = 25 << 20, 256 << 20  # bytes of a photo, and of a whole request
POLICY = "; ".join((
    "default-src 'self'",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Gradio's page has inline scripts, and compiles templates
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "media-src 'self' blob:",
    "worker-src 'self' blob:",
    "font-src 'self' data:",
    "frame-ancestors 'none'",
    "base-uri 'self'",
    "form-action 'self'",
))  # fmt: skip
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


class Guard:
    """Refuses requests that are too large, and keeps browsers from loading from elsewhere (an ASGI middleware)."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        """Passes a request on, and adds headers to the response."""
        headers = dict(scope.get("headers", ()))
        length = headers.get(b"content-length", b"0")
        if scope["type"] == "http" and (
            not length.isdigit() or int(length) > REQUEST_BYTES or b"transfer-encoding" in headers
        ):
            await send({"type": "http.response.start", "status": 413, "headers": HEADERS})
            await send({"type": "http.response.body", "body": f"At most {REQUEST_BYTES >> 20} MiB at once.".encode()})
            return

        async def with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await self.app(scope, receive, with_headers)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at a host and port (port 0: any free one); a UsageError if it can't."""
    if not 0 <= port < 1 << 16:
        raise UsageError(f"--port must be from 0 to {(1 << 16) - 1}; got {port}")
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise UsageError(
            f"no page can be served at {host}, port {port}: {error}; name another --host or --port"
        ) from error


def serve(networks: Networks, listener: socket.socket, on_ready: Callable[[str], object]) -> None:
    """Serves the page until interrupted; `on_ready` gets its address. Uploads are removed at the end."""
    host, port = listener.getsockname()[:2]
    with tempfile.TemporaryDirectory(prefix="lit_a1-", ignore_cleanup_errors=True) as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before it is imported
        import fastapi
        import gradio
        import uvicorn
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        from lit_a1.demo.page import build

        app = fastapi.FastAPI(openapi_url=None)
        if host == LOCAL:  # no other site may reach it under its own name
            app.add_middleware(TrustedHostMiddleware, allowed_hosts=[LOCAL, "localhost"])
        app.add_middleware(Guard)
        theme = gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
        gradio.mount_gradio_app(
            app, build(networks), path="", footer_links=[], run_history=False, ssr_mode=False, pwa=False,
            mcp_server=False, enable_monitoring=False, max_file_size=PHOTO_BYTES, theme=theme,
            css=(Path(__file__).parent / "style.css").read_text("utf-8"),
        )  # fmt: skip
        on_ready(f"http://{socket.gethostname() if host == '0.0.0.0' else host}:{port}/")
        uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)).run(sockets=[listener])
