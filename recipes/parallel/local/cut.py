"""Cuts recordings of one text to the part that the trim of every one of them keeps.

Extraction trims silence (60 dB below the loudest frame) at both ends. One voice may end louder than another, so each
recording would lose another number of frames, and the recordings would no longer be aligned.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from facevc_cli.dsp.frontend import Frontend
from facevc_cli.files.audio import resample

FRONTEND = Frontend.standard("hifigan")
SHORTEST_S = 0.5


def find_common_part(wavs: Sequence[np.ndarray], rate: int) -> tuple[int, int] | None:
    """Returns the first sample, and one past the last, of the longest common part that no trim shortens.

    wavs: of one length. None if less than SHORTEST_S would be left.
    """
    heard_rate = FRONTEND.definition.rate
    start, end = 0, len(wavs[0])
    while end - start >= SHORTEST_S * rate:
        heard = [resample(wav[start:end], rate, heard_rate) for wav in wavs]
        bounds = [FRONTEND.find_bounds(wav) for wav in heard]
        cut_start = max(first for first, _ in bounds)
        cut_end = max(len(wav) - last for wav, (_, last) in zip(heard, bounds, strict=True))
        if cut_start == cut_end == 0:
            return start, end
        start += math.ceil(cut_start * rate / heard_rate)
        end -= math.ceil(cut_end * rate / heard_rate)
    return None


def cut_together(paths: Sequence[Path]) -> bool:
    """Cuts 16-bit recordings of one length and rate in place. False, and no change, if too little would be left."""
    read = [soundfile.read(path, dtype="int16") for path in paths]
    rate = read[0][1]
    part = find_common_part([wav.astype(np.float32) / 32768 for wav, _ in read], rate)
    if part is None:
        return False
    for path, (wav, _) in zip(paths, read, strict=True):
        soundfile.write(path, wav[slice(*part)], rate)
    return True
