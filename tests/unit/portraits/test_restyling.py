"""What restyling is made of: maps of shapes, and blurs. test_photo.py restyles a whole photo."""

import math

import numpy as np
import pytest

from facevc_cli.portraits.restyling import blur, find_visible, fit_affine, fit_similarity


@pytest.fixture(scope="module")
def corners():
    return np.random.default_rng(0).uniform(0, 100, (20, 2))


def test_a_similarity_is_found_again(corners):
    angle = math.radians(30)
    turn = 2 * np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    found = fit_similarity(corners, corners @ turn + [5, -3])
    assert found == pytest.approx(np.vstack([turn, [5, -3]]), abs=1e-9)
    assert fit_affine(corners, corners @ turn + [5, -3]) == pytest.approx(found, abs=1e-9)


def test_a_similarity_does_not_shear(corners):
    found = fit_similarity(corners, corners * [1.0, 0.5])
    assert found[0, 0] == pytest.approx(found[1, 1])
    assert found[0, 1] == pytest.approx(-found[1, 0])


def test_a_blur_keeps_the_sum_and_has_the_asked_spread():
    picture = np.zeros((61, 61, 1), np.float32)
    picture[30, 30] = 1
    blurred = blur(picture, 4.0)[..., 0]
    assert blurred.sum() == pytest.approx(1, abs=1e-4)
    across = blurred.sum(0)
    assert math.sqrt((across * (np.arange(61) - 30) ** 2).sum()) == pytest.approx(4, rel=0.05)


def test_an_even_picture_stays_even_when_blurred():
    assert blur(np.full((9, 9, 3), 7.0), 3.0) == pytest.approx(np.full((9, 9, 3), 7.0), abs=1e-4)


def test_the_hidden_side_of_a_turned_mesh_is_not_visible():
    """A square of four triangles around a middle; its right half keeps a tenth of its width."""
    frame = np.array([(50, 50), (0, 0), (100, 0), (100, 100), (0, 100)], np.float64)
    triangles = np.array([(0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 1)])
    photo = frame.copy()
    assert find_visible(photo, frame, triangles, np.vstack([np.eye(2), [0, 0]])) == pytest.approx(np.ones(5))
    photo[[2, 3], 0] = 55
    seen = find_visible(photo, frame, triangles, np.vstack([np.eye(2), [0, 0]]))
    assert seen[1] > 0.9 and seen[4] > 0.9  # the upper and lower triangles keep .55 of their areas
    assert seen[2] == pytest.approx(0.5, abs=0.01) and seen[2] == seen[3]  # the right one keeps .1, and counts half
