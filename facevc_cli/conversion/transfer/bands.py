"""Measures each band's mean and deviation over a recording's speech, and moves another log-mel towards them.

The mean is the long-term average spectrum, which depends on the voice and the microphone. The deviation is the global
variance of Toda, Black and Tokuda, "Voice Conversion Based on Maximum-Likelihood Estimation of Spectral Parameter
Trajectory", 2007.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from facevc_cli.dsp.statistics import WHOLE, Statistics

PAUSE, LOUD = 0.05, 0.95  # quantiles of the frames' level
SPEECH_FROM = 1 / 3  # share of the way from PAUSE to LOUD at which speech begins
TRUSTED_FRAMES = 40  # this many frames count half, because a short recording holds too few sounds for an average
LEAST_DEVIATION, MOST_CHANGE = 1e-2, 2.0


@dataclass(frozen=True)
class BandStatistics:
    """Mean and standard deviation (n_mels,) of each band over the speech of a normalised log-mel.

    frames: count of speech frames.
    """

    mean: Tensor
    std: Tensor
    frames: int

    @classmethod
    def measure(cls, mel: Tensor) -> "BandStatistics":
        """Measures mel (T, n_mels), at least one frame. Quiet frames are pauses and do not count."""
        level = mel.mean(1)
        pause, loud = level.quantile(PAUSE), level.quantile(LOUD)
        speech = mel[level >= pause + SPEECH_FROM * (loud - pause)]
        std, mean = torch.std_mean(speech, 0, correction=0)
        return cls(mean, std, len(speech))


def match(
    mel: Tensor, own: BandStatistics | None, mean_share: float, deviation_share: float, statistics: Statistics = WHOLE
) -> Tensor:
    """Moves each band's mean linearly and its deviation by a power towards those of `own`. mel: (T, n_mels) normalised.

    A share of 1 moves all the way, 0 not at all. Both count less if the log-mel or the recording is short. Without
    `own` the log-mel is unchanged.
    """
    if own is None or not (mean_share or deviation_share):
        return mel
    now = BandStatistics.measure(statistics.gather("bands", mel))
    frames = min(now.frames, own.frames)
    trust = frames / (frames + TRUSTED_FRAMES)
    change = (own.std.clamp(min=LEAST_DEVIATION) / now.std.clamp(min=LEAST_DEVIATION)).clamp(
        1 / MOST_CHANGE, MOST_CHANGE
    ) ** (trust * deviation_share)
    return torch.lerp(now.mean, own.mean, trust * mean_share) + (mel - now.mean) * change
