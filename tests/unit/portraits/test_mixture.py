"""Mixtures: shape and picture are weighted means; one composite alone is that composite."""

import numpy as np
import pytest
from helpers.composites import SIDE_PX, make_composites

from facevc_cli.core.errors import FaceVCError
from facevc_cli.portraits.mixture import choose_used, lay_on_ground, mix_composites


@pytest.mark.parametrize("weights", [[0.5, 0.5], [1, 0.5, 0, 0], [1.5, -0.5, 0, 0], [np.nan, 1, 0, 0]])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(FaceVCError, match="expected"):
        mix_composites(make_composites(), np.array(weights))


def test_one_composite_alone_is_that_composite():
    composites = make_composites()
    mixed = mix_composites(composites, np.array([0, 0, 1, 0]))
    assert np.array_equal(mixed.picture, composites.pictures[2])
    assert mixed.landmarks == pytest.approx(composites.landmarks[2], abs=1e-4)


def test_two_composites_meet_in_the_middle():
    """Radii 14 and 18 give 16; reds of 40 and 100 give 70."""
    mixed = mix_composites(make_composites(), np.array([0.5, 0, 0.5, 0]))
    middle = SIDE_PX // 2
    assert mixed.landmarks[1, 0] == pytest.approx((SIDE_PX - 1) / 2 + 16, abs=1e-3)
    assert mixed.picture[middle, middle].tolist() == [70, 90, 60]
    assert mixed.picture[2, 2].tolist() == [200, 200, 200]
    # along the first landmark's direction the disc ends at 16, not at 14 or 18
    assert mixed.picture[middle, middle + 14, 0] < 110
    assert mixed.picture[middle, middle + 18, 0] > 150


def test_a_mixture_is_as_large_as_asked():
    mixed = mix_composites(make_composites(), np.array([0.5, 0.5, 0, 0]), size_px=128)
    assert mixed.picture.shape == (128, 128, 3)
    assert mixed.landmarks[0].tolist() == pytest.approx([63.5, 63.5])
    assert mixed.picture[64, 64].tolist() == [55, 90, 60]


def test_an_exaggerated_mixture_is_further_from_the_average_of_its_register():
    """The men's radii are 14 and 16, the women's 18 and 20. Half as much again takes 14 to 13.5, and 18 to 17.5."""
    for number, radius in ((0, 13.5), (2, 17.5)):
        larger = mix_composites(make_composites(), np.eye(4)[number], exaggeration=1.5)
        assert larger.landmarks[1, 0] == pytest.approx((SIDE_PX - 1) / 2 + radius, abs=1e-3)


def test_lightness_is_exaggerated_inside_the_face_only():
    """The men's reds are 40 and 70, so the middle gets darker by half of .299 times 15. The ground stays."""
    larger = mix_composites(make_composites(), np.eye(4)[0], exaggeration=1.5)
    middle = SIDE_PX // 2
    assert larger.picture[middle, middle].tolist() == pytest.approx([37.8, 87.8, 57.8], abs=1)
    assert larger.picture[2, 2].tolist() == [200, 200, 200]


def test_around_a_face_there_is_the_ground_of_the_composites():
    composites = make_composites()
    laid = lay_on_ground(np.full((SIDE_PX, SIDE_PX, 3), 10, np.uint8), composites.landmarks[3], composites)
    middle = SIDE_PX // 2
    assert laid[middle, middle].tolist() == [10, 10, 10]
    assert laid[2, 2].tolist() == [200, 200, 200]
    assert laid[middle, middle + 17, 0] < 60  # near the edge, at a radius of 20, the face is still shown


def test_small_weights_are_dropped_and_the_rest_sums_to_one():
    used, shares = choose_used(np.array([0.004, 0.6, 0.3, 0.096]), 4)
    assert used.tolist() == [1, 2, 3]
    assert shares.sum() == pytest.approx(1) and shares[0] == pytest.approx(0.6 / 0.996)
