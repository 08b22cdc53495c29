"""How loud a waveform is, and another made as loud."""

import numpy as np

PEAK = 0.99
BLOCK_SAMPLES = 1 << 20
SILENCE = 1e-4  # RMS


def measure_rms(wav: np.ndarray) -> float:
    """Of (n,), added up in float64 without a copy of it all."""
    return float(np.sqrt(sum(np.square(wav[i : i + BLOCK_SAMPLES], dtype=np.float64).sum() for i in range(0, len(wav), BLOCK_SAMPLES)) / len(wav)))


def match_loudness(wav: np.ndarray, rms: float) -> np.ndarray:
    """(n,) to an RMS, short of clipping; that of a silence gives silence. In place."""
    own = measure_rms(wav)
    gain = 0.0 if rms < SILENCE or own == 0 else min(rms / own, PEAK / max(float(wav.max()), -float(wav.min())))
    wav *= np.float32(gain)
    return wav
