"""Finds the faces in an image, and the side that is up, with dlib's detectors or those of two other packages."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import install_command
from facevc_cli.files.packaged import find_packaged_file

HOG_SIDE_PX = (160, 800)  # the longer side is brought into this range: HOG sees faces from 80 px on
MMOD_SIDE_PX = 640  # the network's time grows with the area: about 1.7 s at 640 x 480 on one core
HOG_DOUBLED_PX = 400  # a turned picture is looked at twice as large up to here: beyond, it costs as much as the network
# Scores of the HOG detector on 129 faces: upright 0 to 2.4, with a tenth below .2; turned by a quarter or a half, at
# most -.03.
SURE_SCORE = 0.5  # above this score the picture is not tried in other directions
CLEARLY_BETTER = 0.3
NETWORK_SURE = 0.7  # the network gives upright faces that HOG misses about .9, and its best wrong way up .6
TURN_FACE_PX = 100  # the network compares the four ways up on a cut-out in which the face is as wide as this
TURN_MARGIN = 0.75  # share of the box, on every side

DLIB_WEIGHTS = {
    "shape_predictor_5_face_landmarks.dat": "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
    "dlib_face_recognition_resnet_model_v1.dat": "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    "mmod_human_face_detector.dat": "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6",
    "frontal_face_detector.svm": "f3f7aa833fb4a14a46fc48689f45b98d85ef72d6dfaf8bdc012b7d3c522a5426",
}


@dataclass(frozen=True, eq=False)
class Detection:
    """One face. box: (4,) float32 left, top, right, bottom in pixels, in the given picture.

    score: comparable only within one detector.

    turns: the number of quarter turns counter-clockwise (numpy.rot90) that bring the face upright.
    """

    box: np.ndarray
    score: float
    turns: int = 0

    @property
    def area_px(self) -> float:
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


Detector = Callable[[np.ndarray], list[Detection]]


class DlibDetector:
    """dlib's HOG detector of frontal faces. If it finds none, it tries twice the size, then the MMOD network.

    HOG finds only upright faces. The network also finds faces on their side. Their landmarks would be wrong, and so
    would be the voice. So if HOG is not sure, the picture is tried in the other three directions.
    """

    def __init__(self) -> None:
        # the detector of dlib's get_frontal_face_detector(), which takes 500 times as long: it unpacks a text
        self._hog = load_dlib().fhog_object_detector(find_weights("frontal_face_detector.svm"))

    def __call__(self, image: np.ndarray) -> list[Detection]:
        longer = max(image.shape[:2])
        scale = float(np.clip(longer, *HOG_SIDE_PX)) / longer
        # twice as large from the image itself: a scaled-down photograph regains detail
        found = self._find_hog_faces(image, scale) or self._find_hog_faces(image, 2 * scale)
        if find_best_score(found) >= SURE_SCORE:
            return found
        found = self._find_turned_faces(image, scale, found) or found
        if found:
            return found
        found = self._find_mmod_faces(image, min(scale, MMOD_SIDE_PX / longer))
        return self._check_turn(image, scale, found) if found else []

    def _find_hog_faces(self, image: np.ndarray, scale: float) -> list[Detection]:
        rectangles, scores, _ = self._hog.run(_scale_image(image, scale), 0, 0.0)
        return [Detection(_make_box(r) / scale, float(s)) for r, s in zip(rectangles, scores, strict=True)]

    def _find_mmod_faces(self, image: np.ndarray, scale: float) -> list[Detection]:
        return [
            Detection(_make_box(f.rect) / scale, float(f.confidence))
            for f in _load_mmod()(_scale_image(image, scale), 0)
        ]

    def _find_turned_faces(self, image: np.ndarray, scale: float, found: list[Detection]) -> list[Detection]:
        """Returns the faces that HOG finds in the best of the other three directions.

        Returns [] unless they are clearly better than `found` and the network agrees.
        """
        best: list[Detection] = []
        for turns in (1, 2, 3):
            turned = turn_image(image, turns)
            faces = self._find_hog_faces(turned, scale)
            if not faces and not found and max(image.shape[:2]) * scale <= HOG_DOUBLED_PX:
                faces = self._find_hog_faces(turned, 2 * scale)
            if find_best_score(faces) > max(
                find_best_score(best), find_best_score(found) + CLEARLY_BETTER if found else 0.0
            ):
                best = _turn_back(image, faces, turns)
        if not best:
            return []
        face = max(best, key=lambda d: d.score)
        turned_score = self._score_turn(image, face.box, face.turns)
        as_given = max(self._score_turn(image, box, 0) for box in (face.box, *(d.box for d in found[:1])))
        unknown = not found and as_given == turned_score == 0.0
        return best if turned_score > as_given or (unknown and face.score >= SURE_SCORE) else []

    def _check_turn(self, image: np.ndarray, scale: float, found: list[Detection]) -> list[Detection]:
        """Checks the network's faces in all four directions.

        Returns `found`, the faces of a better direction, or [] if that is uncertain.
        """
        face = max(found, key=lambda d: d.score)
        scores = [self._score_turn(image, face.box, turns) for turns in range(4)]
        turns = int(np.argmax(scores))
        if turns == 0:
            return found
        if scores[turns] < NETWORK_SURE:
            return []  # refused: neither way up is clear, and the wrong one gives another person's voice
        faces = self._find_mmod_faces(turn_image(image, turns), min(scale, MMOD_SIDE_PX / max(image.shape[:2])))
        return _turn_back(image, faces, turns)

    def _score_turn(self, image: np.ndarray, box: np.ndarray, turns: int) -> float:
        """Returns the network's score of the face around a box after so many quarter turns; 0 if it finds none."""
        crop, scale = _crop_around(image, box)
        return find_best_score(self._find_mmod_faces(turn_image(crop, turns), scale))


class TurningDetector:
    """A detector of another package, which finds faces in any direction.

    HOG decides the direction of the largest face.
    """

    def __init__(self, detector: Detector):
        self._detect, self._dlib = detector, DlibDetector()

    def __call__(self, image: np.ndarray) -> list[Detection]:
        found = self._detect(image)
        if not found:
            return []
        crop, scale = _crop_around(image, max(found, key=lambda d: d.area_px).box)
        if not crop.size:
            return found
        scores = [find_best_score(self._dlib._find_hog_faces(turn_image(crop, turns), scale)) for turns in range(4)]
        turns = int(np.argmax(scores))
        return (
            [replace(d, turns=turns) for d in found]
            if scores[turns] >= max(SURE_SCORE, scores[0] + CLEARLY_BETTER)
            else found
        )


class SfdDetector:
    """S3FD of the face-alignment package. It finds turned and small faces, and downloads its weights at first use."""

    def __init__(self, device: str):
        # only the detector: FaceAlignment would load, and compile, a landmark network that nothing here uses
        sfd = import_package("face_alignment.detection.sfd", "--detector face-alignment", "face-alignment")
        self._network = download_weights(
            lambda: sfd.FaceDetector(resolve_torch_device(device), verbose=False), "--detector face-alignment"
        )

    def __call__(self, image: np.ndarray) -> list[Detection]:
        return [
            Detection(np.asarray(f[:4], dtype=np.float32), float(f[4])) for f in self._network.detect_from_image(image)
        ]


class MtcnnDetector:
    """MTCNN of the facenet-pytorch package. With `--embedder facenet` it gives the paper's face features."""

    def __init__(self, device: str):
        facenet = import_package("facenet_pytorch", "--detector mtcnn", "facenet")
        self._network = facenet.MTCNN(keep_all=True, device=resolve_torch_device(device))

    def __call__(self, image: np.ndarray) -> list[Detection]:
        boxes, scores = self._network.detect(image)
        found = [] if boxes is None else zip(boxes, scores, strict=True)
        return [Detection(np.asarray(b, dtype=np.float32), float(s)) for b, s in found]


def find_best_score(found: list[Detection]) -> float:
    return max((d.score for d in found), default=0.0)


def turn_image(image: np.ndarray, turns: int) -> np.ndarray:
    """Turns (H, W, 3) counter-clockwise by quarter turns."""
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def turn_box(box: np.ndarray, width: int, height: int, turns: int) -> np.ndarray:
    """Returns the position of a box (4,) of an image of this size after `turn_image`."""
    for _ in range(turns % 4):
        left, top, right, bottom = box
        box = np.array([top, width - right, bottom, width - left], dtype=np.float32)
        width, height = height, width
    return box


def _turn_back(image: np.ndarray, faces: list[Detection], turns: int) -> list[Detection]:
    """Returns detections of the turned image with their boxes in the given image."""
    height, width = image.shape[:2] if turns % 2 == 0 else image.shape[1::-1]
    return [Detection(turn_box(d.box, width, height, 4 - turns), d.score, turns) for d in faces]


def _crop_around(image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the part of an image around a box, and the scale at which its face is TURN_FACE_PX wide."""
    side = float(max(box[2] - box[0], box[3] - box[1], 1.0))
    margin = TURN_MARGIN * side
    left, top = (max(0, int(v - margin)) for v in box[:2])
    right, bottom = (max(0, int(v + margin)) for v in box[2:])
    return np.ascontiguousarray(image[top:bottom, left:right]), TURN_FACE_PX / side


def _scale_image(image: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1.0:
        return image
    height, width = (max(1, round(n * scale)) for n in image.shape[:2])
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def _make_box(rectangle: Any) -> np.ndarray:
    return np.array(
        [rectangle.left(), rectangle.top(), rectangle.right() + 1, rectangle.bottom() + 1], dtype=np.float32
    )


def load_dlib() -> Any:
    try:
        import dlib
    except ImportError as error:
        raise FaceVCError(
            f"finding faces needs dlib, which does not import here ({error}). Run 'pip install dlib-bin'."
        ) from error
    return dlib


@lru_cache(maxsize=1)
def _load_mmod() -> Any:
    return load_dlib().cnn_face_detection_model_v1(find_weights("mmod_human_face_detector.dat"))


def find_weights(name: str) -> str:
    """Returns the path of one of dlib's files, which are part of this package."""
    return str(find_packaged_file("facevc_cli", f"assets/faces/{name}", DLIB_WEIGHTS[name], "dlib's models", "facevc"))


def import_package(module: str, option: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as error:  # a torchvision built for another torch raises RuntimeError or OSError
        raise FaceVCError(
            f"{option} needs {module.split('.')[0].replace('_', '-')}, which does not import here ({error}). "
            f"Install it with {install_command(extra)}, or keep the default, dlib."
        ) from error


def download_weights(make: Callable[[], Any], option: str) -> Any:
    try:
        return make()
    except Exception as error:  # the package's downloader may raise anything
        raise FaceVCError(
            f"{option}: its weights could not be loaded ({error}). They are downloaded at first use: connect to the "
            "network once, or use dlib."
        ) from error


def resolve_torch_device(name: str) -> str:
    from facevc_cli.core.devices import resolve_device

    return str(resolve_device(name))
