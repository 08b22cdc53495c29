"""faces/analyser.py on drawn faces: what is found, what is refused, and that numbers repeat."""

import sys
import types

import numpy as np
import pytest
from helpers.pictures import draw_face, noise

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.faces import analyser as face
from facevc_cli.faces.analyser import FaceAnalyser, ManyFacesError, NoFaceError


@pytest.fixture(scope="module")
def analyser():
    return FaceAnalyser()


def _two(left, right, size=256):
    return np.hstack([draw_face(left, size), draw_face(right, size, scale=0.7)])


def test_no_face(analyser):
    for image in (noise(0, 192), np.zeros((200, 160, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)):
        with pytest.raises(NoFaceError, match="found none in"):
            analyser.analyse(image)


def test_a_face_of_sixteen_pixels_is_none(analyser):
    with pytest.raises(NoFaceError, match="16 x 16"):
        analyser.analyse(draw_face(1, 16))
    with pytest.raises(NoFaceError):
        analyser.analyse(draw_face(1, 160, scale=0.1))


@pytest.mark.parametrize(
    "image", [np.zeros((50, 50), np.uint8), np.zeros((50, 50, 4), np.uint8), np.zeros((50, 50, 3), np.float32)]
)
def test_arrays_that_are_no_rgb_image(analyser, image):
    with pytest.raises(FaceVCError, match="expected an image as"):
        analyser.analyse(image)


def test_unknown_choices():
    for arguments in ({"detector": "haar"}, {"embedder": "arcface"}, {"on_many": "all"}):
        with pytest.raises(UsageError, match="expected|There are: dlib, fused, facenet"):
            FaceAnalyser(**arguments)


@pytest.mark.parametrize(
    "arguments, module, extra",
    [
        ({"detector": "face-alignment"}, "face_alignment", r"facevc\[face-alignment\]"),
        ({"embedder": "facenet"}, "facenet_pytorch", r"facevc\[facenet\]"),
        ({"detector": "mtcnn"}, "facenet_pytorch", r"facevc\[facenet\]"),
    ],
)
def test_a_missing_extra_is_named(monkeypatch, arguments, module, extra):
    find = face.importlib.util.find_spec
    monkeypatch.setattr(face.importlib.util, "find_spec", lambda name: None if name == module else find(name))
    with pytest.raises(FaceVCError, match=extra):
        FaceAnalyser(**arguments)


def test_one_face(analyser):
    image = draw_face(3)
    found = analyser.analyse(image)
    left, top, right, bottom = found.box
    assert found.faces == 1 and found.score > 0.5
    assert found.box.dtype == np.float32 and 0 <= left < 100 < 150 < right <= 256 and 0 <= top < 128 < bottom <= 256
    assert (
        found.embedding.shape == (128,)
        and found.embedding.dtype == np.float32
        and 1 < np.linalg.norm(found.embedding) < 2
    )
    assert found.crop.shape == (150, 150, 3) and found.crop.dtype == np.uint8
    np.testing.assert_array_equal(analyser.analyse(image).embedding, found.embedding)


def test_embeddings_tell_people_apart_and_repeat_over_place_and_size(analyser):
    first = analyser.analyse(draw_face(3)).embedding
    moved = analyser.analyse(draw_face(3, 384, centre=(0.46, 0.53), scale=0.8)).embedding
    other = analyser.analyse(draw_face(4)).embedding
    assert np.linalg.norm(first - moved) < 0.15 < np.linalg.norm(first - other)
    np.testing.assert_array_equal(FaceAnalyser().analyse(draw_face(3)).embedding, first)


@pytest.mark.parametrize("size", [64, 1600])
def test_small_and_large_images_give_boxes_in_their_own_pixels(analyser, size):
    box = analyser.analyse(draw_face(5, size)).box / size
    np.testing.assert_allclose(box, analyser.analyse(draw_face(5)).box / 256, atol=0.12)


def test_the_network_finds_what_hog_does_not(monkeypatch):
    monkeypatch.setattr(face.DlibDetector, "_find_hog_faces", lambda self, image, scale: [])
    (found,) = face.DlibDetector()(draw_face(6))
    assert found.score > 0.5 and abs(found.box[[0, 2]].mean() - 128) < 25


def test_two_faces(analyser):
    image = _two(7, 8)
    found = analyser.analyse(image)
    assert found.faces == 2 and found.box[2] < 256  # the left one is larger
    found = analyser.analyse(np.ascontiguousarray(image[:, ::-1]))
    assert found.faces == 2 and found.box[0] > 256
    with pytest.raises(ManyFacesError, match="found 2"):
        FaceAnalyser(on_many="skip").analyse(image)


def test_a_large_doubtful_detection_is_no_face(analyser, monkeypatch):
    box = analyser.detect(draw_face(7))[0].box
    face_, badge = face.Detection(box, 1.3), face.Detection(np.array([0, 0, 250, 250], np.float32), 0.07)
    for found, taken in (
        ([badge, face_], [face_]),
        ([badge], [badge]),
        ([face_, face.Detection(box, 0.2)], 2 * [face_]),
    ):
        monkeypatch.setattr(face.DlibDetector, "__call__", lambda self, image, found=found: found)
        assert [d.box.tolist() for d in analyser.detect(draw_face(7))] == [d.box.tolist() for d in taken]


def test_views_that_are_not_contiguous(analyser):
    image = draw_face(9)
    np.testing.assert_array_equal(
        analyser.analyse(image[:, ::-1][:, ::-1]).embedding, analyser.analyse(image).embedding
    )


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_picture_on_its_side_gives_the_upright_embedding(analyser, turns):
    image = draw_face(3, centre=(0.45, 0.5))
    upright = analyser.analyse(image)
    found = analyser.analyse(np.rot90(image, turns))
    assert upright.turns == 0 and found.turns == 4 - turns and found.score == upright.score
    np.testing.assert_array_equal(found.embedding, upright.embedding)
    np.testing.assert_array_equal(found.crop, upright.crop)
    np.testing.assert_array_equal(
        found.box, face.turn_box(upright.box, 256, 256, turns)
    )  # in the picture as it was given


def test_an_upright_picture_is_looked_at_once(analyser, monkeypatch):
    monkeypatch.setattr(face.DlibDetector, "_find_turned_faces", lambda *arguments: pytest.fail("turned"))
    monkeypatch.setattr(face.DlibDetector, "_find_mmod_faces", lambda *arguments: pytest.fail("the network was asked"))
    assert analyser.analyse(draw_face(3)).turns == 0


def test_what_only_the_network_finds_is_turned_if_it_is_better_so(monkeypatch):
    monkeypatch.setattr(face.DlibDetector, "_find_hog_faces", lambda self, image, scale: [])
    image = np.zeros((100, 200, 3), np.uint8)
    image[:, :50] = 255  # the top of the upright picture
    scores = {"left": 0.4, "top": 0.9, "right": 0.3, "bottom": 0.2}

    def network(self, seen, scale):
        sides = {"left": seen[:, :9], "top": seen[:9], "right": seen[:, -9:], "bottom": seen[-9:]}
        white = max(sides, key=lambda side: sides[side].mean())
        return [face.Detection(np.array([20, 30, 60, 80], np.float32), scores[white])]

    monkeypatch.setattr(face.DlibDetector, "_find_mmod_faces", network)
    (found,) = face.DlibDetector()(image)
    assert found.turns == 3 and found.score == 0.9 and found.box.tolist() == [30, 40, 80, 80]
    assert face.turn_box(found.box, 200, 100, 3).tolist() == [20, 30, 60, 80]
    scores["top"] = 0.6
    assert face.DlibDetector()(image) == []  # better, but not sure
    scores["top"] = 0.1
    (found,) = face.DlibDetector()(image)
    assert found.turns == 0 and found.score == 0.4


def test_a_doubtful_face_of_another_way_up_is_left_alone(analyser, monkeypatch):
    """HOG alone sees a face in a turned background; the network, which sees none there, keeps the picture as it is."""
    upright = analyser.analyse(draw_face(3))
    weak = [face.Detection(upright.box, 0.1)]
    strong = [face.Detection(np.array([0, 0, 80, 80], np.float32), 0.9)]
    image = draw_face(3)
    monkeypatch.setattr(
        face.DlibDetector, "_find_hog_faces", lambda self, seen, scale: weak if seen is image else strong
    )
    assert face.DlibDetector()(image) == weak


def test_boxes_turn_with_their_image():
    box = np.array([10, 20, 40, 80], np.float32)
    image = np.zeros((100, 200), np.uint8)
    image[20:80, 10:40] = 1
    for turns in range(4):
        left, top, right, bottom = face.turn_box(box, 200, 100, turns).astype(int)
        turned = np.rot90(image, turns)
        assert turned[top:bottom, left:right].all() and turned.sum() == (right - left) * (bottom - top)


def _module(name, **content):
    module = types.ModuleType(name)
    vars(module).update(content, __spec__=types.SimpleNamespace(origin="stand-in"))
    return module


def test_s3fd_with_a_stand_in_package(monkeypatch):
    class Detector:
        def __init__(self, device, verbose):
            assert device == "cpu"

        def detect_from_image(self, image):
            return [np.array([60, 60, 190, 200, 0.9], np.float32)]

    for name in ("face_alignment", "face_alignment.detection", "face_alignment.detection.sfd"):
        monkeypatch.setitem(sys.modules, name, _module(name, FaceDetector=Detector))
    found = FaceAnalyser("face-alignment").analyse(draw_face(1))
    assert found.score == pytest.approx(0.9) and found.embedding.shape == (128,) and found.turns == 0
    assert FaceAnalyser("face-alignment").analyse(np.rot90(draw_face(1), 2)).turns == 2
