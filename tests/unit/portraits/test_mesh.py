"""Warps over a mesh: exact for affine motion, nothing changes without motion, nothing folds."""

import numpy as np
import pytest

from facevc_cli.portraits.mesh import (
    add_border,
    find_flipped,
    find_sources,
    limit_motion,
    measure_areas,
    rasterise,
    sample_bilinear,
    warp_picture,
)

SQUARE = np.array([(0, 0), (9, 0), (9, 9), (0, 9)], np.float32)
HALVES = np.array([(0, 1, 2), (0, 2, 3)])
# a middle point in a square: four triangles
FAN_POINTS = np.array([(5, 5), (0, 0), (10, 0), (10, 10), (0, 10)], np.float32)
FAN = np.array([(0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 1)])


def test_a_point_that_leaves_the_square_flips_the_triangles_that_it_crosses():
    moved = FAN_POINTS.copy()
    moved[0] = (5, -3)  # above the upper side
    assert find_flipped(FAN_POINTS, moved, FAN).tolist() == [True, False, False, False]


def test_a_triangle_that_looks_away_before_does_not_count():
    away = FAN_POINTS.copy()
    away[0] = (5, -3)
    assert not find_flipped(away, away, FAN).any()


def test_motion_is_damped_until_no_triangle_is_flipped_and_keeps_its_direction():
    moved = FAN_POINTS.copy()
    moved[0] = (5, -3)
    limited = limit_motion(FAN_POINTS, moved, FAN)
    assert not find_flipped(FAN_POINTS, limited, FAN).any()
    assert 0 < limited[0, 1] < 4.5  # it moved up, and stays inside
    assert limited[0, 0] == pytest.approx(5)


def test_motion_that_flips_nothing_is_not_changed():
    moved = FAN_POINTS + np.array([[2, -2], [0, 0], [0, 0], [0, 0], [0, 0]], np.float32)
    assert np.array_equal(limit_motion(FAN_POINTS, moved, FAN), moved)


def test_areas_have_the_sign_of_the_turn():
    assert measure_areas(SQUARE, np.array([(0, 1, 2), (0, 2, 1)])).tolist() == [40.5, -40.5]


def test_border_points_are_corners_and_middles_of_sides():
    found = add_border(np.zeros((3, 2, 2), np.float32), 5, 9)
    assert found.shape == (3, 10, 2)
    assert {tuple(point) for point in found[1, 2:]} == {
        (0, 0),
        (4, 0),
        (8, 0),
        (8, 2),
        (8, 4),
        (4, 4),
        (0, 4),
        (0, 2),
    }


def test_each_pixel_has_its_triangle_and_weights_that_give_its_place():
    raster = rasterise(SQUARE, HALVES, 10, 10)
    assert raster.triangle[2, 8] == 0 and raster.triangle[8, 2] == 1
    assert raster.weights.min() > -1e-5
    y, x = np.mgrid[:10, :10]
    assert find_sources(raster, SQUARE) == pytest.approx(np.stack([x, y], -1), abs=1e-4)


def test_pixels_outside_the_mesh_keep_their_place():
    raster = rasterise(SQUARE, HALVES, 12, 12)
    assert raster.triangle[11, 11] == -1
    assert find_sources(raster, SQUARE + 3)[11, 11].tolist() == [11, 11]


def test_a_warp_over_an_affine_motion_is_that_motion():
    """Twice as large, then three to the right: x' = 2x + 3, so the new picture's ramp at x' is the old one's at x."""
    y, x = np.mgrid[:12, :12].astype(np.float32)
    ramp = np.stack([x, y, x + y], -1)
    new = 2 * SQUARE + np.array([3, 0], np.float32)
    warped = warp_picture(ramp, SQUARE, rasterise(new, HALVES, 19, 22))
    assert warped[4, 9] == pytest.approx([3, 2, 5], abs=1e-3)
    assert warped[10, 18] == pytest.approx([7.5, 5, 12.5], abs=1e-3)


def test_sampling_is_bilinear_and_repeats_the_edge():
    picture = np.array([[[0.0], [10.0]], [[20.0], [30.0]]])
    places = np.array([[(0.5, 0.5), (0.25, 0), (-4, 0), (9, 9)]], np.float32)
    assert sample_bilinear(picture, places)[0, :, 0].tolist() == pytest.approx([15, 2.5, 0, 30])
