"""Stand-ins for the face and voice networks, which take seconds to load."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facevc_cli.conversion.converter import Converter
from facevc_cli.faces.analyser import FaceObservation, NoFaceError
from facevc_cli.faces.reading import FUSED_DIM


class FakeAnalyser:
    """Embeds a picture by its colours; a black one has no face. Counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def analyse(self, image: np.ndarray) -> FaceObservation:
        self.asked += 1
        if not image.any():
            raise NoFaceError("expected a face, found none.")
        embedding = np.random.default_rng(int(image.sum())).normal(0, 0.1, FUSED_DIM).astype(np.float32)
        return FaceObservation(np.zeros(4, np.float32), 1.0, 1, embedding, image)

    def cut(self, image: np.ndarray, side_px: int) -> np.ndarray:
        """The picture's corner."""
        self.analyse(image)
        return image[:side_px, :side_px]


class FakeEmbedder:
    """Embeds a recording by its loudest sample."""

    def embed(self, wav: np.ndarray) -> np.ndarray:
        return np.linspace(-1, 1, 256, dtype=np.float32) * np.abs(wav).max()


def replace_face_analyser(patch: pytest.MonkeyPatch, analyser: Any) -> None:
    """All models' faces are then looked at by `analyser`."""
    patch.setattr("facevc_cli.faces.analyser.make_analyser", lambda settings, on_many="largest": analyser)


def replace_voice_embedder(patch: pytest.MonkeyPatch, embedder: object) -> None:
    """All voices are then embedded by `embedder`."""
    patch.setattr("facevc_cli.voices.dvector.VoiceEmbedder", lambda device="cpu": embedder)


def make_embedding(converter: Converter, value: float = 1.0) -> np.ndarray:
    """A face's embedding, of as many numbers as the converter's model takes."""
    return np.full(converter.checkpoint.config.model.face_dim, value, np.float32)


def make_converter(checkpoint: Path, analyser: FakeAnalyser | None = None) -> Converter:
    """A converter that needs no networks beside the model: `analyser` (None: a new one) looks at faces, and Griffin-Lim
    speaks.
    """
    converter = Converter(checkpoint, "griffin-lim", "cpu")
    with pytest.MonkeyPatch.context() as patch:
        replace_face_analyser(patch, analyser or FakeAnalyser())
        converter.prepare_faces()
    return converter
