"""A whole photo with the bundled composites and networks: what is refused, what changes, and what stays."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.pictures import noise
from helpers.repository import ROOT
from PIL import Image

from facevc_cli.faces.analyser import ManyFacesError, NoFaceError
from facevc_cli.faces.landmarks import FaceLandmarks
from facevc_cli.faces.reading import FUSED_DIM, pack
from facevc_cli.files.image import load_image
from facevc_cli.portraits.photo import Aim, PhotoFace, Restyler, UnfitPhotoError, check_photo
from facevc_cli.portraits.restyling import RestyledPhoto, make_mask


@pytest.fixture(scope="module")
def restyler():
    return Restyler()


@pytest.fixture(scope="module")
def face(restyler) -> PhotoFace:
    return restyler.find_face(load_image(ROOT / "facevc_cli/assets/examples/face_woman.jpg"))


@pytest.fixture(scope="module")
def man(restyler, face):
    return restyler.restyle(face, Aim(register=0.0))


def landmarks_of(face: PhotoFace, **changed: object) -> FaceLandmarks:
    return replace(face.landmarks, **changed)


def test_a_picture_without_a_face_is_refused(restyler):
    with pytest.raises(NoFaceError):
        restyler.find_face(noise(1))


def test_of_several_faces_the_largest_is_restyled_or_all_are_refused(restyler, face):
    """A woman, and beside her the same picture at 3/5 of the size."""
    small = np.asarray(Image.fromarray(face.picture).resize([n * 3 // 5 for n in face.picture.shape[1::-1]]))
    both = np.full((face.picture.shape[0], face.picture.shape[1] + small.shape[1], 3), 128, np.uint8)
    both[:, : face.picture.shape[1]] = face.picture
    both[: small.shape[0], face.picture.shape[1] :] = small
    found = restyler.find_face(both)
    assert found.faces == 2 and found.box[2] < face.picture.shape[1]
    made = restyler.restyle(found, Aim(age_years=65.0)).picture
    assert np.array_equal(made[:, -small.shape[1] // 2 :], both[:, -small.shape[1] // 2 :])
    with pytest.raises(ManyFacesError):
        Restyler(on_many="skip").find_face(both)


def test_landmarks_that_are_not_believed_are_refused(face):
    with pytest.raises(UnfitPhotoError, match="drawing"):
        check_photo(landmarks_of(face, confidence=0.5))
    with pytest.raises(UnfitPhotoError, match="drawing"):
        check_photo(landmarks_of(face, disagreement=0.3))


def test_a_profile_is_refused(face):
    depth = face.landmarks.depth.copy()
    depth[234], depth[454] = 0, 0.8 * np.hypot(*(face.landmarks.points[454] - face.landmarks.points[234]))
    with pytest.raises(UnfitPhotoError, match="turned by 39 degrees"):
        check_photo(landmarks_of(face, depth=depth))


def test_a_face_that_looks_up_is_refused(face):
    depth = face.landmarks.depth.copy()
    depth[152], depth[10] = 0, 0.8 * np.hypot(*(face.landmarks.points[152] - face.landmarks.points[10]))
    with pytest.raises(UnfitPhotoError, match="looks up by 39 degrees"):
        check_photo(landmarks_of(face, depth=depth))


def test_a_tiny_face_is_refused(face):
    with pytest.raises(UnfitPhotoError, match="found 10 px"):
        share = 10 / face.landmarks.eye_distance_px
        check_photo(landmarks_of(face, points=face.landmarks.points * share, depth=face.landmarks.depth * share))


def test_the_register_moves_and_half_of_the_way_moves_less(restyler, face, man):
    half = restyler.restyle(face, Aim(register=0.0), 0.5)
    assert man.before.feminine > 0.9
    assert man.after.feminine < 0.5
    assert half.distance < man.distance
    assert half.distance < 0.6


def test_a_face_that_stays_as_it_is_read_is_moved_further(restyler, face, man, monkeypatch):
    """Whatever is made is read as a woman until the difference is 1.25 times as large."""
    asked = []

    def move(picture, landmarks, composites, mine, wanted, amount):
        asked.append(amount)
        return RestyledPhoto(np.full_like(picture, round(100 * amount)), (0, 0, 1, 1))

    def embed(picture, box):
        return pack(np.zeros(128), np.zeros(FUSED_DIM - 130), 2.0 if picture[0, 0, 0] < 120 else -2.0, 30.0), picture

    monkeypatch.setattr("facevc_cli.portraits.photo.restyle_photo", move)
    monkeypatch.setattr(restyler, "_analyser", SimpleNamespace(embed=embed))
    assert restyler.restyle(face, Aim(register=0.0), 0.5).picture[0, 0, 0] == round(100 * 0.5 * 1.25)
    assert asked == [1.0, 1.25, 0.625]
    asked.clear()
    restyler.restyle(face, Aim(age_years=60.0))  # the register stays
    restyler.restyle(face, Aim(register=0.9))
    assert asked == [1.0, 1.0]
    monkeypatch.setattr(restyler, "_analyser", SimpleNamespace(embed=lambda picture, box: (face.descriptor, picture)))
    asked.clear()
    restyler.restyle(face, Aim(register=0.0))
    assert asked == [1.0, 1.25, 1.5]  # never more


def test_only_the_box_changes_and_the_size_stays(face, man):
    left, top, right, bottom = man.box
    assert man.picture.shape == face.picture.shape
    outside = np.ones(face.picture.shape[:2], bool)
    outside[top:bottom, left:right] = False
    assert np.array_equal(man.picture[outside], face.picture[outside])
    assert not np.array_equal(man.picture, face.picture)


def test_a_face_that_is_as_wanted_hardly_changes(restyler, face):
    same = restyler.restyle(face, Aim())
    assert np.abs(same.picture.astype(int) - face.picture).max() <= 1
    assert same.distance < 0.05


def test_the_age_moves(restyler, face):
    old = restyler.restyle(face, Aim(age_years=65.0))
    assert old.after.age_years > old.before.age_years + 4


def test_towards_another_face(restyler, face):
    other = load_image(ROOT / "facevc_cli/assets/examples/face_man.jpg")
    made = restyler.restyle(face, Aim(descriptor=restyler.describe(other)))
    assert made.after.feminine < made.before.feminine


def test_a_photo_on_its_side_is_restyled_as_the_upright_one(restyler, face, man):
    turned = restyler.find_face(np.ascontiguousarray(np.rot90(face.picture)))
    assert turned.turns == 3
    made = restyler.restyle(turned, Aim(register=0.0))
    assert made.picture.shape == face.picture.shape
    again = np.rot90(made.picture, -1)
    assert np.abs(again.astype(int) - man.picture).mean() < 2


def test_the_mask_spares_the_inner_mouth_and_the_background(restyler):
    composites = restyler.composites
    size = composites.pictures.shape[1:3]
    mask = make_mask(composites.landmarks[0].astype(np.float64), size)
    assert mask.min() >= 0 and mask.max() <= 1
    assert mask[2, 2] == 0
    x, y = composites.landmarks[0, 50]  # a cheek
    assert mask[int(y), int(x)] > 0.6


def test_a_grey_photo_stays_grey(restyler, face):
    grey = np.repeat(face.picture.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    made = restyler.restyle(replace(face, picture=grey), Aim(register=0.0)).picture.astype(int)
    assert np.ptp(made, axis=2).max() <= 1
    assert np.abs(made - grey).max() > 10
