"""Reads pictures and recordings as a matching model takes them.

A reader is a small value that can be passed to worker processes. There, `load` gives the networks once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.crops import tile_frames
from facevc_cli.corpus.store import hash_settings
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.dsp.mel import compute_log_mel

if TYPE_CHECKING:
    from facevc_cli.faces.analyser import FaceAnalyser
    from facevc_cli.voices.dvector import VoiceEmbedder

PARTS, PART_S = 4, 3.0  # of a recording's log-mel, spread evenly over it


@dataclass(frozen=True)
class FaceReader:
    """Reads the face in a picture: its embedding, or its crop.

    settings: of the store of faces that the model was trained on, as sorted pairs.
    """

    settings: tuple[tuple[str, Any], ...]
    reads_crops: bool = False

    @classmethod
    def make(cls, settings: Mapping[str, Any], crops: bool, where: str) -> "FaceReader":
        """FaceVCError if the model takes crops, and the settings do not say of which size."""
        if crops and not isinstance(settings.get("crop_px"), int):
            raise FaceVCError(
                f"{where}: expected the size of the faces' crops in its embedders (crop_px), found none. Copy the "
                "checkpoint again."
            )
        return cls(tuple(sorted(settings.items())), crops)

    @property
    def fingerprint(self) -> str:
        return hash_settings(dict(self.settings))

    def load(self, on_many: str = "largest") -> "FaceAnalyser":
        """Loads the networks. FaceVCError if the face embedder is not installed."""
        from facevc_cli.faces.analyser import FaceAnalyser, make_analyser

        if self.reads_crops:
            return FaceAnalyser(dict(self.settings).get("detector", "dlib"), on_many=on_many)
        return make_analyser(dict(self.settings), on_many)

    def read(self, analyser: "FaceAnalyser", picture: Path | str) -> np.ndarray:
        """Returns the embedding (face_dim,), or the crop (side, side, 3) uint8. FaceVCError if there is no face."""
        from facevc_cli.files.image import load_image

        image = load_image(Path(picture))
        if self.reads_crops:
            return analyser.cut(image, dict(self.settings)["crop_px"])
        return analyser.analyse(image).embedding


@dataclass(frozen=True)
class VoiceReader:
    """Reads the voice in a recording: its d-vector, or with a front-end parts of its log-mel."""

    frontend: Frontend | None = None

    @classmethod
    def make(cls, settings: Mapping[str, Any], log_mels: bool, where: str) -> "VoiceReader":
        """settings: of the store of voices, or of features, that the model was trained on.

        FaceVCError if recordings cannot be read like that.
        """
        if log_mels:
            return cls(Frontend.from_settings(dict(settings), where))
        embedder = settings.get("embedder", "resemblyzer")
        if embedder != "resemblyzer":
            raise FaceVCError(
                f"{where}: this model was trained on voices embedded by {embedder!r}; only d-vectors of Resemblyzer "
                "can be compared."
            )
        return cls()

    @property
    def fingerprint(self) -> str:
        from facevc_cli.voices.dvector import EMBEDDER_VERSION

        return EMBEDDER_VERSION if self.frontend is None else hash_settings(self.frontend.as_settings())

    def load(self, device: str = "cpu") -> "VoiceEmbedder | None":
        """Loads the network, if one is needed."""
        from facevc_cli.voices.dvector import VoiceEmbedder

        return VoiceEmbedder(device) if self.frontend is None else None

    def read(self, embedder: "VoiceEmbedder | None", recording: Path | str) -> np.ndarray:
        """Returns the d-vector (256,), or raw log-mels (PARTS, T, n_mels). FaceVCError if the recording is silent."""
        from facevc_cli.files.audio import load_audio
        from facevc_cli.voices.dvector import VOICE_RATE

        if self.frontend is None:
            if embedder is None:
                raise FaceVCError("a d-vector needs the network of `load`, found none.")
            return embedder.embed(load_audio(Path(recording), VOICE_RATE)[0])
        definition = self.frontend.definition
        wav = load_audio(Path(recording), definition.rate)[0]
        if not np.any(wav):
            raise FaceVCError(f"{recording}: no voice can be heard: the recording is silent (every sample is zero).")
        mel = compute_log_mel(self.frontend.prepare(wav), definition)
        return cut_parts(mel, PARTS, round(PART_S * definition.frame_rate))


def cut_parts(frames: np.ndarray, count: int, length: int) -> np.ndarray:
    """(T, ...) -> (count, length, ...): parts whose beginnings are spread evenly. Short ones are repeated."""
    firsts = np.linspace(0, max(0, len(frames) - length), count).round().astype(int)
    return np.stack([tile_frames(frames[first : first + length], length) for first in firsts])
