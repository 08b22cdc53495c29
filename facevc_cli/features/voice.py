"""Resemblyzer's d-vector: what a voice is to the models (Wan et al., generalised end-to-end loss)."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from facevc_cli.errors import FaceVCError
from facevc_cli.features.mel import MelDefinition, mel_filters

VOICE_RATE = 16000  # Hz
VOICE_DIM = 256
SHORTEST_S = 1.6  # one window of Resemblyzer; shorter clips are repeated to fill it
WINDOWS_A_SECOND, LEAST_COVERAGE = 1.3, 0.75  # Resemblyzer's: how the windows lie, and how much of the last must be there
WINDOWS_AT_ONCE = 64  # memory: an hour has 4,700
# Resemblyzer hears the POWER in 40 Slaney bands, without a logarithm
_MEL = MelDefinition("resemblyzer", VOICE_RATE, 400, 400, 160, 40, 0.0, 8000.0, "none", 0.0, True)


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
        mean = np.concatenate(list(self._windows(levelled))).mean(0)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)

    def _windows(self, wav: np.ndarray) -> Iterator[np.ndarray]:
        """(windows, 256) of each block of windows. `embed_utterance` does it at once, and takes seconds to load librosa for its mel."""
        import torch

        wav_slices, mel_slices = self._encoder.compute_partial_slices(len(wav), WINDOWS_A_SECOND, LEAST_COVERAGE)
        half = _MEL.n_fft // 2  # frames are centred
        padded = torch.from_numpy(np.pad(wav, (half, max(0, wav_slices[-1].stop - len(wav)) + half)))
        filters, hann = torch.from_numpy(mel_filters(_MEL)), torch.hann_window(_MEL.win_samples)
        for i in range(0, len(mel_slices), WINDOWS_AT_ONCE):
            block = mel_slices[i : i + WINDOWS_AT_ONCE]
            first = block[0].start
            piece = padded[first * _MEL.hop_samples : (block[-1].stop - 1) * _MEL.hop_samples + _MEL.n_fft]
            power = torch.stft(piece, _MEL.n_fft, _MEL.hop_samples, window=hann, center=False, return_complex=True).abs() ** 2
            mel = (filters @ power).T
            with torch.inference_mode():
                mels = torch.stack([mel[s.start - first : s.stop - first] for s in block])
                yield self._encoder(mels.to(self._encoder.device)).cpu().numpy()


def embedder_version() -> str:
    """The version of the package that embeds, for a store's settings."""
    try:
        return version("resemblyzer")
    except PackageNotFoundError:
        return "unknown"
