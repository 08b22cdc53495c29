"""Loads recordings from files or arrays, and puts results back at their place in time."""

from pathlib import Path

import numpy as np

from facevc_cli.conversion.speech import Source
from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.downmix import mix_array
from facevc_cli.files.audio import load_audio, resample

Recording = Path | str | tuple[np.ndarray, int]  # a file, or (wav (n,) or (n, channels), rate in Hz)


def load_recording(recording: Recording, to_rate: int) -> np.ndarray:
    """Loads a recording as mono (n,) float32 at `to_rate` Hz. Integer samples are scaled to [-1, 1]."""
    if not isinstance(recording, tuple):
        return load_audio(recording, to_rate)[0]
    wav, rate = np.asarray(recording[0]), recording[1]
    usable = (
        wav.size > 0 and (wav.ndim == 1 or (wav.ndim == 2 and wav.shape[0] >= wav.shape[1])) and wav.dtype.kind in "fiu"
    )
    if not usable or not np.isfinite(wav).all() or rate <= 0:
        raise FaceVCError(
            "a recording as an array must be (samples, rate in Hz). The samples must be (n,) or (n, channels), "
            f"finite floats or integers; found the shape {wav.shape}, {wav.dtype}, rate {rate}."
        )
    if wav.dtype.kind in "iu":
        limits = np.iinfo(wav.dtype)
        half = (float(limits.max) - float(limits.min) + 1) / 2
        wav = (wav - (float(limits.min) + half)) / half
    return resample(mix_array(wav if wav.ndim == 2 else wav[:, None], int(rate)), int(rate), to_rate)


def place_in_silence(wav: np.ndarray, source: Source, rate: int) -> np.ndarray:
    """Puts speech at its old place into silence as long as the recording."""
    whole = np.zeros(round(source.seconds * rate), np.float32)
    start = round(source.start_s * rate)
    count = min(len(wav), len(whole) - start)
    whole[start : start + count] = wav[:count]
    return whole
