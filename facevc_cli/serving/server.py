"""Where the page listens: a socket, a web server in a thread, and a folder that goes when it ends."""

import ipaddress
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facevc_cli.errors import FaceVCError

TRIED_PORTS = 20
GRACE_S = 3
# The browser itself holds the page to this host, whatever a version of Gradio would fetch.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; frame-src 'none'; frame-ancestors 'none'; object-src 'none'; base-uri 'self'; form-action 'self'"
)
HEADERS = ((b"content-security-policy", POLICY.encode()), (b"referrer-policy", b"no-referrer"))
UNSTORED = (b"cache-control", b"no-store")  # for uploads and results: the browser keeps no copy either


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """A bound socket at `port`, or at the next free one of the 20 from there; 0 takes any. FaceVCError where none can be had."""
    reason: object = ""
    for tried in range(port, min(port + TRIED_PORTS, 65536)):
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, tried, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind, protocol)
        except OSError as error:
            raise FaceVCError(f"--host {host}: no address of this machine ({error}). Use 127.0.0.1, or 0.0.0.0 for all its networks.") from error
        try:
            if os.name == "posix":  # a port that was left a moment ago; elsewhere the option would let two servers share it
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except OSError as error:
            listener.close()
            reason = error
            continue
        return listener
    raise FaceVCError(f"--host {host} --port {port}: neither it nor one of the {TRIED_PORTS - 1} after it can be listened at ({reason}). Choose others.")


@contextmanager
def upload_folder() -> Iterator[Path]:
    """A folder that only this user can read, for all that the page is given and makes; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="facevc-serve-")).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serving(page: Any, listener: socket.socket, folder: Path, max_bytes: int) -> Iterator[threading.Thread]:
    """Serves a gradio.Blocks at a bound socket, in a thread that ends with the block."""
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from facevc_cli.serving.views import CSS

    host, port = listener.getsockname()[:2]
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    system_fonts = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    gr.mount_gradio_app(
        app, page, "/", host, port, footer_links=[], max_file_size=max_bytes, allowed_paths=[str(folder)], show_error=False,
        ssr_mode=False, theme=system_fonts, css=CSS,
    )  # fmt: skip
    if is_loopback(host):  # a foreign site whose name is made to point here is turned away
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", host])
    app.add_middleware(_Headers)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_S))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        server.should_exit = True
        thread.join(2 * GRACE_S)
        listener.close()


class _Headers:
    """Adds HEADERS to every answer and UNSTORED to files, and nothing else: answers that stream go on streaming."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        added = (*HEADERS, UNSTORED) if "/file=" in scope.get("path", "") else HEADERS

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in added}
                message["headers"] = [*(h for h in message.get("headers", ()) if h[0].lower() not in names), *added]
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)
