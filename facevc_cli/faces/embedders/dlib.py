"""dlib's face descriptor."""

import numpy as np

from facevc_cli.faces.crops import cut_level, find_landmarks, load_landmark_predictor
from facevc_cli.faces.detection import DLIB_WEIGHTS, find_weights, load_dlib

NETWORK = "dlib_face_recognition_resnet_model_v1.dat"


class DlibEmbedder:
    """Five landmarks -> a level 150 px chip -> dlib's 128-D descriptor (same person: distance below about .6)."""

    weights = DLIB_WEIGHTS[NETWORK][:16]

    def __init__(self, device: str = "cpu"):
        load_landmark_predictor()
        self._network = load_dlib().face_recognition_model_v1(find_weights(NETWORK))

    def __call__(self, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        crop = cut_level(image, find_landmarks(image, box))
        return self.describe(crop), crop

    def describe(self, crop: np.ndarray) -> np.ndarray:
        """(150, 150, 3) uint8, a level face -> (128,) float32."""
        # no jitter: its random shifts would make two runs differ
        return np.asarray(self._network.compute_face_descriptor(crop, 0), dtype=np.float32)
