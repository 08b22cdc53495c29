"""The source of a conversion: an utterance after analysis."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from facevc_cli.dsp.pitch import PitchStatistics
from facevc_cli.dsp.statistics import WHOLE, Statistics


@dataclass(frozen=True)
class Source:
    """An analysed utterance: content z (1, T / 2, z_dim), normalised log-F0 (1, T), level, and position in the
    recording.

    speaker: its own voice embedding (1, voice_dim), if guidance moves the result away from it.
    recording: what a model with the capability RECORDING takes from it for that voice.
    statistics: what the later steps measure, as in `Converter.hear`.
    """

    z: Tensor
    lf0: Tensor
    pitch: PitchStatistics
    rms: float
    start_s: float  # length of the trimmed beginning
    seconds: float  # length of the whole recording
    speaker: Tensor | None = None
    statistics: Statistics = WHOLE
    recording: Tensor | None = None


@dataclass(frozen=True)
class SpeechFeatures:
    """Features of an utterance: log-mel (T, n_mels), F0 (T,) in Hz with 0 for unvoiced frames, and a d-vector (256,) if
    needed.

    The other fields are as in Source.
    """

    mel: np.ndarray
    f0: np.ndarray
    rms: float
    start_s: float
    seconds: float
    dvector: np.ndarray | None = None
    statistics: Statistics = WHOLE
