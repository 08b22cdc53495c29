"""Detects, aligns and embeds faces: arrays in, arrays out."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from facevc_cli.core.choices import DetectorName, OnMany, name_allowed
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.extras import install_command
from facevc_cli.faces.crops import level_crop, margin_crop
from facevc_cli.faces.detection import (
    Detection,
    Detector,
    DlibDetector,
    MtcnnDetector,
    SfdDetector,
    TurningDetector,
    turn_box,
    turn_image,
)
from facevc_cli.faces.embedders.registry import EMBEDDERS, PLUGINS, describe_weights, make_embedder

__all__ = [  # packages that add an embedder import the two crops from here
    "DETECTORS",
    "EMBEDDERS",
    "ON_MANY",
    "FaceAnalyser",
    "FaceObservation",
    "ManyFacesError",
    "NoFaceError",
    "check_choices",
    "level_crop",
    "make_analyser",
    "make_settings",
    "margin_crop",
]

DETECTORS: tuple[DetectorName, ...] = get_args(DetectorName)
ON_MANY: tuple[OnMany, ...] = get_args(OnMany)

SMALLEST_FACE_PX = 24  # a smaller box has too few pixels to tell people apart
SMALLEST_IMAGE_PX = 32
# a detection scored below this share of the best is a badge or a folded sleeve, however large; one real face in thirty
# scores below .1
DOUBTFUL = 0.1


class NoFaceError(FaceVCError):
    """No face was found in an image."""


class ManyFacesError(FaceVCError):
    """The picture has several faces, and one was expected."""


@dataclass(frozen=True, eq=False)
class FaceObservation:
    """The face that was used of an image.

    box: (4,) float32, left, top, right, bottom in pixels, within the given image. score: the detector's score. faces:
    the number of faces found. embedding: (D,) float32, from the network. crop: (side, side, 3) uint8, the network's
    input (dlib, fused: 150, facenet: 128). turns: quarter turns counter-clockwise that turned the picture upright.
    """

    box: np.ndarray
    score: float
    faces: int
    embedding: np.ndarray
    crop: np.ndarray
    turns: int = 0


class FaceAnalyser:
    """Finds a face, cuts it out and embeds it. It loads its networks once.

    It cannot be pickled, so make one in each process.

    detector: one of DETECTORS.
    embedder: one of EMBEDDERS, or an entry point of the group facevc.face_embedders.
    on_many: 'largest' uses the largest of several faces, 'skip' refuses the image.
    device: of the torch networks (face-alignment, mtcnn, facenet). dlib always uses the CPU.
    """

    def __init__(self, detector: str = "dlib", embedder: str = "dlib", on_many: str = "largest", device: str = "cpu"):
        check_choices(detector, embedder, on_many)
        self.on_many = on_many
        makers: dict[str, Callable[[], Any]] = {
            "dlib": DlibDetector,
            "face-alignment": lambda: TurningDetector(SfdDetector(device)),
            "mtcnn": lambda: TurningDetector(MtcnnDetector(device)),
        }
        self._detect: Detector = makers[detector]()
        self._embed = make_embedder(embedder, device)

    def detect(self, image: np.ndarray) -> list[Detection]:
        """(H, W, 3) uint8 RGB -> its faces, largest first.

        Boxes are cut to the image. Faces under 24 px and doubtful ones are left out.
        """
        image = _check_image(image)
        height, width = image.shape[:2]
        if min(height, width) < SMALLEST_IMAGE_PX:
            return []
        limits = np.array([width, height, width, height], dtype=np.float32)
        found = [replace(d, box=np.clip(d.box, 0, limits).astype(np.float32)) for d in self._detect(image)]
        found = [d for d in found if min(d.box[2] - d.box[0], d.box[3] - d.box[1]) >= SMALLEST_FACE_PX]
        best = max((d.score for d in found), default=0.0)
        return sorted((d for d in found if d.score >= DOUBTFUL * best), key=lambda d: (-d.area_px, -d.score))

    def analyse(self, image: np.ndarray) -> FaceObservation:
        """(H, W, 3) uint8 RGB -> the face in it.

        NoFaceError if there is none. ManyFacesError if there are several and `on_many` is 'skip'.
        """
        image, face, faces = self._find_one(image)
        height, width = image.shape[:2]
        embedding, crop = self._embed(turn_image(image, face.turns), turn_box(face.box, width, height, face.turns))
        return FaceObservation(face.box, face.score, faces, embedding, crop, face.turns)

    def cut(self, image: np.ndarray, side_px: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> the face in it, level: (side, side, 3) uint8. Nothing is embedded.

        Errors as in `analyse`.
        """
        image, face, _ = self._find_one(image)
        return cut_face(image, face.box, face.turns, side_px)

    def _find_one(self, image: np.ndarray) -> tuple[np.ndarray, Detection, int]:
        """Returns the image as it is used, the face that counts, and the number of faces. Errors as in `analyse`."""
        found = self.detect(image)
        if not found:
            height, width = image.shape[:2]
            raise NoFaceError(
                f"expected a face at least {SMALLEST_FACE_PX} px wide, found none in {width} x {height} px. "
                "Give a sharp picture in which one face, seen from the front, fills at least a tenth of the width."
            )
        if len(found) > 1 and self.on_many == "skip":
            raise ManyFacesError(
                f"expected one face, found {len(found)}. Cut the picture to one person, or pass --on-many largest."
            )
        return _check_image(image), found[0], len(found)


def cut_face(image: np.ndarray, box: np.ndarray, turns: int, side_px: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB, and where a face was found in it -> the face, level: (side, side, 3) uint8.

    box and turns: as in FaceObservation.
    """
    height, width = image.shape[:2]
    return level_crop(turn_image(image, turns), turn_box(box, width, height, turns), side_px)


def check_choices(detector: str, embedder: str, on_many: str) -> None:
    """Raises UsageError if a name is unknown, FaceVCError if a package that the choice needs is not installed."""
    for option, value, known in (("detector", detector, DETECTORS), ("on-many", on_many, ON_MANY)):
        if value not in known:
            raise UsageError(f"--{option} {value!r}: {name_allowed(value, known)}")
    if embedder not in EMBEDDERS:
        PLUGINS.find(embedder)
    if detector == "face-alignment":
        _require_module("face_alignment", "--detector face-alignment", "face-alignment", "the S3FD detector (90 MB)")
    if detector == "mtcnn":
        _require_module("facenet_pytorch", "--detector mtcnn", "facenet", "nothing more for detection")
    if embedder == "facenet":
        _require_module("facenet_pytorch", "--embedder facenet", "facenet", "the VGGFace2 network (107 MB)")


def make_settings(detector: str, embedder: str, on_many: str) -> dict[str, str]:
    """Returns the settings that embeddings depend on. `weights` is the embedder's own text."""
    return {"detector": detector, "embedder": embedder, "weights": describe_weights(embedder), "on_many": on_many}


def make_analyser(settings: Mapping[str, Any], on_many: str = "largest") -> FaceAnalyser:
    """Makes the analyser for a store with these settings.

    FaceVCError if its package is missing, or if the embedder has other weights.
    """
    embedder, weights = settings["embedder"], settings.get("weights")
    if embedder not in (*EMBEDDERS, *PLUGINS.find_installed()):
        raise FaceVCError(
            f"this model was trained on faces embedded by {embedder!r} ({weights}), which no installed package "
            "brings. Install the one that does."
        )
    analyser = FaceAnalyser(settings.get("detector", "dlib"), embedder, on_many)
    found = analyser._embed.weights
    if weights is None and embedder in EMBEDDERS:  # stores of early versions name no weights of ours
        return analyser
    if weights != found:
        whose = "facevc" if embedder in EMBEDDERS else "the package"
        raise FaceVCError(
            f"this model was trained on faces embedded by {embedder!r} with the weights {weights!r}; installed are "
            f"{found!r}, which put every face elsewhere. Install the version of {whose} that it was trained with."
        )
    return analyser


def _check_image(image: np.ndarray) -> np.ndarray:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise FaceVCError(
            f"expected an image as (height, width, 3) uint8 RGB, found {image.shape} {image.dtype}. Use "
            "files.image.load_image."
        )
    return np.ascontiguousarray(image)


def _require_module(module: str, option: str, extra: str, downloads: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise FaceVCError(
            f"{option} needs the package {module.replace('_', '-')}, which is not installed. Install it with "
            f"{install_command(extra)}; at first use it downloads {downloads}. The default, dlib, needs neither."
        )
