"""What a conversion keeps of an utterance."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from facevc_cli.dsp.pitch import PitchStatistics


@dataclass(frozen=True)
class Source:
    """What is kept of an utterance: content z (1, T / 2, z_dim), log-F0 (1, T) normalised, its level, and how it lay in the recording.

    speaker: its own voice embedding (1, voice_dim), where the model is guided away from it.
    """

    z: Tensor
    lf0: Tensor
    pitch: PitchStatistics
    rms: float
    start_s: float  # what the trim cut off in front ...
    seconds: float  # ... of this much recording
    speaker: Tensor | None = None


@dataclass(frozen=True)
class SpeechFeatures:
    """What the front-end makes of an utterance: log-mel (T, n_mels), F0 (T,) Hz with 0 where unvoiced, the d-vector (256,) where one is
    needed; the rest as in Source."""

    mel: np.ndarray
    f0: np.ndarray
    rms: float
    start_s: float
    seconds: float
    dvector: np.ndarray | None = None
