"""Serve the page: bind a socket, and run a web server in a thread."""

import ipaddress
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.page.events import list_calls
from facevc_cli.page.guard import FILE, Guard

TRIED_PORTS = 20
GRACE_S = 3
LARGEST_MESSAGE_BYTES = 64 * 1024  # of a web socket
MOST_UPLOADS = 20  # room for all uploads together, as a multiple of the largest one
# The browser then keeps the page to this host, whatever a version of Gradio tries to fetch.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; frame-src 'none'; frame-ancestors 'none'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'"
)
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"cross-origin-resource-policy": b"same-origin",
}
# The browser keeps no copy of uploads and results. Opened as a page, they run no scripts.
FILE_HEADERS = HEADERS | {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; media-src 'self'; sandbox",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """Bind a socket to `port`, or to the next free one of the 20 from there. Port 0 takes any free one.

    UsageError if `host` is not an address of this machine. FaceVCError if no port is free.
    """
    reason: object = ""
    for tried in range(port, min(port + TRIED_PORTS, 65536)):
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, tried, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind, protocol)
        except OSError as error:
            raise UsageError(
                f"--host {host}: no address of this machine ({error}). Use 127.0.0.1, or 0.0.0.0 for all its networks."
            ) from error
        try:
            if (
                os.name == "posix"
            ):  # allows a port that was closed a moment ago; on Windows two servers could then share it
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except OSError as error:
            listener.close()
            reason = error
            continue
        return listener
    raise FaceVCError(
        f"--host {host} --port {port}: neither this port nor one of the next {TRIED_PORTS - 1} is free ({reason}). "
        "Choose others."
    )


def mount(page: Any, host: str, port: int, max_bytes: int) -> Any:
    """Mount a gradio.Blocks as a web application, with Gradio's own file checks on."""
    import gradio as gr
    from fastapi import FastAPI

    from facevc_cli.page.views import CSS

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    system_fonts = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    # Gradio checks the files of an event only if the page was launched, and mounting does not launch it.
    page.has_launched = True
    # No allowed_paths: the browser would open such files, for example an uploaded HTML file with scripts.
    gr.mount_gradio_app(
        app,
        page,
        "/",
        host,
        port,
        footer_links=[],
        max_file_size=max_bytes,
        show_error=False,
        ssr_mode=False,
        theme=system_fonts,
        css=CSS,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        run_history=False,
    )
    return app


@contextmanager
def serve_page(page: Any, listener: socket.socket, folder: Path, max_bytes: int) -> Iterator[threading.Thread]:
    """Serve a gradio.Blocks at a bound socket, in a thread that ends with this block."""
    import uvicorn

    host, port = listener.getsockname()[:2]
    hosts = {"localhost", "127.0.0.1", "::1", host} if is_loopback(host) else None
    mounted, sockets = mount(page, host, port, max_bytes), getattr(page, "sockets", {})
    guarded = Guard(mounted, folder, list_calls(page.config), hosts, MOST_UPLOADS * max_bytes, sockets)
    config = uvicorn.Config(
        _Headers(guarded),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        ws_max_size=LARGEST_MESSAGE_BYTES,
        ws_per_message_deflate=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        server.should_exit = True
        thread.join(2 * GRACE_S)
        listener.close()


class _Headers:
    """Add HEADERS or FILE_HEADERS to every answer. Bodies are untouched, so streams still stream."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        added = FILE_HEADERS if scope.get("path", "").startswith(FILE) else HEADERS

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                kept = [header for header in message.get("headers", ()) if header[0].lower() not in added]
                message["headers"] = [*kept, *added.items()]
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)
