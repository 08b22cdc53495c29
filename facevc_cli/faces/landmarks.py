"""Finds 468 landmarks of a face, in pixels, with its pose and how far they can be believed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from facevc_cli.core.tuning import skip_weight_init
from facevc_cli.faces.crops import find_landmarks
from facevc_cli.files.packaged import find_packaged_file

if TYPE_CHECKING:
    from facevc_cli.faces.networks.landmarks import LandmarkNetwork

WEIGHTS = "assets/faces/landmarks.safetensors"  # made by recipes/portraits
WEIGHTS_SHA256 = "53ef7a5f0ff74ea3de7b7babb82b0a5369c4870874e4f391d46beef75c41c739"
POINTS = 468
SIDE_PX = 192  # the network's input
MARGIN = 1.5  # the input is so much wider than the landmarks, as in the network's training
LEFT_EYE, RIGHT_EYE = (33, 133), (362, 263)  # corners, left to right in the picture
CHEEKS, FOREHEAD, CHIN, NOSE_BASE = (234, 454), 10, 152, 2
LEAST_CONFIDENCE = 0.8
MOST_APART = 0.16  # dlib's landmarks know nothing of these: where the two disagree, one is wrong


Square = tuple[np.ndarray, float, float]  # middle (2,), side in pixels, the angle by which it is turned


@dataclass(frozen=True, eq=False)
class FaceLandmarks:
    """points: (468, 2) float32 x, y in the picture's pixels. depth: (468,) in pixels, larger is further away.

    confidence: from 0 to 1, that it is a face. disagreement: how far dlib's five landmarks are from these, as a share
    of the distance of the eyes.
    """

    points: np.ndarray
    depth: np.ndarray
    confidence: float
    disagreement: float

    @property
    def is_plausible(self) -> bool:
        """False for what is hardly a photo of a face: an animal, a drawing, a face that is mostly hidden."""
        return self.confidence >= LEAST_CONFIDENCE and self.disagreement <= MOST_APART

    @property
    def eye_distance_px(self) -> float:
        return measure_eye_distance(self.points)

    @property
    def yaw_deg(self) -> float:
        """Positive if the face looks to the left side of the picture; 0 from the front."""
        across = self.points[CHEEKS[1]] - self.points[CHEEKS[0]]
        return math.degrees(math.atan2(float(self.depth[CHEEKS[0]] - self.depth[CHEEKS[1]]), float(np.hypot(*across))))

    @property
    def pitch_deg(self) -> float:
        """Positive if the face looks up."""
        down = self.points[CHIN] - self.points[FOREHEAD]
        return math.degrees(math.atan2(float(self.depth[FOREHEAD] - self.depth[CHIN]), float(np.hypot(*down))))


class LandmarkFinder:
    """Finds the landmarks of faces. It loads its network once."""

    def __init__(self) -> None:
        self._network = load_landmark_network()

    def find(self, picture: np.ndarray, box: np.ndarray) -> FaceLandmarks:
        """(H, W, 3) uint8 RGB, box (4,) left, top, right, bottom of the upright face -> its landmarks."""
        return self.find_many([picture], [box])[0]

    def find_many(self, pictures: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[FaceLandmarks]:
        """Finds the face of each picture, as `find` does, in one run of the network.

        The network looks twice: at a square around the box, and at one around what it found first.
        """
        fives = [_find_five(*given) for given in zip(pictures, boxes, strict=True)]
        squares = [_frame_box(*given) for given in zip(boxes, fives, strict=True)]
        for _ in range(2):
            seen = self._look(pictures, squares)
            squares = [_frame_points(points) for points, _, _ in seen]
        return [
            # half a pixel: from the edges of pixels to their middles
            FaceLandmarks((points - 0.5).astype(np.float32), depth, confidence, _compare(points - 0.5, five))
            for (points, depth, confidence), five in zip(seen, fives, strict=True)
        ]

    def _look(
        self, pictures: Sequence[np.ndarray], squares: Sequence[Square]
    ) -> list[tuple[np.ndarray, np.ndarray, float]]:
        """Returns points, depth and confidence of each."""
        import torch

        cut = np.stack(
            [cut_turned(picture, *square, SIDE_PX) for picture, square in zip(pictures, squares, strict=True)]
        )
        with torch.inference_mode():
            points, logits = self._network(torch.from_numpy(cut).permute(0, 3, 1, 2).float() / 255)
        found = []
        for own, logit, (middle, side, angle) in zip(points.double().numpy(), logits.tolist(), squares, strict=True):
            scale = side / SIDE_PX
            placed = _turn((own[:, :2] - SIDE_PX / 2) * scale, angle) + middle
            found.append((placed, (own[:, 2] * scale).astype(np.float32), 1 / (1 + math.exp(-min(30.0, logit)))))
        return found


def cut_turned(picture: np.ndarray, middle: np.ndarray, side: float, angle: float, side_px: int) -> np.ndarray:
    """Cuts out a square that is turned by `angle` (radians) -> (side_px, side_px, 3) uint8, black outside."""
    reach = 0.75 * side + 2
    left, top = (max(0, math.floor(v - reach)) for v in middle)
    right, bottom = math.ceil(middle[0] + reach), math.ceil(middle[1] + reach)
    part = Image.fromarray(np.ascontiguousarray(picture[top : max(bottom, top + 1), left : max(right, left + 1)]))
    factor = max(1, int(side / side_px))  # a large face is reduced first, so that no pixel is skipped
    if factor > 1:
        part = part.reduce(factor)
    scale = side / side_px / factor
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    x, y = ((float(v) - offset) / factor for v, offset in zip(middle, (left, top), strict=True))
    half = side_px / 2
    data = (cos, -sin, x - half * (cos - sin), sin, cos, y - half * (sin + cos))
    return np.asarray(part.transform((side_px, side_px), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR))


def measure_eye_distance(points: np.ndarray) -> float:
    """(468, 2) -> the distance of the eyes' middles in pixels."""
    return float(np.hypot(*(points[list(RIGHT_EYE)].mean(0) - points[list(LEFT_EYE)].mean(0))))


@lru_cache(maxsize=1)
def load_landmark_network() -> "LandmarkNetwork":
    """Loads the network for inference, once per process. FaceVCError if its weights are missing or damaged."""
    from safetensors.torch import load_file

    from facevc_cli.faces.networks.landmarks import LandmarkNetwork

    path = find_packaged_file("facevc_cli", WEIGHTS, WEIGHTS_SHA256, "the weights of the landmark network", "facevc")
    with skip_weight_init():
        network = LandmarkNetwork()
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
    return network.eval().requires_grad_(False)


def _find_five(picture: np.ndarray, box: np.ndarray) -> np.ndarray:
    return np.array([(point.x, point.y) for point in find_landmarks(picture, box).parts()], np.float64)


def _frame_box(box: np.ndarray, five: np.ndarray) -> Square:
    left, right = five[2:4].mean(0), five[0:2].mean(0)  # dlib begins at the eye on the right of the picture
    middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], np.float64)
    return middle, 1.6 * float(max(box[2] - box[0], box[3] - box[1])), math.atan2(*(right - left)[::-1])


def _frame_points(points: np.ndarray) -> Square:
    angle = _find_angle(points)
    level = _turn(points, -angle)
    low, high = level.min(0), level.max(0)
    return _turn((low + high) / 2, angle), MARGIN * float((high - low).max()), angle


def _find_angle(points: np.ndarray) -> float:
    across = points[list(RIGHT_EYE)].mean(0) - points[list(LEFT_EYE)].mean(0)
    return math.atan2(float(across[1]), float(across[0]))


def _turn(points: np.ndarray, angle: float) -> np.ndarray:
    cos, sin = math.cos(angle), math.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def _compare(points: np.ndarray, five: np.ndarray) -> float:
    same = points[[RIGHT_EYE[1], RIGHT_EYE[0], LEFT_EYE[0], LEFT_EYE[1], NOSE_BASE]]
    return float(np.hypot(*(same - five).T).mean()) / max(measure_eye_distance(points), 1e-6)
