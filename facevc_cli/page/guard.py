"""Guard Gradio against the network: accept only requests of the page itself, and only for what it needs."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlencode

from facevc_cli.page.events import SESSION, Call, RefusedEventError, clean_event, find_file_inside
from facevc_cli.page.folder import count_used_bytes, delete_unfinished

API = "/gradio_api"
FILE = f"{API}/file="
UPLOAD = f"{API}/upload"
JOIN = f"{API}/queue/join"
DATA = f"{API}/queue/data"
PREDICT = f"{API}/run/predict"  # for calls that do not wait in the queue
LARGEST_EVENT_BYTES = 256 * 1024
MOST_DRAINED_BYTES = 1 << 30
MEGABYTE = 1 << 20
READS = ("GET", "HEAD")
HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::[0-9]{1,5})?", re.ASCII)
FILE_NAME = r"(?!\.)[\w.@-]+"


@dataclass(frozen=True)
class Route:
    """A path that the page requests, with its methods and parameters.

    Other parameters are dropped, because some load files.
    """

    path: re.Pattern[str]
    methods: tuple[str, ...] = READS
    parameters: tuple[str, ...] = ()


# All requests of a browser that records, uploads, converts, keeps a card and reconnects. Any other request gets 404.
ROUTES = (
    Route(re.compile(r"/")),
    Route(re.compile(r"/theme\.css|/favicon\.ico")),
    Route(re.compile(rf"/(assets|static)(/{FILE_NAME})+", re.ASCII)),
    Route(re.compile(rf"{FILE}.+", re.DOTALL)),
    Route(re.compile(f"{API}/app_id"), ("GET",)),
    Route(re.compile(f"{API}/heartbeat/{SESSION.pattern}"), ("GET",)),
    Route(re.compile(f"{API}/upload_progress"), ("GET",), ("upload_id",)),
    Route(re.compile(UPLOAD), ("POST",), ("upload_id",)),
    Route(re.compile(JOIN), ("POST",)),
    Route(re.compile(DATA), ("GET",), ("session_hash",)),
    Route(re.compile(PREDICT), ("POST",)),
)


class RefusedError(Exception):
    """A refused request: the status and the text of the answer."""

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status, self.text = status, text


class Guard:
    """An ASGI application that wraps another one.

    hosts: the names by which a browser may call the page; None allows any. This refuses a foreign site whose name
    points to this machine. calls: the calls that the page may make. most_bytes: limit for all uploads together.
    sockets: applications for web sockets, by path; Gradio's own are not reached.
    """

    def __init__(
        self,
        app: Any,
        folder: Path,
        calls: Mapping[int, Call],
        hosts: Collection[str] | None,
        most_bytes: int,
        sockets: Mapping[str, Any] = MappingProxyType({}),
    ):
        self.sockets = sockets
        self.app, self.folder, self.calls, self.hosts, self.most_bytes = app, folder, calls, hosts, most_bytes
        self._arriving: list[int] = []  # bytes of each upload in progress

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in reversed(scope["headers"])
        }
        if scope["type"] != "http":
            return await self._pass_socket(scope, headers, receive, send)
        receive = _Body(receive)
        try:
            check_host(headers, self.hosts)
            scope = self._filter_request(scope)
            check_same_origin(headers, navigates=scope["path"] == "/" and scope["method"] in READS)
            if scope["path"] == UPLOAD:
                return await self._pass_upload(scope, headers, receive, send)
            if scope["path"] in (JOIN, PREDICT):
                scope, receive = await self._check_event(scope, headers, receive)
        except RefusedError as refused:
            await receive.drain()
            return await _answer(send, refused, as_json=scope["path"] in (JOIN, PREDICT))
        try:
            await self.app(scope, receive, send)
        except Exception:
            if scope["path"] != DATA:
                raise
            await send(
                {"type": "http.response.body", "body": b""}
            )  # an unknown session, which Gradio has just told the browser

    async def _pass_socket(self, scope: Any, headers: Mapping[str, str], receive: Any, send: Any) -> None:
        """Pass a web socket of the page itself on. Browsers always say whose page opens one."""
        app = self.sockets.get(scope["path"]) if "origin" in headers and not scope.get("root_path") else None
        try:
            check_host(headers, self.hosts)
            check_same_origin(headers, navigates=False)
        except RefusedError:
            app = None
        if app is None:
            return await send({"type": "websocket.close", "code": 1008})
        await app(scope, receive, send)

    def _filter_request(self, scope: Any) -> Any:
        """Return the scope with only the parameters of its route. RefusedError if the page has no such route."""
        path = scope["path"]
        route = next((r for r in ROUTES if scope["method"] in r.methods and r.path.fullmatch(path)), None)
        if route is None or scope.get("root_path"):
            raise RefusedError(404, "Not found")
        if path.startswith(FILE):
            found = find_file_inside(self.folder, path.removeprefix(FILE))
            if found is None or not found.is_file():
                raise RefusedError(404, "Not found")
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"))
        return scope | {
            "query_string": urlencode([(key, value) for key, value in query if key in route.parameters]).encode()
        }

    async def _check_event(self, scope: Any, headers: Mapping[str, str], receive: "_Body") -> tuple[Any, Any]:
        """Return the request of an event with a checked body."""
        if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            raise RefusedError(415, "Expected application/json")
        body = b""
        while not receive.ended:
            body += (await receive()).get("body", b"")
            if len(body) > LARGEST_EVENT_BYTES:
                raise RefusedError(413, f"Expected an event of at most {LARGEST_EVENT_BYTES} bytes")
        try:
            cleaned = clean_event(body, self.calls, self.folder, queued=scope["path"] == JOIN)
        except RefusedEventError as error:
            raise RefusedError(403, f"Refused: {error}.") from error
        given: Iterator[Any] = iter([{"type": "http.request", "body": cleaned, "more_body": False}])

        async def receive_cleaned() -> Any:
            return next(given, None) or await receive()

        sizes = (b"content-length", b"transfer-encoding")
        kept = [header for header in scope["headers"] if header[0].lower() not in sizes]
        return scope | {"headers": [*kept, (b"content-length", str(len(cleaned)).encode())]}, receive_cleaned

    async def _pass_upload(self, scope: Any, headers: Mapping[str, str], receive: "_Body", send: Any) -> None:
        """Pass an upload on if there is room for it."""
        size = headers.get("content-length", "")
        if not re.fullmatch(r"[0-9]{1,15}", size):
            raise RefusedError(411, "Expected an upload of known size")

        async def send_when_read(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                await receive.drain()
            await send(message)

        with self._reserve_room(int(size)):
            await self.app(scope, receive, send_when_read)

    @contextmanager
    def _reserve_room(self, size: int) -> Iterator[None]:
        used = count_used_bytes(self.folder) + sum(self._arriving)
        if used + size > self.most_bytes:
            raise RefusedError(
                413,
                f"There is no room for this upload of {size / MEGABYTE:.1f} MB: {used / MEGABYTE:.0f} of the "
                f"{self.most_bytes / MEGABYTE:.0f} MB for all uploads are used. Convert, or remove files, and upload "
                "it again. A larger --max-mb makes more room.",
            )
        self._arriving.append(size)
        try:
            yield
        finally:
            self._arriving.remove(size)
            if not self._arriving:
                delete_unfinished(self.folder)


class _Body:
    """The messages of a request.

    It remembers when the body has ended, because another read would wait until the connection closes.
    """

    def __init__(self, receive: Any):
        self.receive, self.ended = receive, False

    async def __call__(self) -> Any:
        message = await self.receive()
        self.ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Read and discard the rest. Most browsers read no answer before they have sent everything."""
        drained = 0
        while not self.ended and drained < MOST_DRAINED_BYTES:
            drained += len((await self()).get("body", b""))


def check_host(headers: Mapping[str, str], hosts: Collection[str] | None) -> None:
    """RefusedError if the request names a host that is not in `hosts`."""
    if hosts is not None and _parse_host_name(headers.get("host", "")) not in hosts:
        raise RefusedError(400, "Invalid host header")


def check_same_origin(headers: Mapping[str, str], navigates: bool) -> None:
    """RefusedError if another site's page sent the request. Another site may only link to the page.

    Programs other than browsers send neither header. A proxy may name the page's host in X-Forwarded-Host.
    """
    origin = headers.get("origin")
    if navigates and origin is None and headers.get("sec-fetch-mode") == "navigate":
        return
    names = {_normalise_host(headers.get(name, "")) for name in ("host", "x-forwarded-host")} - {""}
    if origin is not None and _normalise_host(origin.partition("://")[2]) not in names:
        raise RefusedError(403, "Another site's page may not use this one.")
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise RefusedError(403, "Another site's page may not use this one.")


def _normalise_host(host: str) -> str:
    """Convert to 'name:port' in lower case, without the default ports that browsers leave out."""
    return re.sub(r":(80|443)$", "", host.strip().lower())


def _parse_host_name(host: str) -> str:
    """'localhost:7860' -> 'localhost', '[::1]:7860' -> '::1'. Empty if it is not a host name."""
    found = HOST.fullmatch(host.strip().lower())
    return (found[1] or found[2]) if found else ""


async def _answer(send: Any, refused: RefusedError, as_json: bool) -> None:
    """Send the refusal. Gradio shows the text for an upload, and `detail` for an event."""
    body = json.dumps({"detail": refused.text}) if as_json else refused.text
    kind = b"application/json" if as_json else b"text/plain; charset=utf-8"
    await send({"type": "http.response.start", "status": refused.status, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": body.encode()})
