"""The page's tab "Imagine": what is refused, what is drawn and answered, and both in a browser."""

import io
import urllib.request

import numpy as np
import pytest
from helpers.composites import make_composites
from helpers.folders import list_names
from helpers.networks import FakeAnalyser, FakeEmbedder, make_converter, replace_voice_embedder
from helpers.pages import add_sound, needs_browser, needs_gradio, open_chromium
from helpers.portraits import FakeJudge
from PIL import Image

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.image import load_image
from facevc_cli.imagining.imaginer import Imaginer
from facevc_cli.page.imagined_faces import ImaginedFaces
from facevc_cli.page.studio import Studio
from facevc_cli.provenance.metadata import read_provenance
from facevc_cli.provenance.pictures import read_picture_mark
from facevc_cli.provenance.watermark import detect
from facevc_cli.stages.serve import ServeConfig, serve_in_background

PAGE = "page a"


@pytest.fixture
def studio(model, tmp_path, monkeypatch):
    replace_voice_embedder(monkeypatch, FakeEmbedder())
    converter = make_converter(model, FakeAnalyser())
    return Studio(lambda: converter, tmp_path, max_seconds=4.0)


@pytest.fixture
def faces(studio, model):
    made = ImaginedFaces(studio)
    made.__dict__["imaginer"] = Imaginer(model, "cpu", composites=make_composites(), judge=FakeJudge())
    return made


def test_what_is_refused(faces, studio):
    with pytest.raises(FaceVCError, match="There is no voice yet"):
        faces.imagine(PAGE, 2)
    with pytest.raises(FaceVCError, match="There are no faces yet"):
        faces.answer(PAGE, 1)
    with pytest.raises(FaceVCError, match="at most 4 s of speech"):
        faces.hear(PAGE, add_sound(studio, 5.0))
    with pytest.raises(FaceVCError, match="at most 4 s of speech"):
        faces.imagine(PAGE, 1)
    faces.hear(PAGE, add_sound(studio))
    with pytest.raises(FaceVCError, match="expected 1 to 6 faces, found 7"):
        faces.imagine(PAGE, 7)
    faces.imagine(PAGE, 2)
    with pytest.raises(FaceVCError, match="There are no faces yet"):
        faces.answer(PAGE, 3)


def test_faces_are_drawn_for_the_voice_and_answer(faces, studio):
    upload = add_sound(studio, 0.8, "hallo.wav")
    assert faces.hear(PAGE, upload).seconds == pytest.approx(0.8)
    drawn = faces.imagine(PAGE, 3)
    assert (drawn.path.name, drawn.count) == ("hallo__faces.png", 3) and 0 <= drawn.feminine <= 1
    mark = read_picture_mark(drawn.path)
    assert mark.made == "imagined" and mark.voice_sha256 == (hash_file(upload["path"])[:16],)
    first = studio.find_session(PAGE).imagined[0]
    assert np.array_equal(load_image(drawn.path)[38 : 38 + 64, 8 : 8 + 64], first)
    made = faces.answer(PAGE, 2)
    assert made.path.name == "hallo__face-2.wav" and made.seconds == pytest.approx(0.8, abs=0.01)
    assert read_provenance(made.path).synthetic
    again = faces.imagine(PAGE, 3, seed=1)
    assert not drawn.path.exists() and again.path.exists()  # one sheet is kept
    studio.leave(PAGE)
    assert list_names(studio.folder) == []


def test_a_new_voice_has_no_faces_yet(faces, studio):
    faces.hear(PAGE, add_sound(studio))
    faces.imagine(PAGE, 1)
    assert faces.hear(PAGE, None) is None
    with pytest.raises(FaceVCError, match="There are no faces yet"):
        faces.answer(PAGE, 1)


@needs_gradio
@needs_browser
@pytest.mark.slow
def test_from_a_voice_to_faces_that_answer(tmp_path):
    with serve_in_background(ServeConfig(port=0, device="cpu", max_seconds=20)) as page, open_chromium() as browser:
        tab = browser.new_page(viewport={"width": 390, "height": 900})
        tab.set_default_timeout(120_000)
        tab.goto(page.url)
        tab.get_by_role("tab", name="Imagine").click()
        tab.click("#imagine")
        tab.wait_for_selector(".toast-body.error :text('There is no voice yet')")
        tab.click("#imagine-example-0")
        tab.wait_for_selector("#imagine-heard :text('6.2 s of sound')")
        tab.click("#imagine")
        tab.wait_for_selector("#imagine-told :text('Heard: a woman')")
        assert "not the speaker's" in tab.inner_text("#imagine-told")
        tab.wait_for_function("document.querySelector('#imagine-sheet img')?.naturalWidth > 400")
        with urllib.request.urlopen(tab.get_attribute("#imagine-sheet img", "src")) as answer:
            (tmp_path / "sheet.png").write_bytes(answer.read())
        assert read_picture_mark(tmp_path / "sheet.png").made == "imagined"
        tab.get_by_label("Face 2").click()
        tab.click("#imagine-answer")
        tab.wait_for_selector("#imagine-spoken :text('6.2 s of synthetic speech')")
        address = tab.get_attribute("#imagine-result a[download='speech_woman__face-2.wav']", "href")
        with urllib.request.urlopen(address) as answer:
            import soundfile

            heard, rate = soundfile.read(io.BytesIO(answer.read()))
        assert len(heard) / rate == pytest.approx(6.2, abs=0.1) and detect(heard, rate).marked
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        tab.set_viewport_size({"width": 1200, "height": 1500})
        tab.screenshot(path=str(tmp_path / "imagine.png"))
        with Image.open(tmp_path / "imagine.png") as shown:
            assert shown.width == 1200
