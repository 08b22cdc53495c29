"""The page's tab "Live": who may speak, the web socket under attack, and a browser whose microphone plays a file."""

import json
import threading
import time
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.folders import list_names
from helpers.live import DelayConverter, make_tone
from helpers.networks import FakeAnalyser, make_converter, replace_face_analyser
from helpers.pages import CHROMIUM, add_photo, needs_browser, needs_gradio
from helpers.repository import EXAMPLES
from helpers.sounds import recording

from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import FaceVCError
from facevc_cli.page import live_speech
from facevc_cli.page.live_socket import LARGEST_BLOCK, PATH, read_block
from facevc_cli.page.live_speech import MOST_CALLS, TICKET_S, WHO, LiveSpeech
from facevc_cli.page.page import build
from facevc_cli.page.studio import FIRST, Studio
from facevc_cli.stages.serve import ServeConfig, serve_in_background

A, B, C = "page a", "page b", "page c"


def repeat_streams(patch: pytest.MonkeyPatch, opened: list | None = None) -> None:
    def stream(self, target, rate=None, settings=None):
        made = DelayConverter(self.rate, settings.step_frames * 256, 1024)
        made.target = target
        (opened if opened is not None else []).append(made)
        return made

    patch.setattr(Converter, "stream", stream, raising=False)


@pytest.fixture(scope="module")
def converter(model):
    return make_converter(model, FakeAnalyser())


@pytest.fixture
def streams(monkeypatch):
    opened: list = []
    repeat_streams(monkeypatch, opened)
    return opened


@pytest.fixture
def studio(converter, tmp_path):
    made = Studio(lambda: converter, tmp_path, max_seconds=4.0)
    yield made
    made.close()


@pytest.fixture
def clock():
    return SimpleNamespace(now=time.monotonic())


@pytest.fixture
def live(studio, streams, clock):
    return LiveSpeech(studio, lambda: clock.now)


def begin(live: LiveSpeech, page: str, grey: int = 90) -> str:
    live.studio.look(page, WHO, [add_photo(live.studio, grey)])
    return live.begin(page)


# who may speak


def test_no_face(live, studio):
    studio.look(A, FIRST, [add_photo(studio, 90)])  # another tab's person is not meant
    with pytest.raises(FaceVCError, match="There is no face yet"):
        live.begin(A)
    with pytest.raises(FaceVCError, match="expected a face"):
        studio.look(A, WHO, [add_photo(studio, 0, "dark.png")])
    with pytest.raises(FaceVCError, match=r"dark\.png: expected a face"):
        live.begin(A)
    assert live.count == 0


def test_a_ticket_is_for_one_connection_of_a_browser_s_rate(live):
    ticket = begin(live, A)
    assert len(ticket) == 32 and live.connect("x" * 32, 48000) is None
    assert live.connect(ticket, 7999) is None and live.connect(ticket, 96001) is None
    call = live.connect(ticket, 48000)
    assert call is not None and live.connect(ticket, 48000) is None
    live.end(call)
    assert live.connect(ticket, 48000) is None


def test_a_ticket_that_is_not_used_frees_its_place(live, clock):
    ticket = begin(live, A)
    begin(live, B)
    clock.now += TICKET_S + 1
    assert live.count == 0 and live.connect(ticket, 48000) is None


def test_no_more_than_some_speak_at_once(live):
    calls = [live.connect(begin(live, page), 48000) for page in (A, B)]
    assert len(calls) == MOST_CALLS == live.count
    with pytest.raises(FaceVCError, match="2 people speak already"):
        begin(live, C)
    live.connect(begin(live, A), 48000)  # who speaks may begin again
    assert live.count == 2 and calls[0].is_over
    live.studio.leave(B)
    begin(live, C)


def test_a_page_that_is_left_frees_its_converter(live, studio):
    before = threading.active_count()
    call = live.connect(begin(live, A), 16000)
    assert threading.active_count() == before + 1
    studio.leave(A)
    assert live.count == 0 and call.is_over
    with pytest.raises(FaceVCError, match="over"):
        call.exchange(np.zeros(320, np.float32))
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_a_studio_that_closes_ends_its_calls(live, studio):
    call = live.connect(begin(live, A), 16000)
    studio.close()
    assert call.is_over and live.count == 0


def test_a_failure_of_the_network_ends_the_call(live, monkeypatch):
    call = live.connect(begin(live, A), 16000)
    monkeypatch.setattr(DelayConverter, "push", lambda self, samples: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        for _ in range(500):
            call.exchange(np.zeros(320, np.float32))
            time.sleep(0.01)
    live.end(call)


# what comes back


def test_the_voice_is_that_of_the_face_and_the_photo_is_deleted(live, studio, streams):
    given = add_photo(studio, 90)
    expected = studio.converter.target_from_face(given["path"])
    studio.look(A, WHO, [given])
    live.begin(A)
    np.testing.assert_allclose(streams[-1].target.speaker, expected.speaker, rtol=1e-5)
    assert list_names(studio.folder) == []
    count = len(streams)
    live.begin(A)  # without the photo, which the field still shows, and without measuring again
    assert len(streams) == count + 1


def test_as_many_samples_come_back_as_were_sent(live):
    call = live.connect(begin(live, A), 16000)
    wav, heard = make_tone(3.0), []
    for i in range(0, len(wav), 320):
        heard.append(call.exchange(wav[i : i + 320]))
        time.sleep(0.005)
    live.end(call)
    whole = np.concatenate(heard)
    assert len(whole) == len(wav) and np.abs(whole).max() > 0.2
    assert call.path.figures.describe()["latency_p50_ms"] is not None


@pytest.mark.parametrize("data", [None, "text", b"", b"x", b"xy" * (LARGEST_BLOCK + 1), 5])
def test_what_is_no_block(data):
    assert read_block(data) is None


def test_a_block():
    np.testing.assert_allclose(read_block(np.array([0, 16384, -32768], "<i2").tobytes()), [0, 0.5, -1])


@needs_gradio
def test_without_web_sockets_the_tab_says_what_to_install(studio, monkeypatch):
    monkeypatch.setattr("facevc_cli.page.tabs.live.find_spec", lambda name: None)
    fields = {field["props"].get("elem_id"): field["props"] for field in build(studio, "m").config["components"]}
    assert 'pip install "facevc[page]"' in fields["live-missing"]["value"] and "live-start" not in fields


# over the network


@pytest.fixture(scope="module")
def page(model):
    pytest.importorskip("gradio")
    pytest.importorskip("websockets")
    with pytest.MonkeyPatch.context() as patch:
        repeat_streams(patch)
        replace_face_analyser(patch, FakeAnalyser())
        with serve_in_background(ServeConfig(port=0, checkpoint=model, vocoder="griffin-lim", device="cpu")) as page:
            yield page


def connect(page, path: str, **headers: str):
    from websockets.sync.client import connect as open_socket

    address = page.url.replace("http", "ws").rstrip("/")
    given = {"Origin": page.url.rstrip("/"), **{name.replace("_", "-"): value for name, value in headers.items()}}
    given = {name: value for name, value in given.items() if value}
    return open_socket(f"{address}{path}", additional_headers=given, compression=None, open_timeout=20)


def find_live(page) -> LiveSpeech:
    return next(leave.__self__ for leave in page.studio.leaving)


def start_call(page) -> str:
    return begin(find_live(page), A)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/gradio_api/queue/join", {}),
        (f"{PATH}/", {}),
        (PATH, {}),
        (f"{PATH}?ticket=&rate=48000", {}),
        (f"{PATH}?ticket={'x' * 32}&rate=48000", {}),
        (f"{PATH}?ticket=TICKET&rate=1e5", {}),
        (f"{PATH}?ticket=TICKET&rate=-48000", {}),
        (f"{PATH}?ticket=TICKET", {}),
        (f"{PATH}?ticket=TICKET&rate=48000", {"Origin": "http://evil.example"}),
        (f"{PATH}?ticket=TICKET&rate=48000", {"Origin": ""}),
        (f"{PATH}?ticket=TICKET&rate=48000", {"Origin": "null"}),
        (f"{PATH}?ticket=TICKET&rate=48000", {"Sec_Fetch_Site": "cross-site"}),
    ],
)
def test_a_socket_that_is_refused(page, path, headers):
    from websockets.exceptions import InvalidStatus

    ticket = start_call(page)
    with pytest.raises(InvalidStatus) as refused:
        connect(page, path.replace("TICKET", ticket), **headers)
    assert refused.value.response.status_code == 403
    page.studio.leave(A)


def open_call(page):
    return connect(page, f"{PATH}?ticket={start_call(page)}&rate=16000")


def test_a_call_over_the_network(page):
    wav, heard, told = (make_tone(2.0) * 32767).astype("<i2"), [], []
    with open_call(page) as socket:
        for i in range(0, len(wav), 320):
            socket.send(wav[i : i + 320].tobytes())
            while isinstance(answer := socket.recv(timeout=20), str):
                told.append(json.loads(answer))
            heard.append(np.frombuffer(answer, "<i2"))
            time.sleep(0.01)
    whole = np.concatenate(heard)
    assert len(whole) == len(wav) and np.abs(whole).max() > 6000 and told and "underruns" in told[0]
    live, deadline = find_live(page), time.monotonic() + 10
    while live.count and time.monotonic() < deadline:
        time.sleep(0.02)
    assert live.count == 0


@pytest.mark.parametrize("data", ["text", b"xyz", b"\0" * 60_000])
def test_what_is_no_sound_ends_the_call(page, data):
    from websockets.exceptions import ConnectionClosed

    with open_call(page) as socket:
        socket.send(data)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=20)
    assert socket.close_code == 1008


def test_a_flood_ends_the_call(page):
    from websockets.exceptions import ConnectionClosed

    with open_call(page) as socket, pytest.raises(ConnectionClosed):
        for _ in range(1000):  # ten minutes of sound
            socket.send(bytes(2 * LARGEST_BLOCK))
            socket.recv(timeout=20)
    assert socket.close_code == 1008


def test_a_page_that_is_left_closes_the_socket(page):
    from websockets.exceptions import ConnectionClosed

    with open_call(page) as socket:
        socket.send(bytes(640))
        assert len(socket.recv(timeout=20)) == 640
        page.studio.leave(A)
        socket.send(bytes(640))
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=20)
    assert socket.close_code == 1011


def test_the_script_is_on_the_page(page):
    with urllib.request.urlopen(page.url) as answer:
        assert "facevc-sound" in answer.read().decode()


# in a browser


@needs_gradio
@needs_browser
@pytest.mark.slow
def test_a_microphone_is_heard_in_another_voice(page, tmp_path):
    from playwright.sync_api import Error, sync_playwright

    sound = recording(tmp_path / "microphone.wav", 20.0, 48000, 150.0)
    arguments = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    arguments += [f"--use-file-for-fake-audio-capture={sound}", "--autoplay-policy=no-user-gesture-required"]
    live = find_live(page)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        except Error as error:
            pytest.skip(f"{CHROMIUM} does not start: {error.message.splitlines()[0]}")
        context = browser.new_context(permissions=["microphone"], viewport={"width": 390, "height": 900})
        tab = context.new_page()
        tab.set_default_timeout(120_000)
        said: list[str] = []
        tab.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        tab.goto(page.url)
        tab.get_by_role("tab", name="Live").click()
        tab.click("#live-start")
        tab.wait_for_selector(".toast-body.error :text('There is no face yet')")
        tab.set_input_files("#face-3 input[type=file]", str(EXAMPLES / "face_man.jpg"))
        tab.wait_for_selector("#seen-3 :text('face that was taken')")
        tab.click("#live-start")
        tab.wait_for_function("window.facevcLive?.blocks > 100 && window.facevcLive.loudest > 300")
        tab.wait_for_selector("#live-told :text('underruns')")
        assert live.count == 1
        tab.click("#live-stop")
        tab.wait_for_selector("#live-told :text('Ended.')")
        wait_until(lambda: live.count == 0)
        tab.click("#live-start")
        wait_until(lambda: live.count == 1)
        tab.wait_for_function("window.facevcLive?.blocks > 20")
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        tab.close()  # a page that is left
        wait_until(lambda: live.count == 0)
        assert [text for text in said if "Content Security" in text or "WebSocket" in text] == []
        browser.close()
    assert live_speech.MOST_CALLS == 2


def wait_until(holds) -> None:
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert holds()
