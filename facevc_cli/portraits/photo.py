"""The face in a photo: whether it can be restyled well, what it is read as, and the photo restyled."""

from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.faces.analyser import FaceAnalyser, FaceObservation
from facevc_cli.faces.detection import turn_box, turn_image
from facevc_cli.faces.landmarks import FaceLandmarks, LandmarkFinder
from facevc_cli.faces.reading import DLIB_DIM, FaceReading, read_face, read_register
from facevc_cli.portraits.choice import Kind, choose_weights, find_likeness
from facevc_cli.portraits.composites import CompositeSet, load_composites
from facevc_cli.portraits.restyling import RestyledPhoto, restyle_photo

EMBEDDER = "fused"
LEAST_EYES_PX = 22.0  # the distance of the eyes; composites have 80 px
MIDDLE = 0.5  # of the register
GAINS = (1.0, 1.25, 1.5)  # of the difference, until a face is read as the other register
MOST_YAW_DEG, MOST_PITCH_DEG = 28.0, 32.0  # beyond, the other half of the face is hidden
ADVICE = "Use a sharp photo of a face seen from the front, at least 100 px wide."


class UnfitPhotoError(FaceVCError):
    """The face in a photo cannot be restyled well."""


@dataclass(frozen=True, eq=False)
class PhotoFace:
    """picture: (H, W, 3) uint8, upright. turns: quarter turns counter-clockwise that made it upright. box: (4,) in it.

    descriptor: (162,) of `fused`. faces: how many there are. crop: (s, s, 3) uint8, what dlib's network sees.
    """

    picture: np.ndarray
    turns: int
    box: np.ndarray
    landmarks: FaceLandmarks
    descriptor: np.ndarray
    faces: int
    crop: np.ndarray

    @property
    def reading(self) -> FaceReading:
        return read_face(self.descriptor)


@dataclass(frozen=True, eq=False)
class Aim:
    """What a face is moved to. None: as the face itself is.

    register: from 0 (a man) to 1 (a woman). descriptor: (162,) of another face; register and age count before it.
    """

    register: float | None = None
    age_years: float | None = None
    descriptor: np.ndarray | None = None

    def resolve(self, composites: CompositeSet, own: Kind) -> Kind:
        """Returns the kind that a face of the kind `own` is moved to."""
        kind = own if self.descriptor is None else find_likeness(composites).describe(self.descriptor)
        if self.register is not None:
            kind = replace(kind, register=self.register)
        return kind if self.age_years is None else replace(kind, age_years=self.age_years)


@dataclass(frozen=True, eq=False)
class Restyled:
    """picture: (H, W, 3) uint8, turned as the photo was. before, after: readings of the face.

    distance: of the two faces, by dlib; below .6 people are usually the same. box: what changed of the upright photo.
    """

    picture: np.ndarray
    before: FaceReading
    after: FaceReading
    distance: float
    box: tuple[int, int, int, int]


class Restyler:
    """Restyles photos. It loads its networks and the composites once, when they are needed.

    composites: None takes the bundled ones. on_many: 'largest' takes the largest of several faces, 'skip' refuses.
    """

    def __init__(self, composites: CompositeSet | None = None, on_many: str = "largest"):
        self._given, self._on_many = composites, on_many

    @cached_property
    def composites(self) -> CompositeSet:
        return self._given if self._given is not None else load_composites()

    @cached_property
    def _analyser(self) -> FaceAnalyser:
        return FaceAnalyser("dlib", EMBEDDER, self._on_many)

    @cached_property
    def _finder(self) -> LandmarkFinder:
        return LandmarkFinder()

    def describe(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 -> the descriptor (162,) of its face. NoFaceError if there is none."""
        return self.look(picture).embedding

    def look(self, picture: np.ndarray) -> FaceObservation:
        """Finds and describes the face of any picture. NoFaceError if there is none."""
        return self._analyser.analyse(picture)

    def find_face(self, picture: np.ndarray) -> PhotoFace:
        """(H, W, 3) uint8 RGB -> its face. NoFaceError, ManyFacesError, or UnfitPhotoError with the reason."""
        seen = self._analyser.analyse(picture)
        height, width = picture.shape[:2]
        upright, box = turn_image(picture, seen.turns), turn_box(seen.box, width, height, seen.turns)
        landmarks = self._finder.find(upright, box)
        check_photo(landmarks)
        return PhotoFace(upright, seen.turns, box, landmarks, seen.embedding, seen.faces, seen.crop)

    def restyle(self, face: PhotoFace, aim: Aim, strength: float = 1.0) -> Restyled:
        """Moves a face towards an aim. strength: 0 changes nothing, 1 moves it the whole way.

        Some faces are further from the border between the registers than any mixture is. If a face that is moved the
        whole way is still read as its own register, the difference is made larger: see `GAINS`.
        """
        composites = self.composites
        own = find_likeness(composites).describe(face.descriptor)
        asked = aim.resolve(composites, own)
        mine, wanted = (choose_weights(composites, kind) for kind in (own, asked))

        @cache
        def move(amount: float) -> tuple[RestyledPhoto, np.ndarray]:
            made = restyle_photo(face.picture, face.landmarks.points, composites, mine, wanted, amount)
            return made, self._analyser.embed(made.picture, face.box)[0]

        def has_arrived(amount: float) -> bool:
            return is_woman(read_register(move(amount)[1])) == is_woman(asked.register)

        gain = GAINS[0]
        if is_woman(asked.register) != is_woman(own.register):
            gain = next(filter(has_arrived, GAINS[:-1]), GAINS[-1])
        made, after = move(gain * strength)
        distance = float(np.linalg.norm(after[:DLIB_DIM] - face.descriptor[:DLIB_DIM]))
        picture = turn_image(made.picture, -face.turns % 4)
        return Restyled(picture, face.reading, read_face(after), distance, made.box)


def is_woman(register: float | np.ndarray) -> bool:
    """Whether a register from 0 to 1 is on the feminine side."""
    return float(register) > MIDDLE


def check_photo(face: FaceLandmarks) -> None:
    """Raises UnfitPhotoError with the reason if a face cannot be restyled well."""
    if not face.is_plausible:
        raise UnfitPhotoError(
            "expected a photo of a face, found one whose eyes, nose and mouth are not where a face has them: a "
            f"drawing, a figure, a mask, or a face that is mostly hidden. {ADVICE}"
        )
    if abs(face.yaw_deg) > MOST_YAW_DEG:
        raise UnfitPhotoError(
            f"expected a face seen from the front, found one turned by {abs(face.yaw_deg):.0f} degrees to the side; at "
            f"most {MOST_YAW_DEG:.0f} can be restyled. {ADVICE}"
        )
    if abs(face.pitch_deg) > MOST_PITCH_DEG:
        way = "up" if face.pitch_deg > 0 else "down"
        raise UnfitPhotoError(
            f"expected a face seen from the front, found one that looks {way} by {abs(face.pitch_deg):.0f} degrees; at "
            f"most {MOST_PITCH_DEG:.0f} can be restyled. {ADVICE}"
        )
    if face.eye_distance_px < LEAST_EYES_PX:
        raise UnfitPhotoError(
            f"expected eyes at least {LEAST_EYES_PX:.0f} px apart, found {face.eye_distance_px:.0f} px: the face is "
            f"too small. {ADVICE}"
        )
