"""Resemblyzer's d-vector: what a voice is to the models (Wan et al., generalised end-to-end loss)."""

import contextlib
import io
import warnings
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from facevc_cli.errors import FaceVCError

VOICE_RATE = 16000  # Hz
VOICE_DIM = 256
SHORTEST_S = 1.6  # one window of Resemblyzer; shorter clips are repeated to fill it


class VoiceEmbedder:
    """Resemblyzer's encoder, loaded once."""

    def __init__(self, device: str = "cpu"):
        try:
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # webrtcvad's pkg_resources
                from resemblyzer import VoiceEncoder

                self._encoder = VoiceEncoder(device, verbose=False)
        except ImportError as error:
            raise FaceVCError(
                f"d-vectors need Resemblyzer, which does not import here ({error}). Install it with "
                "'pip install resemblyzer \"setuptools>=77.0.3,<82\"'."
            ) from error

    def embed(self, wav: np.ndarray) -> np.ndarray:
        """wav: (n,) float at 16 kHz -> (256,) float32, L2-normalised; silence is an error, short clips are repeated."""
        peak = float(np.abs(wav).max()) if len(wav) else 0.0
        if peak == 0:
            raise FaceVCError("no voice can be embedded: the recording is silent (every sample is zero).")
        shortest = int(SHORTEST_S * VOICE_RATE)
        if len(wav) < shortest:
            wav = np.tile(wav, -(-shortest // len(wav)))
        levelled = (wav / max(0.05, peak) * 0.9).astype(np.float32)
        return np.asarray(self._encoder.embed_utterance(levelled), dtype=np.float32)


def embedder_version() -> str:
    """The version of the package that embeds, for a store's settings."""
    try:
        return version("resemblyzer")
    except PackageNotFoundError:
        return "unknown"
