"""Changes the variance of a log-mel's bands over an utterance."""

import torch
from torch import Tensor

from facevc_cli.dsp.statistics import WHOLE, Statistics


def scale_variance(mel: Tensor, scale: float, statistics: Statistics = WHOLE) -> Tensor:
    """Multiplies each band's deviations from its mean over the utterance by `scale`. Log-mels (B, T, n_mels).

    Above 1 speech sounds clearer.

    Silen, Helander, Nurminen and Gabbouj, "Ways to Implement Global Variance in Statistical Speech Synthesis", 2012;
    here by one factor.
    """
    if scale == 1:
        return mel
    mean = statistics.gather("variance", mel, axis=1).mean(1, keepdim=True)
    return torch.lerp(mean, mel, scale)
