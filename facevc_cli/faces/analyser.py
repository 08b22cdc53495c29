"""Detects, aligns and embeds faces: arrays in, arrays out.

Network weights come from packages and are checked before use.
"""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol, get_args

import numpy as np
from PIL import Image

from facevc_cli.core.choices import DetectorName, OnMany, name_allowed
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.extras import install_command
from facevc_cli.core.plugins import Plugins
from facevc_cli.faces.detection import (
    DLIB_WEIGHTS,
    Detection,
    Detector,
    DlibDetector,
    MtcnnDetector,
    SfdDetector,
    TurningDetector,
    download_weights,
    find_weights,
    import_package,
    load_dlib,
    resolve_torch_device,
    turn_box,
    turn_image,
)

DETECTORS: tuple[DetectorName, ...] = get_args(DetectorName)
EMBEDDERS = ("dlib", "facenet")
ON_MANY: tuple[OnMany, ...] = get_args(OnMany)
PLUGINS = Plugins("facevc.face_embedders", "--embedder", "face embedder", EMBEDDERS)

SMALLEST_FACE_PX = 24  # a smaller box has too few pixels to tell people apart
SMALLEST_IMAGE_PX = 32
# a detection scored below this share of the best is a badge or a folded sleeve, however large; one real face in thirty
# scores below .1
DOUBTFUL = 0.1
DLIB_CROP_PX = 150
FACENET_CROP_PX = 128  # the paper's
FACENET_MARGIN_PX = 50  # the margin of the crop around the box, both sides together


class NoFaceError(FaceVCError):
    """No face was found in an image."""


class ManyFacesError(FaceVCError):
    """The picture has several faces, and one was expected."""


@dataclass(frozen=True, eq=False)
class FaceObservation:
    """The face that was used of an image.

    box: (4,) float32, left, top, right, bottom in pixels, within the given image. score: the detector's score. faces:
    the number of faces found. embedding: (D,) float32, from the network. crop: (side, side, 3) uint8, the network's
    input (dlib: 150, facenet: 128). turns: quarter turns counter-clockwise that turned the picture upright.
    """

    box: np.ndarray
    score: float
    faces: int
    embedding: np.ndarray
    crop: np.ndarray
    turns: int = 0


class Embedder(Protocol):
    def __call__(self, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """image: (H, W, 3) uint8, box: (4,) -> embedding (D,) float32, crop (side, side, 3) uint8."""
        ...


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
        embedders: dict[str, Callable[[], Embedder]] = {
            "dlib": DlibEmbedder,
            "facenet": lambda: FacenetEmbedder(device),
        }
        self._embed = embedders[embedder]() if embedder in embedders else PackagedEmbedder(embedder)

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
        image, face = _check_image(image), found[0]
        height, width = image.shape[:2]
        embedding, crop = self._embed(turn_image(image, face.turns), turn_box(face.box, width, height, face.turns))
        return FaceObservation(face.box, face.score, len(found), embedding, crop, face.turns)


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
    """Returns the settings that embeddings depend on. dlib's weights are given by their hash, other packages' by their
    own text.
    """
    own = {"dlib": DLIB_WEIGHTS["dlib_face_recognition_resnet_model_v1.dat"][:16], "facenet": "vggface2"}
    weights = own[embedder] if embedder in own else PackagedEmbedder(embedder).weights
    return {"detector": detector, "embedder": embedder, "weights": weights, "on_many": on_many}


def make_analyser(settings: Mapping[str, Any], on_many: str = "largest") -> FaceAnalyser:
    """Makes the analyser for a store with these settings.

    FaceVCError if its package is missing or has other weights.
    """
    embedder, weights = settings["embedder"], settings.get("weights")
    if embedder not in (*EMBEDDERS, *PLUGINS.find_installed()):
        raise FaceVCError(
            f"this model was trained on faces embedded by {embedder!r} ({weights}), which no installed package "
            "brings. Install the one that does."
        )
    analyser = FaceAnalyser(settings.get("detector", "dlib"), embedder, on_many)
    if isinstance(analyser._embed, PackagedEmbedder) and analyser._embed.weights != weights:
        raise FaceVCError(
            f"this model was trained on faces embedded by {embedder!r} with the weights {weights!r}; installed are "
            f"{analyser._embed.weights!r}, which put every face elsewhere. Install the version of the package that it "
            "was trained with."
        )
    return analyser


class DlibEmbedder:
    """Five landmarks -> a level 150 px chip -> dlib's 128-D descriptor (same person: distance below about .6)."""

    def __init__(self) -> None:
        self._landmarks = _load_landmark_predictor()
        self._network = load_dlib().face_recognition_model_v1(find_weights("dlib_face_recognition_resnet_model_v1.dat"))

    def __call__(self, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        crop = _level(image, box, self._landmarks, DLIB_CROP_PX)
        # no jitter: its random shifts would make two runs differ
        return np.asarray(self._network.compute_face_descriptor(crop, 0), dtype=np.float32), crop


class FacenetEmbedder:
    """A 128 px crop with margin -> the 512-D embedding of InceptionResnetV1 (VGGFace2); downloads its weights at first
    use.
    """

    def __init__(self, device: str):
        facenet = import_package("facenet_pytorch", "--embedder facenet", "facenet")
        self._device = resolve_torch_device(device)
        self._network = (
            download_weights(lambda: facenet.InceptionResnetV1(pretrained="vggface2"), "--embedder facenet")
            .eval()
            .to(self._device)
        )

    def __call__(self, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import torch

        crop = margin_crop(image, box, FACENET_CROP_PX, FACENET_MARGIN_PX)
        pixels = torch.from_numpy(crop.astype(np.float32).transpose(2, 0, 1)[None]).to(self._device)
        with torch.inference_mode():
            embedding = self._network((pixels - 127.5) / 128.0)[0]  # the scale the network was trained at
        return embedding.float().cpu().numpy(), crop


class PackagedEmbedder:
    """A face embedder of another package, from the entry points facevc.face_embedders.

    The package's object has embed(crop (side, side, 3) uint8 RGB) -> (D,). It may have two more attributes:
    crop(image (H, W, 3) uint8, box (4,) px) makes the crop, in place of a level face of 150 px.
    weights is a text that identifies the network, in place of the package's name and version. A model finds its
    embedder by it.
    """

    def __init__(self, name: str):
        self._name, self._made = name, PLUGINS.make(name)
        self._crop = getattr(self._made, "crop", level_crop)
        self.weights = str(getattr(self._made, "weights", "") or PLUGINS.describe_release(name))

    def __call__(self, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            crop = np.asarray(self._crop(image, box))
            embedding = np.asarray(self._made.embed(crop), dtype=np.float32)
        except FaceVCError:
            raise
        except Exception as error:  # any error of another package about one picture must not end the run
            raise FaceVCError(
                f"the face embedder {self._name} failed on this face ({type(error).__name__}: {error})."
            ) from error
        if embedding.ndim != 1 or not embedding.size or not np.isfinite(embedding).all():
            raise FaceVCError(
                f"the face embedder {self._name}: expected one embedding (D,) of finite numbers, found the shape "
                f"{embedding.shape}{'' if np.isfinite(embedding).all() else ' with NaN or infinity'}."
            )
        return embedding, crop


def level_crop(image: np.ndarray, box: np.ndarray, side_px: int = DLIB_CROP_PX, padding: float = 0.25) -> np.ndarray:
    """(H, W, 3) uint8 -> (side, side, 3) uint8: the face turned level by five landmarks.

    padding: a share of the face, on every side.
    """
    return _level(image, box, _landmarks_once(), side_px, padding)


def _level(image: np.ndarray, box: np.ndarray, landmarks: Any, side_px: int, padding: float = 0.25) -> np.ndarray:
    points = landmarks(image, load_dlib().rectangle(*(round(float(v)) for v in box)))
    return np.asarray(load_dlib().get_face_chip(image, points, side_px, padding))


def _load_landmark_predictor() -> Any:
    return load_dlib().shape_predictor(find_weights("shape_predictor_5_face_landmarks.dat"))


_landmarks_once = lru_cache(maxsize=1)(_load_landmark_predictor)


def margin_crop(image: np.ndarray, box: np.ndarray, side_px: int, margin_px: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (side, side, 3) uint8: the box with a margin, cut to the image.

    The box fills side - margin pixels of the crop.
    """
    half = np.array([box[2] - box[0], box[3] - box[1]]) * margin_px / (side_px - margin_px) / 2
    left, top = np.maximum(np.floor(box[:2] - half), 0)
    right, bottom = np.minimum(np.ceil(box[2:] + half), (image.shape[1], image.shape[0]))
    area = (float(left), float(top), float(right), float(bottom))
    return np.asarray(Image.fromarray(image).resize((side_px, side_px), Image.Resampling.BILINEAR, box=area))


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
