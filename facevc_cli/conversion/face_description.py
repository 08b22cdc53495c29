"""Describes what a model reads in a face: where it is, and what its voice sounds like."""

from pathlib import Path
from typing import Any

import numpy as np

from facevc_cli.conversion.card import describe_address
from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.image import save_image

EDGES = ("left", "top", "right", "bottom")


def describe_face(path: Path, converter: Converter, crops: Path | None = None) -> dict[str, Any]:
    """Returns the face's box in pixels, register, age, certainty, pitch and the memory's voices with their shares.

    crops: a folder for the crop that the face network gets, as PNG. FaceVCError if there is no usable face.
    """
    face = converter.find_face(path)
    target = converter.target_from_embedding(face.embedding)
    described: dict[str, Any] = {
        "kind": "face",
        "model": converter.checkpoint.config.name,
        "faces": face.faces,
        "box": dict(zip(EDGES, (round(float(edge)) for edge in face.box), strict=True)),
        "detector_score": round(face.score, 3),
    }
    if face.turns:
        described["quarter_turns"] = face.turns
    if crops is not None:
        described["crop"] = str(_save_crop(crops / f"{path.stem}.png", face.crop))
    reading = converter.read_voice(target)
    if reading is not None:
        described |= {
            "register": round(reading.register, 2),
            "register_word": reading.word,
            "age": round(reading.age_years),
            "certainty": round(reading.certainty, 2),
        }
        if target.face is not None:
            described["face"] = {"feminine": round(target.face.feminine, 3), "age": round(target.face.age_years)}
        if reading.is_doubtful:
            described["note"] = reading.advise(path.name)
    described["pitch_hz"] = converter.find_median_hz(target)
    if target.address is not None:
        described |= describe_address(target.address[0].float().cpu().numpy())
    return described


def _save_crop(path: Path, crop: np.ndarray) -> Path:
    if path.exists():
        raise FaceVCError(f"{path} exists already. Choose another folder as --crops.")
    save_image(path, crop)
    return path
