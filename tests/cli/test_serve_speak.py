"""The page's tab "Speak", and the examples to click on: what is refused, what is made, and both in a browser."""

import hashlib
import io
import time
import urllib.request
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from helpers.folders import list_names
from helpers.networks import FakeAnalyser, make_converter
from helpers.pages import add_photo, add_sound, needs_browser, needs_gradio, open_chromium
from helpers.repository import EXAMPLES
from helpers.speech_engines import FakeSynthesiser, replace_engine

from facevc_cli.conversion.card import load_card
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.page.examples import ASSETS
from facevc_cli.page.page import build
from facevc_cli.page.studio import FIRST, Studio
from facevc_cli.page.tabs import convert, speak
from facevc_cli.page.text_speech import VOICE, WHO, TextSpeech
from facevc_cli.provenance.metadata import read_provenance
from facevc_cli.provenance.watermark import detect
from facevc_cli.stages.serve import ServeConfig, serve_in_background

A, B = "page a", "page b"


@pytest.fixture(scope="module")
def converter(model):
    return make_converter(model, FakeAnalyser())


@pytest.fixture
def engine(monkeypatch):
    return replace_engine(monkeypatch)


@pytest.fixture
def studio(converter, tmp_path):
    return Studio(lambda: converter, tmp_path, max_seconds=4.0)


@pytest.fixture
def speech(studio, engine):
    return TextSpeech(studio)


@pytest.fixture
def targets(studio, monkeypatch):
    """The targets of the conversions to come."""
    found: list = []
    spoken = studio.converter.speak
    monkeypatch.setattr(
        studio.converter, "speak", lambda source, target: (found.append(target), spoken(source, target))[1]
    )
    return found


# what is refused


@pytest.mark.parametrize("text", ["", "  \n\t ", "\u3000"])
def test_no_text(speech, studio, text):
    studio.look(A, WHO, [add_photo(studio, 90)])
    with pytest.raises(FaceVCError, match="There is no text yet"):
        speech.speak(A, text)


def test_no_face_is_said_before_anything_is_synthesised(speech, studio, engine):
    studio.look(A, FIRST, [add_photo(studio, 90)])  # the other tab's person is not meant
    with pytest.raises(FaceVCError, match="There is no face yet"):
        speech.speak(A, "Hello.")
    with pytest.raises(FaceVCError, match=r"dark\.png: expected a face"):
        studio.look(A, WHO, [add_photo(studio, 0, "dark.png")])
    with pytest.raises(FaceVCError, match=r"dark\.png: expected a face"):
        speech.speak(A, "Hello.")
    assert engine.said == []


def test_a_text_with_too_many_characters(speech, studio, engine):
    studio.look(A, WHO, [add_photo(studio, 90)])
    assert speech.most_characters == 100
    with pytest.raises(FaceVCError, match="at most 100 characters, found 101"):
        speech.speak(A, "x" * 101)
    assert engine.said == []


@pytest.mark.parametrize(("seconds", "characters"), [(1, 100), (60, 900), (1e9, 20_000)])
def test_the_limit_of_a_text_follows_that_of_speech(engine, seconds, characters):
    assert TextSpeech(SimpleNamespace(max_seconds=seconds)).most_characters == characters


def test_synthesis_stops_when_the_sound_is_too_long(speech, studio, engine):
    """At half speed the engine needs 0.1 s for each character: 19 characters and a pause last 2.1 s."""
    studio.look(A, WHO, [add_photo(studio, 90)])
    sentence = "This is a sentence."
    assert len(sentence) == 19
    with pytest.raises(FaceVCError, match=r"at most 4 s of speech, but sentence 2 of 4 ends after 4 s"):
        speech.speak(A, " ".join([sentence] * 4), speed=0.5)
    assert engine.said == [sentence] * 2 and list(studio.folder.rglob("*.wav")) == []


def test_what_cannot_be_said(speech, studio, engine):
    studio.look(A, WHO, [add_photo(studio, 90)])
    with pytest.raises(FaceVCError, match="the engine fake cannot say"):
        speech.speak(A, "A crash.")
    with pytest.raises(FaceVCError, match="nothing in this text can be said"):
        speech.speak(A, "\N{GRINNING FACE}")
    with pytest.raises(UsageError, match="no German"):
        speech.speak(A, "Hallo.", language="de")
    with pytest.raises(UsageError, match="--speed 9"):
        speech.speak(A, "Hello.", speed=9)
    made = speech.speak(A, "Say xyzzy \N{GRINNING FACE} now.")
    assert "xyzzy" in made.left_out and len(made.left_out) == 2
    assert "Not said" in speak.render_result(made) and "xyzzy" in speak.render_result(made)


@pytest.mark.parametrize("odd", ["\0", "\ud800", "\u202e", "\x1b[31m", "\N{GRINNING FACE}", "\n" * 50, "<b>&"])
def test_odd_characters_do_no_harm(speech, studio, odd):
    studio.look(A, WHO, [add_photo(studio, 90)])
    made = speech.speak(A, f"One {odd} two.")
    assert made.path.is_relative_to(studio.folder) and made.path.name.isprintable() and made.seconds > 0.2
    assert read_provenance(made.path).text_sha256


def test_a_page_closed_on_the_way_stops_the_synthesis(speech, studio, engine, monkeypatch):
    studio.look(A, WHO, [add_photo(studio, 90)])
    synthesise = engine.synthesise
    monkeypatch.setattr(engine, "synthesise", lambda *given: (studio.leave(A), synthesise(*given))[1])
    with pytest.raises(FaceVCError, match="closed"):
        speech.speak(A, "One. Two. Three.")
    assert engine.said == ["One."] and list(studio.folder.rglob("*.wav")) == []


# what is made


def test_a_text_in_the_voice_of_a_face(speech, studio, engine, targets):
    given = add_photo(studio, 90)
    expected = studio.converter.target_from_face(Path(given["path"]))
    studio.look(A, WHO, [given])
    reports = []
    made = speech.speak(A, "Hello, you. Good night.", report=lambda *told: reports.append(told))
    assert reports == [(0, 2), (1, 2), (2, 2), (1, 1)] and engine.said == ["Hello, you.", "Good night."]
    np.testing.assert_allclose(targets[0].speaker, expected.speaker, rtol=1e-5)
    assert made.path.name == "hello-you-good-night__f.wav" and made.text == "Hello, you. Good night."
    assert len(made.faces) == 1 and made.faces[0].ndim == 3 and made.left_out == ()
    heard, rate = soundfile.read(made.path)
    # 11 + 11 characters in 1.1 s, a pause of 0.25 s, and at each of the four ends at most 0.03 s of silence
    assert 1.35 <= made.seconds <= 1.5 and len(heard) / rate == pytest.approx(made.seconds, abs=0.01)
    found, comment = read_provenance(made.path), soundfile.SoundFile(made.path).comment
    assert "made from text by facevc" in comment and "from a text in the voice of the face f.png" in comment
    assert (found.engine, found.engine_voice, found.watermark) == ("fake", "buzz", True)
    assert found.text_sha256 == hashlib.sha256(b"Hello, you. Good night.").hexdigest()[:16]
    assert not Path(given["path"]).exists() and studio.conversions == 1


def test_only_what_changed_is_made_anew(speech, studio, engine):
    studio.look(A, WHO, [add_photo(studio, 90)])
    first = speech.speak(A, "Hello.")
    studio.look(A, WHO, [add_photo(studio, 30, "g.png")])
    second = speech.speak(A, "Hello.")
    assert engine.said == ["Hello."] and not first.path.exists() and second.path.name == "hello__g.wav"
    faster = speech.speak(A, "Hello.", speed=2)
    assert engine.said == ["Hello."] * 2 and faster.seconds < second.seconds


def test_the_engine_is_loaded_once(studio, monkeypatch):
    loaded = []
    monkeypatch.setattr(
        "facevc_cli.speaking.narrator.load_synthesiser", lambda name: (loaded.append(name), FakeSynthesiser())[1]
    )
    speech = TextSpeech(studio)
    assert speech.is_usable
    for page, speed in ((A, 1.0), (B, 1.5)):
        studio.look(page, WHO, [add_photo(studio, 90)])
        speech.speak(page, "Hello.", speed=speed, language="en-gb")
    assert loaded == ["kokoro"]


def test_the_sliders_and_the_card_are_those_of_this_person(speech, studio, targets):
    studio.look(A, FIRST, [add_photo(studio, 30)])
    studio.look(A, WHO, [add_photo(studio, 90)])
    reading = studio.read(A, 0.0, VOICE)
    for register in (reading.slider_register, 0.45):
        speech.speak(A, "Hello.", register, reading.slider_age)
    still, moved = (studio.converter.read_voice(target).register for target in targets)
    assert still == reading.register and moved != still
    card = load_card(studio.make_card(A, 0.0, 0.45, reading.slider_age, VOICE))
    np.testing.assert_array_equal(card.address, targets[1].address[0])


def test_both_tabs_keep_their_results_until_the_page_is_left(speech, studio):
    studio.hear(A, add_sound(studio))
    studio.look(A, FIRST, [add_photo(studio, 30)])
    studio.look(A, WHO, [add_photo(studio, 90)])
    converted = studio.convert(A)
    spoken = speech.speak(A, "Hello.")
    assert converted.path.exists() and spoken.path.exists()
    studio.leave(A)
    assert list_names(studio.folder) == []


# the tab


def list_fields(studio: Studio) -> dict[str, dict]:
    return {field["props"].get("elem_id"): field["props"] for field in build(studio, "m").config["components"]}


@needs_gradio
def test_without_the_engine_the_tab_says_what_to_install(studio, monkeypatch):
    def fail(name):
        raise FaceVCError("not installed")

    monkeypatch.setattr("facevc_cli.speaking.narrator.load_synthesiser", fail)
    fields = list_fields(studio)
    assert '`pip install "facevc[speak]"`' in fields["speak-missing"]["value"]
    assert "speak" not in fields and "convert" in fields


@needs_gradio
def test_the_limits_are_said_and_set(studio, engine):
    text = list_fields(studio)["text"]
    assert text["max_length"] == 100 and text["info"] == "At most 100 characters and 4 s of speech."


# examples


def list_example_files() -> set[str]:
    values = [value for tab in (convert, speak) for example in tab.EXAMPLES.values() for value in example]
    given = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return {one.name for one in given if isinstance(one, Path)}


def test_the_examples_are_bundled_small_and_those_of_the_documentation():
    folder = Path(str(files("facevc_cli") / ASSETS))
    assert {path.name for path in folder.iterdir()} == {*list_example_files(), "README.md"}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 400_000
    origins = (folder / "README.md").read_text(encoding="utf-8")
    for name in list_example_files():
        assert f"`{name}`" in origins
        if name != "face_astronaut.jpg":  # a part of face.jpg
            assert (folder / name).read_bytes() == (EXAMPLES / name).read_bytes()


# in a browser


@pytest.fixture(scope="module")
def page():
    """The bundled model with a fake engine."""
    with pytest.MonkeyPatch.context() as patch:
        replace_engine(patch)
        with serve_in_background(ServeConfig(port=0, device="cpu", max_seconds=20)) as page:
            yield page


@pytest.fixture
def tab(page):
    with open_chromium() as browser:
        tab = browser.new_page(viewport={"width": 390, "height": 900})
        tab.set_default_timeout(60_000)
        tab.goto(page.url)
        yield tab
        tab.close()


@needs_gradio
@needs_browser
@pytest.mark.slow
def test_from_typing_to_audible_result(tab, page, tmp_path):
    tab.get_by_role("tab", name="Speak").click()
    tab.click("#speak")
    tab.wait_for_selector(".toast-body.error :text('There is no text yet')")
    tab.locator("#text textarea").press_sequentially("Good morning, <b>all</b> of you.")
    tab.set_input_files("#face-2 input[type=file]", str(EXAMPLES / "face_man.jpg"))
    tab.wait_for_selector("#speak-reading :text('Read as a masculine voice')")
    tab.click("#speak")
    tab.wait_for_selector("#speak-told :text('s of synthetic speech')")
    assert tab.inner_text("#spoken blockquote") == "Good morning, <b>all</b> of you."
    assert tab.evaluate("document.querySelector('#spoken img').naturalWidth") > 50
    address = tab.get_attribute("#speak-result a[download='good-morning-b-all-b-of-you__face_man.wav']", "href")
    with urllib.request.urlopen(address) as answer:
        file = soundfile.SoundFile(io.BytesIO(answer.read()))
    heard = file.read()
    assert len(heard) / file.samplerate > 1 and np.sqrt(np.mean(heard**2)) > 0.01 and np.abs(heard).max() < 1
    assert file.comment.startswith("synthetic speech: made from text") and detect(heard, file.samplerate).marked
    tab.click("#speak-result button[aria-label*='Play']")
    tab.wait_for_function("document.querySelector('#speak-result #time').textContent != '0:00'")
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")  # nothing is cut off
    with tab.expect_download() as download:
        tab.click("#speak-keep")
    download.value.save_as(tmp_path / "man.safetensors")
    assert [part["file"] for part in load_card(tmp_path / "man.safetensors").origin] == ["face_man.jpg"]


@needs_gradio
@needs_browser
@pytest.mark.slow
def test_examples_fill_the_fields_of_both_tabs(tab, page):
    tab.click("#example-1")
    tab.wait_for_selector("#heard :text('6.2 s of sound')")
    tab.wait_for_selector("#reading :text('Read as a masculine voice')")
    tab.click("#convert")
    tab.wait_for_selector("#told :text('6.2 s of synthetic speech')")
    tab.get_by_role("tab", name="Speak").click()
    tab.click("#speak-example-0")
    tab.wait_for_selector("#speak-reading :text('Read as a feminine voice')")
    assert tab.input_value("#text textarea") == "Hi, the weather is nice today."
    tab.click("#speak")
    tab.wait_for_selector("#speak-told :text('s of synthetic speech')")
    tab.close()
    deadline = time.monotonic() + 10
    while list_names(page.studio.folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list_names(page.studio.folder) == []
