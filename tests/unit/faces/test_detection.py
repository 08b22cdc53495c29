"""The face detector's weights."""

import dlib
import pytest
from helpers.repository import ROOT

from facevc_cli.faces.detection import find_weights
from facevc_cli.files.image import load_image

EXAMPLES = [ROOT / "examples" / name for name in ("face.jpg", "face_man.jpg", "face_woman.jpg")]


@pytest.fixture(scope="module")
def theirs():
    return dlib.get_frontal_face_detector()


@pytest.mark.parametrize("picture", EXAMPLES, ids=lambda path: path.name)
def test_the_frontal_detector_finds_what_dlibs_own_finds(picture, theirs):
    """Also the weak candidates, down to a score of -1.5, and their scores to the last bit."""
    ours = dlib.fhog_object_detector(find_weights("frontal_face_detector.svm"))
    image = load_image(picture)
    (boxes, scores, kinds), (expected, expected_scores, expected_kinds) = (
        detector.run(image, 1, -1.5) for detector in (ours, theirs)
    )
    assert len(boxes) >= 1 and boxes == expected
    assert (scores, kinds) == (expected_scores, expected_kinds)
