"""Ranks a user's own pictures of faces for a voice, in place of the composites."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import Tally
from facevc_cli.faces.reading import read_age, read_register
from facevc_cli.files.image import load_image
from facevc_cli.imagining.face_set import FaceSet
from facevc_cli.imagining.judge import PictureJudge
from facevc_cli.imagining.score import FitScores


@dataclass(frozen=True, eq=False)
class OwnFaces:
    """files: of n pictures. faces: what the embedder fused says of them, which is no label of anybody."""

    files: tuple[Path, ...]
    faces: FaceSet


def read_own_faces(files: Sequence[Path], judge: PictureJudge, tally: Tally) -> OwnFaces:
    """Describes pictures of faces. One without a face is a failure. FaceVCError if none has any."""
    described: list[np.ndarray] = []
    used: list[Path] = []
    tally.reporter.begin(len(files), "faces", "looking")
    for file in files:
        try:
            described.append(judge.describe(load_image(file)))
        except FaceVCError as error:
            tally.fail(str(file), str(error))
            continue
        used.append(file)
        tally.reporter.advance(file.name)
    if not described:
        raise FaceVCError(
            f"--candidates: expected pictures that show faces, found none among {len(files)}. The first: "
            f"{tally.failures[0][1]}"
        )
    rows = np.stack(described)
    faces = FaceSet(rows, read_register(rows), read_age(rows))
    return OwnFaces(tuple(used), faces)


def rank_faces(own: OwnFaces, scores: FitScores) -> list[dict[str, object]]:
    """Lists the faces by their scores, best first: rank, file, what is read in the face, and the terms."""
    order = np.argsort(-scores.total, kind="stable")
    return [
        {
            "rank": place,
            "file": str(own.files[i]),
            "face_feminine": round(float(own.faces.registers[i]), 3),
            "face_age": round(float(own.faces.ages[i])),
            **scores.describe(int(i)),
        }
        for place, i in enumerate(order, 1)
    ]
