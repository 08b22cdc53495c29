"""The page's tab "Restyle": what is refused, what is made and deleted, and all of it in a browser."""

import urllib.request
from dataclasses import replace

import numpy as np
import pytest
from helpers.composites import make_composites
from helpers.folders import list_names
from helpers.networks import FakeAnalyser, FakeEmbedder, make_converter
from helpers.pages import add_photo, add_sound, needs_browser, needs_gradio, open_chromium
from PIL import Image

from facevc_cli.core.errors import FaceVCError
from facevc_cli.faces.analyser import FaceObservation, NoFaceError
from facevc_cli.faces.landmarks import FaceLandmarks
from facevc_cli.faces.reading import FUSED_DIM, FaceReading, pack
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.image import load_image
from facevc_cli.imagining.voice import listen
from facevc_cli.page.restyled_photos import RestyledPhotos
from facevc_cli.page.studio import Studio
from facevc_cli.portraits.photo import Aim, PhotoFace, Restyled
from facevc_cli.provenance.pictures import read_picture_mark
from facevc_cli.stages.serve import ServeConfig, serve_in_background

PAGE = "page a"


class FakeRestyler:
    """Reads a man of 33 in every photo that is not black. Makes it lighter by ten times the strength."""

    composites = make_composites()

    def __init__(self) -> None:
        self.aims: list[Aim] = []

    def look(self, picture):
        if not picture.any():
            raise NoFaceError("expected a face, found none.")
        embedding = pack(np.full(128, 0.1), np.zeros(FUSED_DIM - 130), -2.0, 33.0)
        return FaceObservation(np.array([1, 1, 9, 9], np.float32), 1.0, 1, embedding, picture[:8, :8])

    def find_face(self, picture):
        seen = self.look(picture)
        landmarks = FaceLandmarks(np.zeros((468, 2)), np.zeros(468), 1.0, 0.0)
        return PhotoFace(picture, 0, seen.box, landmarks, seen.embedding, 1, seen.crop)

    def restyle(self, face, aim, strength):
        self.aims.append(aim)
        made = face.picture + np.uint8(round(10 * strength))
        return Restyled(made, face.reading, FaceReading(0.9, 50), 0.41, (0, 0, 1, 1))


@pytest.fixture
def studio(model, tmp_path):
    converter = make_converter(model, FakeAnalyser())
    return Studio(lambda: converter, tmp_path, max_seconds=4.0)


@pytest.fixture
def photos(studio):
    made = RestyledPhotos(studio)
    made.__dict__.update(restyler=FakeRestyler(), _voice_embedder=FakeEmbedder())
    return made


def test_what_is_refused(photos, studio):
    with pytest.raises(FaceVCError, match="There is no photo yet"):
        photos.restyle(PAGE, "sliders", 1.0, 40.0)
    with pytest.raises(FaceVCError, match=r"black\.png: expected a face, found none"):
        photos.look(PAGE, [add_photo(studio, 0, "black.png")])
    with pytest.raises(FaceVCError, match=r"black\.png: expected a face"):  # the button says it again
        photos.restyle(PAGE, "sliders", 1.0, 40.0)
    with pytest.raises(FaceVCError, match="expected one photo, found 2"):
        photos.look(PAGE, [add_photo(studio, 40), add_photo(studio, 50)])
    photos.look(PAGE, [add_photo(studio, 60), None])
    with pytest.raises(FaceVCError, match="Move one"):  # 1 / (1 + exp(2)) is .12, which the slider shows as .1
        photos.restyle(PAGE, "sliders", 0.1, 33.0)
    for strength in (0.0, 1.6, float("nan")):
        with pytest.raises(FaceVCError, match="expected a strength above 0 and at most 1.5"):
            photos.restyle(PAGE, "sliders", 1.0, 33.0, strength)
    with pytest.raises(FaceVCError, match="There is no voice yet"):
        photos.restyle(PAGE, "voice")
    with pytest.raises(FaceVCError, match="There is no other face yet"):
        photos.restyle(PAGE, "face")
    with pytest.raises(FaceVCError, match="at most 4 s of speech"):
        photos.hear(PAGE, add_sound(studio, 5.0))
    with pytest.raises(FaceVCError, match="at most 4 s of speech"):
        photos.restyle(PAGE, "voice")
    assert photos.restyler.aims == []


def test_a_file_of_this_computer_is_not_read(photos, studio, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "secret.png"
    Image.new("RGB", (20, 20), "white").save(other)
    with pytest.raises(FaceVCError, match="no longer here"):
        photos.look(PAGE, [{"path": str(other), "orig_name": "secret.png"}])


def test_a_photo_is_moved_by_sliders_and_marked(photos, studio):
    upload = add_photo(studio, 60, "anna b.png")
    digest = hash_file(upload["path"])
    assert photos.look(PAGE, [upload, None]).face.reading.age_years == pytest.approx(33)
    made = photos.restyle(PAGE, "sliders", 1.0, 33.0, 0.5)
    aim = photos.restyler.aims[0]
    assert (aim.register, aim.age_years, aim.descriptor) == (1.0, None, None)  # the age was not moved
    assert made.path.name == "anna_b__restyled.png" and load_image(made.path)[0, 0].tolist() == [65, 65, 65]
    mark = read_picture_mark(made.path)
    assert (mark.made, mark.photo_sha256, mark.settings) == ("restyled", digest[:16], "strength 0.5, register 1")
    assert list_names(studio.folder) == [made.path.name]  # the upload is deleted, and the photo is kept in memory
    again = photos.restyle(PAGE, "sliders", 0.1, 60.0)
    assert (photos.restyler.aims[1].register, photos.restyler.aims[1].age_years) == (None, 60.0)
    assert list_names(studio.folder) == [again.path.name]
    studio.leave(PAGE)
    assert list_names(studio.folder) == []


def test_towards_a_voice_and_a_face(photos, studio):
    photos.look(PAGE, [add_photo(studio, 60)])
    sound, face = add_sound(studio, 0.8, "hallo.wav"), add_photo(studio, 90, "g.png")
    heard, digests = listen(sound["path"], FakeEmbedder()), (hash_file(sound["path"]), hash_file(face["path"]))
    photos.hear(PAGE, sound)
    made = photos.restyle(PAGE, "voice", 1.0, 60.0)  # the sliders are hidden then, and do not count
    aim = photos.restyler.aims[0]
    assert (aim.register, aim.age_years) == pytest.approx((heard.feminine, heard.age_years), abs=1e-3)
    assert made.heard.feminine == aim.register
    assert read_picture_mark(made.path).voice_sha256 == (digests[0][:16],)
    photos.look_at_guide(PAGE, [face, None])
    made = photos.restyle(PAGE, "face")
    assert photos.restyler.aims[1].register is None and photos.restyler.aims[1].descriptor.shape == (FUSED_DIM,)
    assert read_picture_mark(made.path).face_sha256 == (digests[1][:16],) and made.heard is None
    assert photos.look_at_guide(PAGE, [None, None]) is None
    with pytest.raises(FaceVCError, match="There is no other face yet"):
        photos.restyle(PAGE, "face")


def test_what_is_said_of_a_result(tmp_path):
    pytest.importorskip("gradio")
    from facevc_cli.page.restyled_photos import RestyledResult
    from facevc_cli.page.tabs.restyle import render_result

    grey = np.zeros((4, 4, 3), np.uint8)
    made = Restyled(grey, FaceReading(0.04, 30), FaceReading(0.8, 52), 0.45, (0, 0, 1, 1))
    told = render_result(RestyledResult(tmp_path, grey, made, None, 2.0))
    assert "Before, read as a man (certainty 0.96) of about 30 years." in told
    assert "After, as a woman (certainty 0.80) of about 52 years." in told and "still taken for one person" in told
    far = replace(made, distance=0.61)
    assert "taken for two people" in render_result(RestyledResult(tmp_path, grey, far, None, 2.0))


@needs_gradio
@needs_browser
@pytest.mark.slow
def test_from_a_photo_to_a_restyled_one(tmp_path):
    with serve_in_background(ServeConfig(port=0, device="cpu", max_seconds=20)) as page, open_chromium() as browser:
        tab = browser.new_page(viewport={"width": 1200, "height": 1500})
        tab.set_default_timeout(120_000)
        tab.goto(page.url)
        tab.get_by_role("tab", name="Restyle").click()
        tab.click("#restyle")
        tab.wait_for_selector(".toast-body.error :text('There is no photo yet')")
        tab.click("#restyle-example-0")
        tab.wait_for_selector("#seen-restyle :text('Read as a woman')")
        tab.wait_for_selector("#restyle-heard :text('s of sound')")
        assert tab.is_hidden("#restyle-register") and tab.is_hidden("#face-guide")
        tab.click("#restyle")
        tab.wait_for_selector("#restyle-told :text('Heard: a man')")
        assert "Before, read as a woman" in tab.inner_text("#restyle-told")
        tab.wait_for_function("document.querySelector('#restyle-after img')?.naturalWidth > 100")
        tab.wait_for_function("document.querySelector('#restyle-before img')?.naturalWidth > 100")
        with urllib.request.urlopen(tab.get_attribute("#restyle-after img", "src")) as answer:
            (tmp_path / "made.jpg").write_bytes(answer.read())
        mark = read_picture_mark(tmp_path / "made.jpg")
        assert mark.made == "restyled" and mark.voice_sha256 and mark.settings == "strength 1"
        tab.get_by_label("A register and an age").click()
        tab.wait_for_selector("#restyle-register")
        tab.fill("#restyle-age input[type=number]", "70")
        tab.keyboard.press("Tab")
        tab.click("#restyle")
        tab.wait_for_selector("#restyle-told :text-matches('^Before')")
        tab.set_viewport_size({"width": 390, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
