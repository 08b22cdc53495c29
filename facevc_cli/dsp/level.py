"""Measures the level of a waveform, and matches it to another level."""

import numpy as np

PEAK = 0.99
BLOCK_SAMPLES = 1 << 20
SILENCE = 1e-4  # RMS


def measure_rms(wav: np.ndarray) -> float:
    """Returns the RMS of (n,). It adds up in float64, without a copy of the whole."""
    return float(
        np.sqrt(
            sum(
                np.square(wav[i : i + BLOCK_SAMPLES], dtype=np.float64).sum() for i in range(0, len(wav), BLOCK_SAMPLES)
            )
            / len(wav)
        )
    )


def match_loudness(wav: np.ndarray, rms: float, heard: np.ndarray | None = None) -> np.ndarray:
    """Scales wav (n,) in place to an RMS, but not so far that it clips. The RMS of silence gives silence.

    heard: the sound whose own RMS counts; None: wav.
    """
    own = measure_rms(wav if heard is None else heard)
    gain = 0.0 if rms < SILENCE or own == 0 else min(rms / own, PEAK / max(float(wav.max()), -float(wav.min())))
    wav *= np.float32(gain)
    return wav
