"""A user's own pictures of faces in place of the composites: ranked for a voice, and the nearest three mixed."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import Tally
from facevc_cli.faces.detection import turn_box, turn_image
from facevc_cli.faces.landmarks import FaceLandmarks, LandmarkFinder, cut_turned
from facevc_cli.faces.reading import read_age, read_register
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.image import load_image
from facevc_cli.imagining.choice import PARTS, keep_side
from facevc_cli.imagining.face_set import FaceSet
from facevc_cli.imagining.judge import PictureJudge
from facevc_cli.imagining.score import FitScores
from facevc_cli.imagining.voice import VoiceDescription
from facevc_cli.portraits.composites import CompositeSet
from facevc_cli.portraits.mixture import lay_on_ground
from facevc_cli.portraits.photo import UnfitPhotoError, check_photo
from facevc_cli.portraits.restyling import fit_similarity

GROUP = "own pictures"
MOST_TURN_DEG = 18.0  # to a side, up or down: beyond, the edge of the mixed face gets folds


@dataclass(frozen=True, eq=False)
class OwnFaces:
    """files: of n pictures. faces: what the embedder fused says of them, which is no label of anybody.

    mixable: the numbers of those that can be mixed. pictures: these as composites are; None if there are none.
    """

    files: tuple[Path, ...]
    faces: FaceSet
    mixable: np.ndarray
    pictures: CompositeSet | None

    def find_pictures(self, voice: VoiceDescription) -> CompositeSet | None:
        """Returns the pictures to mix for a voice. None if there are not enough of its register."""
        if self.pictures is None:
            return None
        usable = keep_side(np.zeros(len(self.mixable)), FaceSet.of(self.pictures), voice.feminine)
        return self.pictures if np.isfinite(usable).sum() >= PARTS else None


def read_own_faces(files: Sequence[Path], judge: PictureJudge, tally: Tally, like: CompositeSet) -> OwnFaces:
    """Describes pictures of faces. One without a face is a failure. FaceVCError if none has any.

    like: the composites whose frame and mesh the pictures get. A face that is not seen from the front is only ranked.
    """
    described: list[np.ndarray] = []
    used: list[Path] = []
    frames: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    finder = LandmarkFinder()
    tally.reporter.begin(len(files), "faces", "looking")
    for file in files:
        try:
            picture = load_image(file)
            seen = judge.look(picture)
        except FaceVCError as error:
            tally.fail(str(file), str(error))
            continue
        upright = turn_image(picture, seen.turns)
        found = finder.find(upright, turn_box(seen.box, picture.shape[1], picture.shape[0], seen.turns))
        try:
            check_photo(found)
            _check_pose(found)
            frame, points = cut_frame(upright, found.points, like)
            frames[len(used)] = lay_on_ground(frame, points, like), points
        except UnfitPhotoError as error:
            tally.reporter.note(f"{file} is ranked, but not mixed: {error}")
        described.append(seen.embedding)
        used.append(file)
        tally.reporter.advance(file.name)
    if not described:
        raise FaceVCError(
            f"--candidates: expected pictures that show faces, found none among {len(files)}. The first: "
            f"{tally.failures[0][1]}"
        )
    rows = np.stack(described)
    faces = FaceSet(rows, read_register(rows), read_age(rows))
    mixable = np.array(sorted(frames), int)
    pictures = _join(used, faces, frames, like) if frames else None
    return OwnFaces(tuple(used), faces, mixable, pictures)


def _check_pose(found: FaceLandmarks) -> None:
    turn_deg = max(abs(found.yaw_deg), abs(found.pitch_deg))
    if turn_deg > MOST_TURN_DEG:
        raise UnfitPhotoError(
            f"expected a face that is turned to a side, up or down by at most {MOST_TURN_DEG:.0f} degrees, found "
            f"{turn_deg:.0f}."
        )


def cut_frame(picture: np.ndarray, points: np.ndarray, like: CompositeSet) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) upright and its landmarks (p, 2) -> the face in the composites' frame, and the landmarks in it."""
    size_px = like.pictures.shape[1]
    to_photo = fit_similarity(like.landmarks.mean(0).astype(np.float64), points.astype(np.float64))
    scale, angle = math.hypot(*to_photo[0]), math.atan2(to_photo[0, 1], to_photo[0, 0])
    middle = np.full(2, (size_px - 1) / 2) @ to_photo[:2] + to_photo[2]
    reach = math.ceil(0.75 * size_px * scale) + 2  # beyond the picture its edge is repeated
    before = [max(0, math.ceil(reach - v)) for v in middle]
    after = [max(0, math.ceil(v + reach - n)) for v, n in zip(middle, picture.shape[1::-1], strict=True)]
    padded = np.pad(picture, ((before[1], after[1]), (before[0], after[0]), (0, 0)), mode="edge")
    frame = cut_turned(padded, middle + before + 0.5, size_px * scale, angle, size_px)
    back = np.linalg.inv(to_photo[:2])
    return frame, ((points - to_photo[2]) @ back).astype(np.float32)


def hash_files(files: Sequence[Path]) -> str:
    """Returns one sha256 of the contents of files, in whichever order. FaceVCError if one cannot be read."""
    return hashlib.sha256("\n".join(sorted(hash_file(file) for file in files)).encode()).hexdigest()


def rank_faces(own: OwnFaces, scores: FitScores) -> list[dict[str, object]]:
    """Lists the faces by their scores, best first: rank, file, what is read in the face, and the terms."""
    return [
        {
            "rank": place,
            "file": str(own.files[i]),
            "face_feminine": round(float(own.faces.registers[i]), 3),
            "face_age": round(float(own.faces.ages[i])),
            **scores.describe(int(i)),
        }
        for place, i in enumerate(_order(scores), 1)
    ]


def find_ranks(own: OwnFaces, scores: FitScores) -> dict[int, int]:
    """Returns the rank of each of `own.pictures` by its number."""
    ranks = {int(i): place for place, i in enumerate(_order(scores), 1)}
    return {number: ranks[int(i)] for number, i in enumerate(own.mixable)}


def _order(scores: FitScores) -> np.ndarray:
    return np.argsort(-scores.total, kind="stable")


def _join(
    files: Sequence[Path], faces: FaceSet, frames: dict[int, tuple[np.ndarray, np.ndarray]], like: CompositeSet
) -> CompositeSet:
    numbers = sorted(frames)
    return CompositeSet(
        pictures=np.stack([frames[i][0] for i in numbers]),
        landmarks=np.stack([frames[i][1] for i in numbers]),
        triangles=like.triangles,
        descriptors=faces.descriptors[numbers],
        registers=faces.registers[numbers].astype(np.float32),
        ages=faces.ages[numbers].astype(np.float32),
        groups=(GROUP,) * len(numbers),
        members=tuple((files[i].name,) for i in numbers),
        licence="",
    )
