"""Find the faces in an image, and which way up they are, with dlib's detectors or those of two other packages."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import install_command
from facevc_cli.files.packaged import packaged_file

HOG_SIDE_PX = (160, 800)  # the longer side is brought into this range: HOG sees faces from 80 px on
MMOD_SIDE_PX = 640  # the network's time grows with the area: about 1.7 s at 640 x 480 on one core
HOG_DOUBLED_PX = 400  # a turned picture is looked at twice as large up to here: beyond, it costs as much as the network
# Scores of the HOG detector on 129 faces: upright 0 to 2.4, with a tenth below .2; turned by a quarter or a half, at most -.03.
SURE_SCORE = 0.5  # from this score on, the picture is not tried on its side
CLEARLY_BETTER = 0.3
NETWORK_SURE = 0.7  # the network gives upright faces that HOG misses about .9, and its best wrong way up .6
TURN_FACE_PX = 100  # the network compares the four ways up on a cut-out in which the face is as wide as this
TURN_MARGIN = 0.75  # of the box, on every side

DLIB_WEIGHTS = {
    "shape_predictor_5_face_landmarks.dat": "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
    "dlib_face_recognition_resnet_model_v1.dat": "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    "mmod_human_face_detector.dat": "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6",
}


@dataclass(frozen=True, eq=False)
class Detection:
    """One face. box: (4,) float32 left, top, right, bottom in pixels; score: the detector's own, comparable within it only.

    turns: how many quarter turns counter-clockwise (numpy.rot90) bring the face upright; the box lies in the picture as it was given.
    """

    box: np.ndarray
    score: float
    turns: int = 0

    @property
    def area_px(self) -> float:
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


Detector = Callable[[np.ndarray], list[Detection]]


class DlibDetector:
    """dlib's HOG detector of frontal faces. If it finds none: the same at twice the size, then the MMOD network.

    HOG sees upright faces alone; the network also finds those that lie on their side, whose landmarks would then be wrong, and with
    them the voice. So where HOG is not sure, the picture is looked at in the other three ways up.
    """

    def __init__(self) -> None:
        self._hog = load_dlib().get_frontal_face_detector()

    def __call__(self, image: np.ndarray) -> list[Detection]:
        longer = max(image.shape[:2])
        scale = float(np.clip(longer, *HOG_SIDE_PX)) / longer
        # twice as large from the image itself: a scaled-down photograph regains detail
        found = self._hog_faces(image, scale) or self._hog_faces(image, 2 * scale)
        if best_score(found) >= SURE_SCORE:
            return found
        found = self._turned_faces(image, scale, found) or found
        if found:
            return found
        found = self._mmod_faces(image, min(scale, MMOD_SIDE_PX / longer))
        return self._mmod_turned(image, scale, found) if found else []

    def _hog_faces(self, image: np.ndarray, scale: float) -> list[Detection]:
        rectangles, scores, _ = self._hog.run(_scaled(image, scale), 0, 0.0)
        return [Detection(_box(r) / scale, float(s)) for r, s in zip(rectangles, scores, strict=True)]

    def _mmod_faces(self, image: np.ndarray, scale: float) -> list[Detection]:
        return [Detection(_box(f.rect) / scale, float(f.confidence)) for f in _mmod()(_scaled(image, scale), 0)]

    def _turned_faces(self, image: np.ndarray, scale: float, found: list[Detection]) -> list[Detection]:
        """What HOG finds in the best of the other three ways up, if it is clearly better than `found` and the network agrees; else []."""
        best: list[Detection] = []
        for turns in (1, 2, 3):
            turned = turn_image(image, turns)
            faces = self._hog_faces(turned, scale)
            if not faces and not found and max(image.shape[:2]) * scale <= HOG_DOUBLED_PX:
                faces = self._hog_faces(turned, 2 * scale)
            if best_score(faces) > max(best_score(best), best_score(found) + CLEARLY_BETTER if found else 0.0):
                best = _turned_back(image, faces, turns)
        if not best:
            return []
        face = max(best, key=lambda d: d.score)
        turned_score = self._network_score(image, face.box, face.turns)
        as_given = max(self._network_score(image, box, 0) for box in (face.box, *(d.box for d in found[:1])))
        unknown = not found and as_given == turned_score == 0.0
        return best if turned_score > as_given or (unknown and face.score >= SURE_SCORE) else []

    def _mmod_turned(self, image: np.ndarray, scale: float, found: list[Detection]) -> list[Detection]:
        """`found` by the network; or, if it finds the face better in another way up, what it finds there, or nothing if it is not sure."""
        face = max(found, key=lambda d: d.score)
        scores = [self._network_score(image, face.box, turns) for turns in range(4)]
        turns = int(np.argmax(scores))
        if turns == 0:
            return found
        if scores[turns] < NETWORK_SURE:
            return []  # refused: neither way up is clear, and the wrong one gives another person's voice
        faces = self._mmod_faces(turn_image(image, turns), min(scale, MMOD_SIDE_PX / max(image.shape[:2])))
        return _turned_back(image, faces, turns)

    def _network_score(self, image: np.ndarray, box: np.ndarray, turns: int) -> float:
        """How sure the network is of the face around a box after so many quarter turns; 0 if it sees none."""
        crop, scale = _around(image, box)
        return best_score(self._mmod_faces(turn_image(crop, turns), scale))


class TurningDetector:
    """Another package's detector, which finds faces any way up; HOG says which way the largest of them is."""

    def __init__(self, detector: Detector):
        self._detect, self._dlib = detector, DlibDetector()

    def __call__(self, image: np.ndarray) -> list[Detection]:
        found = self._detect(image)
        if not found:
            return []
        crop, scale = _around(image, max(found, key=lambda d: d.area_px).box)
        if not crop.size:
            return found
        scores = [best_score(self._dlib._hog_faces(turn_image(crop, turns), scale)) for turns in range(4)]
        turns = int(np.argmax(scores))
        return (
            [replace(d, turns=turns) for d in found]
            if scores[turns] >= max(SURE_SCORE, scores[0] + CLEARLY_BETTER)
            else found
        )


class SfdDetector:
    """S3FD of the face-alignment package: finds turned and small faces; downloads its weights at first use."""

    def __init__(self, device: str):
        # only the detector: FaceAlignment would load, and compile, a landmark network that nothing here uses
        sfd = import_package("face_alignment.detection.sfd", "--detector face-alignment", "face-alignment")
        self._network = download_weights(
            lambda: sfd.FaceDetector(torch_device_name(device), verbose=False), "--detector face-alignment"
        )

    def __call__(self, image: np.ndarray) -> list[Detection]:
        return [
            Detection(np.asarray(f[:4], dtype=np.float32), float(f[4])) for f in self._network.detect_from_image(image)
        ]


class MtcnnDetector:
    """MTCNN of the facenet-pytorch package: with `--embedder facenet` the paper's face features."""

    def __init__(self, device: str):
        facenet = import_package("facenet_pytorch", "--detector mtcnn", "facenet")
        self._network = facenet.MTCNN(keep_all=True, device=torch_device_name(device))

    def __call__(self, image: np.ndarray) -> list[Detection]:
        boxes, scores = self._network.detect(image)
        found = [] if boxes is None else zip(boxes, scores, strict=True)
        return [Detection(np.asarray(b, dtype=np.float32), float(s)) for b, s in found]


def best_score(found: list[Detection]) -> float:
    return max((d.score for d in found), default=0.0)


def turn_image(image: np.ndarray, turns: int) -> np.ndarray:
    """(H, W, 3), turned counter-clockwise by quarter turns."""
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def turn_box(box: np.ndarray, width: int, height: int, turns: int) -> np.ndarray:
    """The position of a box (4,) of an image of this size after `turn_image`."""
    for _ in range(turns % 4):
        left, top, right, bottom = box
        box = np.array([top, width - right, bottom, width - left], dtype=np.float32)
        width, height = height, width
    return box


def _turned_back(image: np.ndarray, faces: list[Detection], turns: int) -> list[Detection]:
    """Detections of the turned image, with their boxes in the image as it was given."""
    height, width = image.shape[:2] if turns % 2 == 0 else image.shape[1::-1]
    return [Detection(turn_box(d.box, width, height, 4 - turns), d.score, turns) for d in faces]


def _around(image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, float]:
    """The part of an image in and around a box, and the scale at which its face is TURN_FACE_PX wide."""
    side = float(max(box[2] - box[0], box[3] - box[1], 1.0))
    margin = TURN_MARGIN * side
    left, top = (max(0, int(v - margin)) for v in box[:2])
    right, bottom = (max(0, int(v + margin)) for v in box[2:])
    return np.ascontiguousarray(image[top:bottom, left:right]), TURN_FACE_PX / side


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1.0:
        return image
    height, width = (max(1, round(n * scale)) for n in image.shape[:2])
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def _box(rectangle: Any) -> np.ndarray:
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
def _mmod() -> Any:
    return load_dlib().cnn_face_detection_model_v1(weights_path("mmod_human_face_detector.dat"))


def weights_path(name: str) -> str:
    """The path of one of dlib's files, which are part of this package."""
    return str(packaged_file("facevc_cli", f"assets/faces/{name}", DLIB_WEIGHTS[name], "dlib's models", "facevc"))


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
    except Exception as error:  # whatever the package's downloader raises
        raise FaceVCError(
            f"{option}: its weights could not be loaded ({error}). They are downloaded at first use: connect to the network once, "
            "or use dlib."
        ) from error


def torch_device_name(name: str) -> str:
    from facevc_cli.core.devices import resolve_device

    return str(resolve_device(name))
