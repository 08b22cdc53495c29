"""What the embedder `fused` reads in a face: the register of the voice it suggests, and an age.

The last two numbers of its embedding hold both. They are scaled so that they vary about as much as dlib's numbers do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from facevc_cli.core.errors import FaceVCError

FUSED_DIM = 162
DLIB_DIM = 128  # of them, the first are those of dlib
REGISTER_SCALE = 0.03  # per unit of the log odds
AGE_SCALE = 0.01  # per year
MIDDLE_AGE_YEARS = 40.0
YOUNGEST_YEARS, OLDEST_YEARS = 15.0, 90.0


@dataclass(frozen=True)
class FaceReading:
    """feminine: the probability that people call the face a woman's, from 0 to 1. age_years: from 15 to 90."""

    feminine: float
    age_years: float

    @property
    def certainty(self) -> float:
        """From .5 to 1: the probability of the likelier register."""
        return max(self.feminine, 1 - self.feminine)


def read_face(embedding: np.ndarray) -> FaceReading:
    """(FUSED_DIM,) of `fused` -> its reading. FaceVCError for an embedding of another size."""
    return FaceReading(float(read_register(embedding)), float(read_age(embedding)))


def read_fused(settings: Mapping[str, Any] | None, embedding: np.ndarray) -> FaceReading | None:
    """Reads an embedding of an embedder with these settings. None if it is another embedder than `fused`."""
    return read_face(embedding) if settings is not None and settings.get("embedder") == "fused" else None


def read_register(embedding: np.ndarray) -> np.ndarray:
    """(..., FUSED_DIM) of `fused` -> (...) P(feminine), calibrated on faces that its networks were not fitted on."""
    odds = _check(embedding)[..., -2].astype(np.float64) / REGISTER_SCALE
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))))


def read_age(embedding: np.ndarray) -> np.ndarray:
    """(..., FUSED_DIM) of `fused` -> (...) years."""
    years = _check(embedding)[..., -1].astype(np.float64) / AGE_SCALE + MIDDLE_AGE_YEARS
    return np.clip(years, YOUNGEST_YEARS, OLDEST_YEARS)


def pack(descriptor: np.ndarray, projection: np.ndarray, log_odds: float, years: float) -> np.ndarray:
    """dlib's (128,), the projection (32,), log odds of feminine, years -> the embedding (FUSED_DIM,) float32."""
    read = [REGISTER_SCALE * log_odds, AGE_SCALE * (years - MIDDLE_AGE_YEARS)]
    return np.concatenate([descriptor, projection, read]).astype(np.float32)


def _check(embedding: np.ndarray) -> np.ndarray:
    embedding = np.asarray(embedding)
    if embedding.ndim < 1 or embedding.shape[-1] != FUSED_DIM:
        raise FaceVCError(
            f"a face's register and age are read from the {FUSED_DIM} numbers of the embedder fused, found the shape "
            f"{embedding.shape}. Extract the faces with --embedder fused."
        )
    return embedding
