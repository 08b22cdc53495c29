"""faces/degradation.py: pictures made worse by a known amount."""

import numpy as np
import pytest

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.faces.degradation import KINDS, degrade, parse_conditions

EDGE = np.zeros((40, 60, 3), np.uint8)
EDGE[:, 30:] = 200
GREY = (128, 128, 128)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("smear=3", "kind one of blur"),
        ("blur", "found 'nothing'"),
        ("", "expected KIND=VALUE"),
        ("blur=4,", "expected KIND=VALUE"),
        ("blur=4+", "expected KIND=VALUE"),
        ("blur=x", "found 'x'"),
        ("blur=nan", "deviation in pixels"),
        ("blur=inf", "deviation in pixels"),
        ("blur=0", "above 0"),
        ("occlude=1", "between 0 and 1"),
        ("occlude=0", "between 0 and 1"),
        ("jpeg=0", "from 1 to 100"),
        ("jpeg=101", "from 1 to 100"),
        ("jpeg=10.5", "whole number"),
        ("dark=1.1", "from 0 to 1"),
        ("dark=-.1", "from 0 to 1"),
        ("rotate=361", "-360 to 360"),
        ("downscale=1", "above 1"),
        ("blur=2+jpeg=0", "from 1 to 100"),
    ],
)
def test_what_is_refused(spec, reason):
    with pytest.raises(UsageError, match=reason) as raised:
        parse_conditions([spec])
    assert all(kind in str(raised.value) for kind in KINDS)


def test_conditions_are_told_apart_and_named_once():
    assert parse_conditions([]) == []
    given = parse_conditions(["blur=4,jpeg=10.0", "blur=2+dark=.3", " blur = 4.0 "])
    assert given == ["blur=4", "jpeg=10", "blur=2+dark=0.3"]
    assert parse_conditions(given) == given
    assert parse_conditions(["rotate=12.3456789"]) == ["rotate=12.3456789"]


@pytest.mark.parametrize(
    "condition", ["blur=4", "occlude=.3", "jpeg=10", "dark=.5", "rotate=30", "downscale=4", "blur=1+jpeg=5+rotate=3"]
)
@pytest.mark.parametrize("shape", [(40, 60, 3), (1, 1, 3), (3, 200, 3)])
def test_shape_type_and_input_stay(condition, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    before = image.copy()
    worse = degrade(image, condition)
    assert worse.shape == shape and worse.dtype == np.uint8
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(degrade(image, condition), worse)


def test_blur_spreads_an_edge():
    row = degrade(EDGE, "blur=2")[20, :, 0].astype(int)
    assert row[0] == 0 and row[-1] == 200 and abs(row[29] + row[30] - 200) <= 4  # symmetric about the edge
    # a Gaussian of 2 px: 200 * Phi(-1.5 / 2) and 200 * Phi(1.5 / 2) at the pixels 1.5 px from the edge
    assert row[28] == pytest.approx(200 * 0.2266, abs=8) and row[31] == pytest.approx(200 * 0.7734, abs=8)


@pytest.mark.parametrize(("share", "height", "width"), [(0.24, 24, 24), (0.8, 40, 48)])
def test_a_grey_square_of_that_share_in_the_middle(share, height, width):
    """40 x 60 = 2400 px; .24 is a square of 24, .8 does not fit as one and fills the height: 40 x 48."""
    covered = (degrade(EDGE, f"occlude={share}") == GREY).all(axis=2)
    assert covered.sum() == height * width
    rows, columns = np.where(covered)
    assert (rows.min(), rows.max() + 1) == ((40 - height) // 2, (40 + height) // 2)
    assert (columns.min(), columns.max() + 1) == ((60 - width) // 2, (60 + width) // 2)


def test_jpeg_loses_more_at_lower_quality():
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    losses = [np.abs(degrade(image, f"jpeg={q}").astype(int) - image).mean() for q in (100, 50, 5)]
    assert losses[0] < losses[1] < losses[2]


def test_dark_scales_brightness():
    assert degrade(EDGE, "dark=0.3").max() == 60
    assert not degrade(EDGE, "dark=0").any()
    np.testing.assert_array_equal(degrade(EDGE, "dark=1"), EDGE)


def test_rotate_turns_counter_clockwise_and_fills_with_grey():
    square = np.zeros((41, 41, 3), np.uint8)
    square[20, 35] = 255  # to the right of the middle
    turned = degrade(square, "rotate=90")
    assert turned[5, 20, 0] > 200 and turned[20, 35, 0] == 0  # now above it
    assert tuple(degrade(square, "rotate=45")[0, 0]) == GREY


def test_downscale_leaves_no_finer_detail():
    fine = np.zeros((40, 40, 3), np.uint8)
    fine[:, ::2] = 200
    worse = degrade(fine, "downscale=4")
    assert worse.min() == worse.max() == 100  # stripes of one pixel are gone, their mean stays


def test_kinds_are_joined_from_left_to_right():
    np.testing.assert_array_equal(degrade(EDGE, "occlude=.3+dark=.5"), degrade(degrade(EDGE, "occlude=.3"), "dark=.5"))
    middle = tuple(degrade(EDGE, "occlude=.3+dark=.5")[20, 30]), tuple(degrade(EDGE, "dark=.5+occlude=.3")[20, 30])
    assert middle == ((64, 64, 64), GREY)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_arrays_that_are_no_picture(image):
    with pytest.raises(FaceVCError, match="uint8 RGB"):
        degrade(image, "blur=1")
