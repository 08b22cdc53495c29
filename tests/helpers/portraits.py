"""Stand-ins for the composites and for the networks that look at imagined faces."""

import numpy as np
import pytest
from helpers.composites import SIDE_PX, make_composites

from facevc_cli.faces.analyser import FaceObservation, NoFaceError
from facevc_cli.faces.landmarks import FaceLandmarks
from facevc_cli.imagining.judge import Judgement
from facevc_cli.portraits.composites import CompositeSet
from facevc_cli.portraits.photo import UnfitPhotoError


class FakeJudge:
    """Sees a face in every picture that is not refused. It takes each for what was meant, and counts."""

    def __init__(self, refused: int = 0) -> None:
        self.asked, self.refused = 0, refused  # the first pictures, in which it sees no face

    def judge(self, picture: np.ndarray, meant: np.ndarray, feminine: float) -> Judgement:
        self.asked += 1
        if self.asked <= self.refused:
            raise NoFaceError("expected a face, found none.")
        return Judgement(feminine, 40.0, meant[:128], 0.25, True)

    def look(self, picture: np.ndarray) -> FaceObservation:
        """A dark picture has no face. The red of others says the register, the green the age."""
        if not picture.any():
            raise NoFaceError("expected a face, found none.")
        red, green = picture[0, 0, 0] / 255, picture[0, 0, 1]
        embedding = np.zeros(162, np.float32)
        embedding[-2], embedding[-1] = 0.03 * 8 * (red - 0.5), 0.01 * (green - 40.0)
        box = np.array([0, 0, *picture.shape[1::-1]], np.float32)
        return FaceObservation(box, 1.0, 1, embedding, picture)


class FakeFinder:
    """Sees the landmarks of the composites, in the middle of each picture. In a small picture it sees no face."""

    def __init__(self) -> None:
        self.shape = make_composites().landmarks.mean(0)

    def find(self, picture: np.ndarray, box: np.ndarray) -> FaceLandmarks:
        points = self.shape - SIDE_PX / 2 + np.array(picture.shape[1::-1]) / 2
        return FaceLandmarks(points.astype(np.float32), np.zeros(len(points)), float(min(picture.shape[:2]) > 50), 0.0)


def check_plausible(found: FaceLandmarks) -> None:
    """What `check_photo` checks, but for the pose, which small composites have none of."""
    if not found.is_plausible:
        raise UnfitPhotoError("expected a photo of a face.")


def replace_portraits(patch: pytest.MonkeyPatch) -> tuple[CompositeSet, FakeJudge]:
    """All portraits are then mixed of four small composites, and seen by a FakeJudge."""
    composites, judge = make_composites(), FakeJudge()
    for module in ("facevc_cli.imagining.imaginer", "facevc_cli.stages.imagine", "facevc_cli.stages.sample"):
        patch.setattr(f"{module}.load_composites", lambda: composites)
    patch.setattr("facevc_cli.imagining.imaginer.PictureJudge", lambda: judge)
    patch.setattr("facevc_cli.imagining.own_faces.LandmarkFinder", FakeFinder)
    patch.setattr("facevc_cli.imagining.own_faces.check_photo", check_plausible)
    patch.setattr("facevc_cli.imagining.own_faces._check_pose", lambda found: None)
    return composites, judge
