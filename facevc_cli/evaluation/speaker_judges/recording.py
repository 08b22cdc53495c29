"""What both judges hear of a recording: some seconds of it, at one level."""

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.level import measure_rms
from facevc_cli.evaluation.metrics.voices import JUDGE_RATE

SHORTEST_S, LONGEST_S = 1, 30
LEVEL_DB = -23.0  # root mean square to full scale, the median of real recordings


def prepare_recording(wav: np.ndarray) -> np.ndarray:
    """(n,) at 16 kHz -> (16,000 to 480,000,) float32: repeat a short recording, cut a long one, and set its level.

    The networks need some frames, and their memory grows with the length. The level matters: voicefilter gives one
    recording and its copy at a tenth of the amplitude a cosine of .74. FaceVCError if the recording is silent.
    """
    if not len(wav) or not np.any(wav):
        raise FaceVCError("no voice can be embedded: the recording is silent (every sample is zero).")
    if len(wav) < SHORTEST_S * JUDGE_RATE:
        wav = np.tile(wav, -(-SHORTEST_S * JUDGE_RATE // len(wav)))
    heard = wav[: LONGEST_S * JUDGE_RATE]
    rms = measure_rms(heard)
    if rms == 0:
        raise FaceVCError(f"no voice can be embedded: the first {LONGEST_S} s of the recording are silent.")
    return np.asarray(heard * (10 ** (LEVEL_DB / 20) / rms), np.float32)
