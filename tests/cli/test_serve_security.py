"""`facevc serve` under attack, over HTTP: only the page's own windows are answered, and only their files given away.

The page is Gradio's, of the version that is installed: an upgrade that opens what was closed fails here.
"""

import http.client
import importlib.util
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from filelock import FileLock
from helpers.commands import start_serving
from helpers.folders import list_names
from helpers.networks import FakeAnalyser, replace_face_analyser
from helpers.pages import find_calls
from helpers.pictures import save_grey
from helpers.sounds import recording
from helpers.speech_engines import replace_engine

import facevc_cli
from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import FaceVCError
from facevc_cli.page import fields, views
from facevc_cli.page import folder as folder_module
from facevc_cli.page.folder import (
    OWNER,
    PREFIX,
    count_used_bytes,
    delete_unfinished,
    open_upload_folder,
    sweep_abandoned,
)
from facevc_cli.page.guard import FILE, JOIN, PREDICT, UPLOAD, RefusedError, check_host, check_same_origin
from facevc_cli.page.people import Card
from facevc_cli.page.server import MOST_UPLOADS, bind, mount
from facevc_cli.page.studio import FIRST, MOST_PAGES, Studio
from facevc_cli.stages.serve import ServeConfig, ServedPage, serve_in_background

pytestmark = pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="needs the extra page")
SECRET = b"what nobody else may read"
TAG = '<img src=x onerror="alert(1)">'
META = {"_type": "gradio.FileData"}
MAX_MB = 1
ASSETS = Path(facevc_cli.__file__).parent / "assets" / "examples"
# the page's calls: the element and event that start them
HEAR, LOOK, LOOK_SECOND, CONVERT, KEEP = (
    "speech.change",
    "face-0.change",
    "face-1.change",
    "convert.click",
    "keep.click",
)
SPEAK, LOOK_SPEAKER, KEEP_SPEAKER, EXAMPLE = "speak.click", "face-2.change", "speak-keep.click", "example-0.click"
SHARE, PITCH = "face-1.change, at once", "pitch.change, at once"  # they do not wait


class Client:
    """Requests as they are written: nothing is made tidy on the way, as browsers and curl do."""

    def __init__(self, port: int):
        self.port = port
        self.calls = find_calls(f"http://127.0.0.1:{port}/")

    def number(self, call: str) -> int:
        return int(self.calls[call]["id"])

    def count_inputs(self, call: str) -> int:
        return len(self.calls[call]["inputs"])

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        if sent is not None and not isinstance(body, bytes):
            given.setdefault("Content-Type", "application/json")
        connection.putrequest(method, path, skip_host="Host" in given, skip_accept_encoding=True)
        for name, value in {"Content-Length": str(len(sent))}.items() if sent is not None else ():
            given.setdefault(name, value)
        for name, value in given.items():
            connection.putheader(name, value)
        connection.endheaders(sent)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        if "event-stream" not in found.get("content-type", ""):
            content = answer.read()
        else:
            content = b""
            while (line := answer.readline()) and b"ALIVE" not in line:
                content += line
                if b'"process_completed"' in line or b'"close_stream"' in line:
                    break
        connection.close()
        return answer.status, content, found

    def status(self, method: str, path: str, body: object = None, **headers: str) -> int:
        return self.ask(method, path, body, **headers)[0]

    def join(self, call: str, *data: object, session: str = "abc") -> int:
        return self.status("POST", JOIN, {"data": data, "fn_index": self.number(call), "session_hash": session})

    def call(self, call: str, *data: object, session: str = "abc") -> Any:
        """What a queued call gives: its outputs."""
        assert self.join(call, *data, session=session) == 200
        told = self.ask("GET", f"/gradio_api/queue/data?session_hash={session}")[1].decode()
        messages = [json.loads(line.removeprefix("data: ")) for line in told.splitlines() if line.startswith("data: ")]
        done = next(message for message in messages if message["msg"] == "process_completed")
        return done["output"]["data"] if done["success"] else done["output"]["error"]

    def upload(self, name: str, content: bytes, **headers: str) -> tuple[int, bytes]:
        body = (
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="'
            + name.encode()
            + b'"\r\n\r\n'
            + content
            + b"\r\n--x--\r\n"
        )
        return self.ask("POST", UPLOAD, body, Content_Type="multipart/form-data; boundary=x", **headers)[:2]

    def give(self, name: str, content: bytes) -> dict[str, object]:
        status, answer = self.upload(name, content)
        assert status == 200
        return file(json.loads(answer)[0], orig_name=name)


def file(path: object, **more: object) -> dict[str, object]:
    return {"path": str(path), "meta": META, **more}


@pytest.fixture(scope="module", autouse=True)
def temporary_files(tmp_path_factory):
    """Of several servers in one process: Gradio makes the first one's folder again for the next."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("temporary"))
    yield
    tempfile.tempdir = before


@contextmanager
def served(model: Path, **options: Any) -> Iterator[ServedPage]:
    before = os.environ.get("GRADIO_TEMP_DIR", "")  # two servers in one process share what Gradio reads from here
    config = ServeConfig(
        port=0, checkpoint=model, vocoder="griffin-lim", device="cpu", max_seconds=5, max_mb=MAX_MB, **options
    )
    with pytest.MonkeyPatch.context() as patch:
        replace_face_analyser(patch, FakeAnalyser())
        replace_engine(patch)
        with serve_in_background(config) as page:
            try:
                yield page
            finally:
                os.environ["GRADIO_TEMP_DIR"] = before


@pytest.fixture(scope="module")
def page(model):
    with served(model) as page:
        yield page


@pytest.fixture(scope="module")
def client(page):
    return Client(int(page.url.split(":")[2].strip("/")))


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_bytes(SECRET)
    return path


@pytest.fixture
def sound(tmp_path):
    return recording(tmp_path / "speech.wav", 0.4, 16000, 120.0).read_bytes()


@pytest.fixture
def photo(tmp_path):
    save_grey(tmp_path / "face.png", 90)
    return (tmp_path / "face.png").read_bytes()


# files of the computer


def test_a_conversion_over_http(client, page, sound, photo):
    """What a browser sends, so that all that follows is refused for what it is."""
    assert (
        "0.4 s of sound"
        in client.call(
            HEAR, client.give("a.wav", sound) | {"url": "http://127.0.0.1/x", "size": 9, "mime_type": "audio/wav"}
        )[0]
    )
    assert "face that was taken" in client.call(LOOK, [client.give("b.png", photo)], None)[0]
    made, told = client.call(CONVERT, 50, "The voice's own", 0, 0.5, 40)
    status, content, headers = client.ask("GET", FILE + quote(made["path"]))
    assert (
        (status, content[:4]) == (200, b"RIFF")
        and headers["cache-control"] == "no-store"
        and "0.4 s of synthetic speech" in told
    )
    assert headers["content-type"] in ("audio/wav", "audio/x-wav") and list_names(page.studio.folder) == ["a__b.wav"]
    page.studio.leave("abc")


@pytest.mark.parametrize("call", [HEAR, LOOK, LOOK_SECOND, CONVERT, KEEP, LOOK_SPEAKER, SPEAK, KEEP_SPEAKER])
def test_an_event_that_names_a_file_of_the_computer_is_refused(client, page, secret, call):
    """The five requests that gave away any file: join, data, deep_link, config, file."""
    inputs = client.count_inputs(call)
    link = os.path.join(page.studio.folder.parent, "..", secret)
    for value in (
        file(secret),
        [file(secret)],
        file(secret, url="http://example.org/x"),
        file(f"file://{secret}"),
        file(link),
        file(f"{page.studio.folder}{secret}/../../.."),
        file(f"{page.studio.folder}/x/../../../..{secret}"),
        {"path": str(secret)},
        {"value": file(secret)},
        [[file(secret)]],
        [{"x": file(secret)}],
        file("secret.txt"),
        file(""),
        {"path": None, "meta": META},
        {"path": [str(secret)], "meta": META},
        file(page.studio.folder),
        file(f"{secret}\0"),
        file("x" * 5000),
        {"url": f"file://{secret}", "meta": META},
        file(secret, is_stream=True),
        file("/dev/stdin"),
        file("/proc/self/environ"),
    ):
        data = [value] + [None] * (inputs - 1)
        assert client.join(call, *data) == 403
        assert client.join(call, *data[::-1]) == 403
    assert client.status("GET", "/gradio_api/deep_link?session_hash=abc") == 404
    assert client.status("GET", "/config?deep_link=abc") == 404
    assert client.status("GET", FILE + quote(str(secret))) == 404
    assert SECRET not in b"".join(path.read_bytes() for path in page.studio.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", [PREDICT, JOIN])
def test_calls_that_do_not_wait_are_refused_as_well(client, page, secret, path):
    in_browser_or_closing = [call["id"] for call in client.calls.values() if not call["backend_fn"]]
    in_browser_or_closing += [call["id"] for name, call in client.calls.items() if name.endswith(".unload")]
    assert len(in_browser_or_closing) >= 2
    for number in (*map(client.number, (SHARE, PITCH, HEAR)), *in_browser_or_closing, 99, -1):
        body = {"data": [[file(secret)], None], "fn_index": number, "session_hash": "abc"}
        assert client.status("POST", path, body) == 403
    assert list_names(page.studio.folder) == []
    assert (
        client.status(
            "POST", PREDICT, {"data": ["As in the recording"], "fn_index": client.number(PITCH), "session_hash": "abc"}
        )
        == 200
    )


def test_gradio_itself_refuses_a_file_of_the_computer(model, secret, monkeypatch):
    """Without the guard: its own check, which is off until a page is launched."""
    monkeypatch.setattr("facevc_cli.page.server.Guard", lambda app, *given: app)
    with served(model) as page:
        client = Client(int(page.url.split(":")[2].strip("/")))
        for call, data in ((HEAR, [file(secret)]), (LOOK, [[file(secret)], None])):
            client.call(call, *data)
        client.ask(
            "POST", PREDICT, {"data": [[file(secret)], None], "fn_index": client.number(SHARE), "session_hash": "abc"}
        )
        assert list_names(page.studio.folder) == []
        assert client.status("GET", FILE + quote(str(secret))) == 403


def test_a_text_is_spoken_over_http(client, page, photo):
    assert "face that was taken" in client.call(LOOK_SPEAKER, [client.give("b.png", photo)], None)[0]
    made, shown, told = client.call(SPEAK, f"Hello {TAG}.", "American English", 1, 0.5, 40)
    status, content, headers = client.ask("GET", FILE + quote(made["path"]))
    assert (status, content[:4], headers["cache-control"]) == (200, b"RIFF", "no-store")
    assert "<blockquote>Hello &lt;img" in shown and "<img src=x" not in shown and "of synthetic speech" in told
    assert [Path(name).suffix for name in list_names(page.studio.folder)] == [".wav"]
    page.studio.leave("abc")
    assert list_names(page.studio.folder) == []


def test_only_the_field_of_the_text_takes_a_long_one(client, page, photo):
    """The page serves 5 s of speech: the least limit of a text, 100 characters, is less than that of other fields."""
    said = client.call(SPEAK, "x" * 100, "American English", 1, 0.5, 40)
    assert "There is no face yet" in said
    assert client.join(SPEAK, "x" * 101, "American English", 1, 0.5, 40) == 403
    assert client.join(SPEAK, "Hello.", "x" * 201, 1, 0.5, 40) == 403
    page.studio.leave("abc")


@pytest.mark.parametrize(
    "data",
    [
        ["Hello.", "Klingon", 1, 0.5, 40],
        ["Hello.", None, 1, 0.5, 40],
        ["Hello.", "American English", 1e5, 0.5, 40],
        ["Hello.", "American English", "fast", 0.5, 40],
        ["Hello.", "American English", None, 0.5, 40],
        ["Hello.", "American English", 1, "high", 40],
        ["Hello.", "American English", 1, None, -1],
        [None, "American English", 1, 0.5, 40],
        [5, "American English", 1, 0.5, 40],
        [True, True, True, True, True],
    ],
)
def test_odd_values_of_the_fields_of_a_text_end_in_an_error(client, page, photo, data):
    client.call(LOOK_SPEAKER, [client.give("b.png", photo)], None)
    assert client.join(SPEAK, *data) == 200
    told = client.ask("GET", "/gradio_api/queue/data?session_hash=abc")[1].decode()
    assert '"process_completed"' in told and "Traceback" not in told
    page.studio.leave("abc")
    assert list_names(page.studio.folder) == []


def test_an_example_is_a_copy_in_the_folder_that_goes_like_an_upload(client, page):
    speech, faces, *cleared = client.call(EXAMPLE)
    assert cleared == [None] * 3 and [Path(speech["path"]).name, len(faces)] == ["speech_man.flac", 1]
    assert client.call(EXAMPLE)[0]["path"] == speech["path"]  # a copy that is unused is not made again
    assert list_names(page.studio.folder) == ["face_woman.jpg", "speech_man.flac"]
    for given in (speech, *faces):
        path = Path(given["path"])
        assert path.is_relative_to(page.studio.folder) and client.status("GET", FILE + quote(str(path))) == 200
        assert client.status("GET", FILE + quote(str(ASSETS / path.name))) == 404
        assert client.join(HEAR, file(ASSETS / path.name)) == 403
    assert "of sound" in client.call(HEAR, speech)[0] and "face that was taken" in client.call(LOOK, faces, None)[0]
    assert "of synthetic speech" in client.call(CONVERT, 50, "The voice's own", 0, 0.5, 40)[1]
    assert list_names(page.studio.folder) == ["speech_man__face_woman.wav"]
    assert client.call(EXAMPLE)[0]["path"] != speech["path"]
    page.studio.leave("abc")
    assert list_names(page.studio.folder) == []


def test_nothing_is_fetched_for_an_event(client, page, monkeypatch):
    """Neither by a path nor by an address that is an upload's."""
    fetched: list[object] = []
    monkeypatch.setattr(
        "gradio.processing_utils.async_ssrf_protected_download", lambda url, **given: fetched.append(url)
    )
    monkeypatch.setattr("gradio.processing_utils.save_url_to_cache", lambda url, **given: fetched.append(url))
    with bind("127.0.0.1", 0) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/x.wav"
        for url in (
            address,
            "http://example.org/x.wav",
            "https://example.org/x.wav",
            "//example.org/x.wav",
            "ftp://example.org/x",
        ):
            assert client.join(HEAR, file(url)) == 403
            inside = page.studio.folder / "x" / "y.wav"
            assert "no longer here" in client.call(HEAR, file(inside, url=url, is_stream=True))[0]
        listener.settimeout(0.05)
        with pytest.raises(TimeoutError):
            listener.accept()
    assert fetched == []


def test_links_in_the_folder_lead_nowhere(client, page, secret, tmp_path):
    inside = page.studio.folder / "made"
    inside.mkdir()
    (inside / "link").symlink_to(secret)
    (inside / "up").symlink_to(tmp_path)
    (inside / "loop").symlink_to(inside / "loop")
    try:
        for name in ("link", "up/secret.txt", "loop", "up"):
            assert client.status("GET", FILE + str(inside / name)) == 404
            assert client.join(HEAR, file(inside / name)) == 403 or name == "loop"
        for name in (
            f"{inside}/../made/link",
            f"{page.studio.folder}/../lock",
            f"{page.studio.folder}/../owner",
            f"{page.studio.folder}",
        ):
            assert client.status("GET", FILE + name) == 404
    finally:
        for name in ("link", "up", "loop"):
            (inside / name).unlink()
        inside.rmdir()


# what else could be asked


@pytest.mark.parametrize(
    "path",
    [
        "/config",
        "/config/",
        "/config?deep_link=x",
        "/info",
        "/docs",
        "/openapi.json",
        "/redoc",
        "/login",
        "/logout",
        "/monitoring",
        "/monitoring/summary",
        "/robots.txt",
        "/manifest.json",
        "/pwa_icon",
        "/pwa_icon/9",
        "/svelte/x.js",
        "/gradio_api",
        "/gradio_api/",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/gradio_api/deep_link?session_hash=x",
        "/gradio_api/file/etc/hostname",
        "/gradio_api/file=/etc/hostname",
        "/gradio_api/file=etc/hostname",
        "/gradio_api/file=",
        "/gradio_api/file=http://example.org/",
        "/gradio_api/file=file:///etc/hostname",
        "/gradio_api/file=%2fetc%2fhostname",
        "/gradio_api/proxy=http://127.0.0.1:1/",
        "/gradio_api/proxy=/etc/hostname",
        "/gradio_api/stream/x/1/1/playlist.m3u8",
        "/gradio_api/stream/x/1/1/playlist-file",
        "/gradio_api/startup-events",
        "/gradio_api/queue/status",
        "/gradio_api/token",
        "/gradio_api/user",
        "/gradio_api/login_check",
        "/gradio_api/runs",
        "/gradio_api/dev/reload",
        "/gradio_api/vibe-code",
        "/gradio_api/call/hear/x",
        "/gradio_api/heartbeat/",
        "/gradio_api/heartbeat/../../config",
        "/gradio_api/profiling/traces",
        "/gradio_api/custom_component/audio/client/x/..%2f..%2fx",
        "/assets/",
        "/assets/../../../../../../etc/hostname",
        "/assets/%2e%2e/%2e%2e/%2e%2e/etc/hostname",
        "/assets//etc/hostname",
        "/assets/%2fetc/hostname",
        "/static/..%5c..%5cx",
        "/static/../routes.py",
        "/static/.hidden",
        "/static/%00",
        "//",
        "/./",
        "/gradio_api/mcp/",
        "/theme.css/",
        "/x",
    ],
)
def test_what_the_page_does_not_need_is_not_there(client, path):
    assert client.status("GET", path) == 404
    assert client.status("HEAD", path) == 404


@pytest.mark.parametrize(
    "path",
    [
        "api/predict",
        "run/hear",
        "run/predict/",
        "call/hear",
        "call/v2/hear",
        "component_server",
        "component_server/",
        "reset",
        "cancel",
        "stream/x",
        "stream/x/close",
        "process_recording",
        "vibe-edit",
        "undo-vibe-edit",
        "run-history/connect",
        "profiling/clear",
        "queue/data",
        "file=/x",
        "../login",
    ],
)
def test_nor_can_it_be_sent_to(client, path):
    body = {"data": ["/"], "fn_index": 0, "session_hash": "x", "event_id": "x", "component_id": 1, "fn_name": "ls"}
    assert client.status("POST", f"/gradio_api/{path}", body) == 404
    assert client.status("PUT", f"/gradio_api/{path}", body) == 404


def test_the_page_knows_no_deep_links(client, page):
    """Neither is a file read that a link names, nor does the page say so."""
    for link in ("abc", "..%2f..%2f", "%2fetc"):
        status, content, _ = client.ask("GET", f"/?deep_link={link}")
        assert status == 200 and b'"deep_link_state":"none"' in content.replace(b" ", b"")
    assert not (page.studio.folder / "deep_links").exists()


@pytest.mark.parametrize(
    "body", [b"{", b"null", b"[]", b"[" * 100_000, b'{"a":' * 40_000, b'{"data":[NaN]}', b"\xff\xfe", b"1" * 5000]
)
def test_what_is_no_event_is_refused(client, body):
    assert client.status("POST", JOIN, body, Content_Type="application/json") == 403


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, 200),
        ({"fn_index": "0"}, 403),
        ({"fn_index": True}, 403),
        ({"fn_index": None}, 403),
        ({"fn_index": 0.0}, 403),
        ({"session_hash": None}, 403),
        ({"session_hash": "../x"}, 403),
        ({"session_hash": "x" * 65}, 403),
        ({"session_hash": 5}, 403),
        ({"data": {}}, 403),
        ({"data": []}, 403),
        ({"data": [None, None]}, 403),
        ({"data": ["x" * 201]}, 403),
        ({"data": [1e300]}, 403),
        ({"data": [[file("x")] * 201]}, 403),
        ({"data": [[None]]}, 403),
        ({"data": ["x" * (256 << 10)]}, 413),
    ],
)
def test_events_of_another_shape_are_refused(client, changed, status):
    assert (
        client.status(
            "POST", JOIN, {"data": [None], "fn_index": client.number(HEAR), "session_hash": "shape", **changed}
        )
        == status
    )


# other sites


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:{port}", "Sec_Fetch_Site": "same-origin"}, 200),
        ({"Origin": "http://LOCALHOST:{port}", "Host": "localhost:{port}"}, 200),
        (
            {"Origin": "https://page.example", "X_Forwarded_Host": "page.example"},
            200,
        ),  # behind a proxy, which no browser can be made to look like
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://127.0.0.1:{port}.evil.example"}, 403),
        ({"Origin": "http://localhost:{port}"}, 403),  # another name of this machine is another site
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),  # another port of this machine
        ({"Sec_Fetch_Site": "cross-site", "Origin": "http://127.0.0.1:{port}"}, 403),
        ({"Host": "evil.example"}, 400),
        (
            {"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}", "Sec_Fetch_Site": "same-origin"},
            400,
        ),
        ({"Host": "localhost.evil.example"}, 400),
        ({"Host": "[::1"}, 400),
        ({"Host": ""}, 400),
    ],
)
def test_requests_of_other_sites_are_refused(client, page, headers, status):
    headers = {name: value.format(port=client.port) for name, value in headers.items()}
    before = list_names(page.studio.folder)
    assert client.upload("a.wav", b"x" * 50, **headers)[0] == status
    assert (
        client.status(
            "POST", JOIN, {"data": [None], "fn_index": client.number(HEAR), "session_hash": "site"}, **headers
        )
        == status
    )
    assert client.status("GET", "/gradio_api/app_id", **headers) == status
    assert status == 200 or list_names(page.studio.folder) == before


@pytest.mark.parametrize("name", ["localhost", "localhost:7860", "LocalHost:1", "127.0.0.1:80", "[::1]", "[::1]:7860"])
def test_names_of_this_machine(name):
    hosts = {"localhost", "127.0.0.1", "::1"}
    check_host({"host": name}, hosts)
    check_same_origin({"host": name, "origin": f"http://{name.lower()}"}, navigates=False)
    for other in (f"{name}.example", f"x{name}", f"evil.example#{name}", ""):
        with pytest.raises(RefusedError):
            check_host({"host": other}, hosts)
        with pytest.raises(RefusedError):
            check_same_origin({"host": name, "origin": f"http://{other}"}, navigates=False)


def test_a_form_of_another_site_cannot_send_events(client):
    body = json.dumps({"data": [None], "fn_index": client.number(HEAR), "session_hash": "form"}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert client.status("POST", JOIN, body, Content_Type=kind) == 415


def test_a_link_of_another_site_opens_the_page(client):
    linked = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert client.status("GET", "/", **linked) == 200
    assert (
        client.status("GET", "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="cors", Origin="http://evil.example")
        == 403
    )
    assert client.status("GET", "/gradio_api/app_id", **linked) == 403
    _, _, headers = client.ask("GET", "/", **linked)
    assert (
        "frame-ancestors 'none'" in headers["content-security-policy"]
        and headers["cross-origin-resource-policy"] == "same-origin"
    )


def test_other_machines_may_ask_but_not_other_sites(model):
    with served(model, host="0.0.0.0") as page:
        client = Client(int(page.url.split(":")[2].strip("/")))
        assert client.upload("a.wav", b"x" * 50, Host="server.lan", Origin="http://server.lan")[0] == 200
        assert client.upload("a.wav", b"x" * 50, Host="server.lan", Origin="http://evil.example")[0] == 403


# how much


def test_uploads_have_room_for_twenty_of_the_largest(client, page):
    """By size, and empty files count too."""
    folder = page.studio.folder
    filled = folder / "filled"
    filled.mkdir()
    try:
        (filled / "x").write_bytes(bytes((MOST_UPLOADS * MAX_MB << 20) - (300 << 10) - count_used_bytes(folder)))
        assert client.upload("a.bin", bytes(200 << 10))[0] == 200
        before = list_names(folder)
        status, said = client.upload("b.bin", bytes(250 << 10))
        assert status == 413 and b"20 of the 20 MB for all uploads are used" in said and b"--max-mb" in said
        assert list_names(folder) == before
    finally:
        (filled / "x").unlink()
        filled.rmdir()
    assert client.upload("b.bin", bytes(250 << 10))[0] == 200


def test_an_upload_that_is_too_large_alone(client, page):
    before = list_names(page.studio.folder)
    assert client.upload("big.wav", bytes((MAX_MB << 20) + 1))[0] == 413
    assert list_names(page.studio.folder) == before


def test_many_files_in_one_upload_count_together(client, page):
    before = list_names(page.studio.folder)
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%d.bin"\r\n\r\n%s\r\n'
    body = b"".join(part % (i, bytes([i]) * (1 << 20)) for i in range(21)) + b"--x--\r\n"
    assert client.status("POST", UPLOAD, body, Content_Type="multipart/form-data; boundary=x") == 413
    assert list_names(page.studio.folder) == before


def test_an_upload_of_unknown_size_is_refused(client):
    sent = b"5\r\nhello\r\n0\r\n\r\n"
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    connection.putrequest("POST", UPLOAD)
    connection.putheader("Transfer-Encoding", "chunked")
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.endheaders(sent)
    assert connection.getresponse().status == 411
    connection.close()


def test_a_broken_upload_leaves_nothing(client, page):
    before = list_names(page.studio.folder)
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    connection.putrequest("POST", UPLOAD)
    connection.putheader("Content-Length", "500000")
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.endheaders(
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n' + bytes(100_000)
    )
    deadline = time.monotonic() + 10
    while list_names(page.studio.folder) == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list_names(page.studio.folder) != before
    connection.close()
    while list_names(page.studio.folder) != before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list_names(page.studio.folder) == before


def test_speech_is_counted_while_it_is_decoded(client, page, tmp_path):
    """A stream that does not say how long it is, such as a browser's recording."""
    path = streamed(tmp_path / "long.webm", 8.0)
    page.studio.leave("abc")
    said = client.call(HEAR, client.give("long.webm", path.read_bytes()))[0]
    assert "long.webm: longer than 5 s" in said or "long.webm: expected at most 5 s" in said
    assert (
        "4.0 s of sound"
        in client.call(HEAR, client.give("short.webm", streamed(tmp_path / "short.webm", 4.0).read_bytes()))[0]
    )
    page.studio.leave("abc")


def streamed(path: Path, seconds: float) -> Path:
    """Opus in WebM without a duration."""
    import av

    with path.open("wb") as raw:
        pipe = type(
            "Pipe", (), {"write": staticmethod(raw.write)}
        )()  # what cannot be wound back is written as a stream
        with av.open(pipe, "w", format="webm") as container:
            stream = container.add_stream("libopus", rate=48000, layout="mono")
            for start in range(0, round(seconds * 48000), 960):
                frame = av.AudioFrame.from_ndarray(np.full((1, 960), 0.1, np.float32), format="flt", layout="mono")
                frame.sample_rate, frame.pts = 48000, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert container.duration is None
    return path


def test_a_photo_has_fewer_pixels_in_the_page(client, page, tmp_path):
    from PIL import Image

    Image.new("1", (8001, 8000)).save(tmp_path / "big.png")
    said = client.call(LOOK, [client.give("big.png", (tmp_path / "big.png").read_bytes())], None)[0]
    assert "big.png: expected at most 64 million pixels, found 8001 x 8000" in said
    page.studio.leave("abc")


def test_the_page_that_was_silent_longest_is_forgotten_for_another(page, sound):
    studio = page.studio

    def given(i: int) -> dict[str, str]:
        folder = studio.folder / f"silent{i}"
        folder.mkdir()
        (folder / "s.wav").write_bytes(sound)
        return {"path": str(folder / "s.wav"), "orig_name": "s.wav"}

    first, second = given(0), given(1)
    studio.hear("page 0", first)
    studio.hear("page 1", second)
    studio.hear("page 0", first)
    for i in range(2, MOST_PAGES + 1):
        studio.hear(f"page {i}", given(i))
    assert len(studio._sessions) == MOST_PAGES and Path(first["path"]).exists() and not Path(second["path"]).exists()
    with pytest.raises(FaceVCError, match="More than 32 pages were in use"):
        studio.convert("page 1")
    for i in range(MOST_PAGES + 1):
        studio.leave(f"page {i}")
    assert not list(studio.folder.glob("silent*"))


# what files are called, and what they are


ODD_NAMES = (
    f"{TAG}.wav",
    "\u202egnp.wav",
    "a\nb\t\x1b[31m.wav",
    "x" * 180 + ".wav",
    "..",
    ".",
    "nul\0.wav",
    "a/../../b.wav",
    "C:\\x.wav",
    "'\"&.wav",
)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_of_uploads_are_shown_as_text(client, page, name):
    status, answer = client.upload(name.replace("\n", " ").replace('"', "'"), b"no sound at all " * 20)
    if status != 200:
        assert status == 400 and name in ("..", ".", "nul\0.wav")
        return
    path = Path(json.loads(answer)[0])
    assert path.parent.parent == page.studio.folder
    said = client.call(HEAR, file(path, orig_name=name))[0]
    assert 'role="alert"' in said and "<img" not in said and "expected" in said and str(page.studio.folder) not in said
    assert not any(ord(character) < 32 for character in said) and "\u202e" not in said and len(said) < 700
    page.studio.leave("abc")


def test_an_error_that_pops_up_shows_a_name_as_text(client, page):
    """Gradio shows such a message as HTML."""
    client.call(HEAR, client.give("a.wav", b"no sound at all " * 20) | {"orig_name": f"{TAG}.wav"})
    said = client.call(CONVERT, 50, "The voice's own", 0, 0.5, 40)
    assert "&lt;img src=x" in said and "<img" not in said
    page.studio.leave("abc")


def test_a_card_that_was_made_by_another_is_shown_as_text(page, tmp_path, photo):
    """Its metadata are what anyone may write."""
    studio = page.studio
    folder = studio.folder / "card"
    folder.mkdir()
    (folder / "f.png").write_bytes(photo)
    person = studio.look("abc", FIRST, [{"path": str(folder / "f.png"), "orig_name": f"{TAG}.png"}])
    assert "<img src=x" not in fields.render_person(person)
    made = folder / "c.safetensors"
    content = studio.make_card("abc").read_bytes()
    folder.mkdir()  # it went with the photo
    made.write_bytes(content)
    evil = rewritten_card(made, TAG)
    try:
        card = studio.look("abc", FIRST, [{"path": str(evil), "orig_name": f"{TAG}.safetensors"}])
        assert isinstance(card.files[0], Card)
        html = fields.render_person(card)
    except FaceVCError as error:
        html = views.render_failure(str(error))
    assert "<img" not in html and "&lt;img" in html
    studio.leave("abc")


def rewritten_card(path: Path, text: str) -> Path:
    """The card with `text` wherever its metadata have text about who and when."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(path, "numpy") as opened:
        names, found = opened.keys(), dict(opened.metadata())
        tensors = {name: opened.get_tensor(name) for name in names}
    for key, value in found.items():
        if key == "origin":
            found[key] = json.dumps([part | {"file": text} for part in json.loads(value)])
        elif key == "made":
            found[key] = text
    save_file(tensors, path, found)
    return path


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.xhtml", "a.xml", "a.js", "a.pdf"])
def test_an_upload_is_never_run_in_the_browser(client, name):
    """Shown as what they are, they would run scripts as the page's own."""
    given = client.give(name, b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    client.join(HEAR, given)
    status, _, headers = client.ask("GET", FILE + quote(str(given["path"])))
    assert (
        status == 200
        and headers["content-disposition"].startswith("attachment")
        and headers["content-type"] == "application/octet-stream"
    )
    assert headers["x-content-type-options"] == "nosniff" and "sandbox" in headers["content-security-policy"]


# folders of servers that were killed


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def abandoned(parent: Path) -> Path:
    """The folder of a server that is gone."""
    home = parent / f"{PREFIX}gone"
    home.mkdir(mode=0o700)
    (home / "files").mkdir()
    (home / "files" / "x.wav").write_bytes(b"x")
    (home / "lock").touch()
    (home / OWNER).write_text(f"facevc serve {home.name}\n")
    return home


def test_a_folder_of_a_killed_server_goes_at_the_next_start(temporary):
    home = abandoned(temporary)
    with open_upload_folder() as folder:
        assert not home.exists() and folder.is_dir() and folder.parent.parent == temporary
        with open_upload_folder() as other:  # a second server at the same time
            assert folder.is_dir() and other.is_dir()
        assert folder.is_dir()
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="links and modes as POSIX has them")
def test_what_only_looks_like_ours_stays(temporary, monkeypatch):
    precious = temporary / "precious"
    precious.mkdir(mode=0o700)
    (precious / "x").write_bytes(b"x")
    home = abandoned(temporary)

    def stays() -> bool:
        sweep_abandoned(temporary)
        return home.exists() and (precious / "x").exists()

    held = FileLock(home / "lock")
    held.acquire()
    assert stays()
    held.release()
    (home / OWNER).write_text("facevc serve another-\n")
    assert stays()
    (home / OWNER).unlink()
    assert stays()
    (home / OWNER).symlink_to(precious / "x")
    assert stays()
    (home / OWNER).unlink()
    (home / OWNER).write_text(f"facevc serve {home.name}\n")
    home.chmod(0o755)
    assert stays()
    home.chmod(0o700)
    (home / "lock").unlink()
    (home / "lock").symlink_to(precious / "x")
    assert stays()
    (home / "lock").unlink()
    (home / "lock").touch()
    (temporary / f"{PREFIX}link").symlink_to(precious)
    (temporary / f"{PREFIX}file").write_bytes(b"x")
    (temporary / f"{PREFIX}empty").mkdir()
    (temporary / f"{PREFIX}odd \n*[x]").mkdir()
    (home / "files" / "out").symlink_to(precious)
    monkeypatch.setattr(folder_module.os, "getuid", lambda: os.geteuid() + 1)
    assert stays()
    monkeypatch.undo()
    sweep_abandoned(temporary)
    assert not home.exists() and (precious / "x").read_bytes() == b"x"
    assert sorted(path.name for path in temporary.iterdir()) == sorted(
        ["precious", *(f"{PREFIX}{n}" for n in ("link", "file", "empty", "odd \n*[x]"))]
    )


def test_unfinished_uploads_are_told_from_finished_ones(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.wav").write_bytes(bytes(100_000))
    (tmp_path / "tmpabc").write_bytes(b"")
    assert count_used_bytes(tmp_path) == 100_000 + 65_536
    delete_unfinished(tmp_path)
    assert list_names(tmp_path) == ["x.wav"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_killed_server_leaves_nothing_for_long_and_ctrl_c_nothing_at_all(model, tmp_path):
    for number, left in ((signal.SIGKILL, 1), (signal.SIGINT, 0)):
        process = start_serving(model, tmp_path, "--json")
        try:
            assert "The page is at http://127.0.0.1:" in (said := process.stderr.readline())
            (folder,) = tmp_path.glob("facevc-serve-*")
            assert Client(int(said.split()[4].split(":")[2].strip("/"))).upload("a.wav", bytes(2000))[0] == 200
            assert [path.stat().st_size for path in folder.rglob("*.wav")] == [2000]
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
        assert len(list(tmp_path.iterdir())) == left
    assert process.returncode == 0 and '"done": 0' in out and "Closed" in err and "Traceback" not in err


def test_the_mounted_page_counts_as_launched(tmp_path):
    import gradio as gr

    with gr.Blocks() as blocks:
        gr.Markdown("x")
    mount(blocks, "127.0.0.1", 1, 1 << 20)
    assert blocks.has_launched and blocks.allowed_paths == []


def test_the_studio_itself_reads_nothing_else(model, tmp_path, secret):
    (tmp_path / "files").mkdir()
    studio = Studio(lambda: Converter(model, "griffin-lim", "cpu"), tmp_path / "files", 1.0)
    for path in (str(secret), "\0", "x" * 5000, None):
        with pytest.raises(FaceVCError, match="no longer here"):
            studio.hear("abc", {"path": path})
