"""Landmarks: where they are, how the head is turned, and that pictures without a face are not believed."""

import math

import numpy as np
import pytest
from helpers.pictures import noise
from helpers.repository import ROOT
from PIL import Image

from facevc_cli.faces.landmarks import CHEEKS, CHIN, FOREHEAD, FaceLandmarks, LandmarkFinder, cut_turned
from facevc_cli.files.image import load_image

BOX = np.array([15, 15, 195, 195], np.float32)  # of the example's face


@pytest.fixture(scope="module")
def woman():
    return load_image(ROOT / "facevc_cli/assets/examples/face_woman.jpg")


@pytest.fixture(scope="module")
def found(woman):
    return LandmarkFinder().find(woman, BOX)


def test_noise_is_not_believed():
    assert not LandmarkFinder().find(noise(3, 224), BOX).is_plausible


def test_a_face_is_believed_and_seen_from_the_front(found):
    assert found.is_plausible and found.confidence > 0.99
    assert abs(found.yaw_deg) < 8
    assert found.points.shape == (468, 2)
    # by eye: the eyes are at 104 and the mouth at 140 px
    assert found.points[33][1] == pytest.approx(71, abs=6)
    assert found.points[13][1] == pytest.approx(140, abs=6)


def test_landmarks_turn_with_the_picture(woman, found):
    turned = np.asarray(Image.fromarray(woman).rotate(-15, Image.Resampling.BICUBIC))  # clockwise
    again = LandmarkFinder().find(turned, BOX)
    angle = math.radians(15)
    matrix = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    expected = (found.points - 111.5) @ matrix + 111.5
    assert np.hypot(*(again.points - expected).T).mean() < 3


def test_a_larger_picture_gives_larger_landmarks(woman, found):
    large = np.asarray(Image.fromarray(woman).resize((896, 896), Image.Resampling.BICUBIC))
    again = LandmarkFinder().find(large, 4 * BOX)
    assert np.hypot(*(again.points / 4 - found.points).T).mean() < 1.5
    assert again.eye_distance_px == pytest.approx(4 * found.eye_distance_px, rel=0.02)


def test_yaw_and_pitch_come_from_depth():
    """The left cheek 100 px nearer than the right one, 100 px apart in the picture: the face looks 45 degrees right."""
    points, depth = np.zeros((468, 2), np.float32), np.zeros(468, np.float32)
    points[CHEEKS[1]], points[CHIN] = (100, 0), (0, 100)
    depth[CHEEKS[0]], depth[CHEEKS[1]] = -50, 50
    depth[FOREHEAD] = 100 * math.tan(math.radians(30))
    face = FaceLandmarks(points, depth, 1.0, 0.0)
    assert face.yaw_deg == pytest.approx(-45)
    assert face.pitch_deg == pytest.approx(30)


def test_a_cut_out_has_the_middle_in_the_middle_and_is_black_beyond_the_picture():
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[60:80, 30:50] = 200
    cut = cut_turned(picture, np.array([40.0, 70.0]), 20.0, 0.0, 10)
    assert cut[2:-2, 2:-2].min() == 200  # the bright square, but for the filter at its edge
    beyond = cut_turned(picture, np.array([0.0, 70.0]), 40.0, 0.0, 20)
    assert beyond[:, :10].max() == 0
