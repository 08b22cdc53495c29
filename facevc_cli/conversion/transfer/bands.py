"""How a recording sounds on the whole: each band's mean and deviation over its speech, and another log-mel brought towards them.

The mean is the long-term average spectrum, of which the voice and the microphone each make a part; the deviation is what Toda, Black and Tokuda, "Voice
Conversion Based on Maximum-Likelihood Estimation of Spectral Parameter Trajectory", 2007, call global variance.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

PAUSE, LOUD = 0.05, 0.95  # quantiles of the frames' level
SPEECH_FROM = 1 / 3  # of the way from the one to the other
TRUSTED_FRAMES = 40  # so many of speech count half: the sounds of a short recording are not a voice's average
LEAST_DEVIATION, MOST_CHANGE = 1e-2, 2.0


@dataclass(frozen=True)
class BandStatistics:
    """Of the speech of a normalised log-mel: mean and standard deviation (n_mels,) of each band, over so many frames."""

    mean: Tensor
    std: Tensor
    frames: int

    @classmethod
    def measure(cls, mel: Tensor) -> "BandStatistics":
        """mel: (T, n_mels), at least one frame. Quiet frames are pauses and do not count."""
        level = mel.mean(1)
        pause, loud = level.quantile(PAUSE), level.quantile(LOUD)
        speech = mel[level >= pause + SPEECH_FROM * (loud - pause)]
        std, mean = torch.std_mean(speech, 0, correction=0)
        return cls(mean, std, len(speech))


def match(mel: Tensor, own: BandStatistics | None, mean_share: float, deviation_share: float) -> Tensor:
    """mel: (T, n_mels) normalised -> the same, each band's mean taken by a share towards the voice's own, its deviation by a power.

    A share of 1 takes all of it, of 0 nothing; both count for less if the log-mel or the recording is short. Without a recording the log-mel
    stays as it is.
    """
    if own is None or not (mean_share or deviation_share):
        return mel
    now = BandStatistics.measure(mel)
    frames = min(now.frames, own.frames)
    trust = frames / (frames + TRUSTED_FRAMES)
    change = (own.std.clamp(min=LEAST_DEVIATION) / now.std.clamp(min=LEAST_DEVIATION)).clamp(1 / MOST_CHANGE, MOST_CHANGE) ** (trust * deviation_share)
    return torch.lerp(now.mean, own.mean, trust * mean_share) + (mel - now.mean) * change
