"""Computes Resemblyzer's d-vector, which describes a voice for the models (Wan et al., generalised end-to-end loss)."""

from collections.abc import Iterator

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.mel import MelDefinition, make_mel_filters

VOICE_RATE = 16000  # Hz
VOICE_DIM = 256
EMBEDDER_VERSION = "0.1.4"  # version of Resemblyzer that the weights come from; stores and checkpoints name it
# Resemblyzer's windows: 1.6 s long, 1.3 per second; shorter clips are repeated to fill one
WINDOW_FRAMES, WINDOW_STEP = 160, 77
LEAST_COVERAGE = 0.75  # share of the last window that must be covered
WINDOWS_AT_ONCE = 64  # memory: an hour has 4,700
# Resemblyzer takes the POWER in 40 Slaney bands, without a logarithm
MEL = MelDefinition("resemblyzer", VOICE_RATE, 400, 400, 160, 40, 0.0, 8000.0, "none", 0.0, True)


class VoiceEmbedder:
    """Resemblyzer's encoder, loaded once. FaceVCError if its weights are missing or damaged."""

    def __init__(self, device: str = "cpu"):
        from facevc_cli.voices.dvector_network import load_voice_encoder

        self.device, self._encoder = device, load_voice_encoder(device)

    def embed(self, wav: np.ndarray) -> np.ndarray:
        """wav: (n,) float at 16 kHz -> (256,) float32, L2-normalised.

        Short clips are repeated. FaceVCError if it is silent.
        """
        peak = float(np.abs(wav).max()) if len(wav) else 0.0
        if peak == 0:
            raise FaceVCError("no voice can be embedded: the recording is silent (every sample is zero).")
        shortest = WINDOW_FRAMES * MEL.hop_samples
        if len(wav) < shortest:
            wav = np.tile(wav, -(-shortest // len(wav)))
        levelled = (wav / max(0.05, peak) * 0.9).astype(np.float32)
        mean = np.concatenate(list(self._embed_windows(levelled))).mean(0)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)

    def _embed_windows(self, wav: np.ndarray) -> Iterator[np.ndarray]:
        """Yields (windows, 256) of each block of windows."""
        import torch

        starts = find_window_starts(len(wav))
        half = MEL.n_fft // 2  # frames are centred
        end = (starts[-1] + WINDOW_FRAMES) * MEL.hop_samples
        padded = torch.from_numpy(np.pad(wav, (half, max(0, end - len(wav)) + half)))
        filters, hann = torch.from_numpy(make_mel_filters(MEL)), torch.hann_window(MEL.win_samples)
        for i in range(0, len(starts), WINDOWS_AT_ONCE):
            block = starts[i : i + WINDOWS_AT_ONCE]
            piece = padded[block[0] * MEL.hop_samples : (block[-1] + WINDOW_FRAMES - 1) * MEL.hop_samples + MEL.n_fft]
            power = (
                torch.stft(piece, MEL.n_fft, MEL.hop_samples, window=hann, center=False, return_complex=True).abs() ** 2
            )
            mel = (filters @ power).T
            with torch.inference_mode():
                mels = torch.stack([mel[start - block[0] : start - block[0] + WINDOW_FRAMES] for start in block])
                yield self._encoder(mels.to(self.device)).cpu().numpy()


def find_window_starts(samples: int) -> list[int]:
    """Returns the first frames of Resemblyzer's windows: 1.3 per second, without the last window if too little of it is
    covered.
    """
    frames = -(-(samples + 1) // MEL.hop_samples)
    starts = list(range(0, max(1, frames - WINDOW_FRAMES + WINDOW_STEP + 1), WINDOW_STEP))
    covered = (samples / MEL.hop_samples - starts[-1]) / WINDOW_FRAMES
    return starts[:-1] if covered < LEAST_COVERAGE and len(starts) > 1 else starts
