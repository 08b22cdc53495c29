"""More or less variance of a log-mel's bands over an utterance."""

import torch
from torch import Tensor


def scale_variance(mel: Tensor, scale: float) -> Tensor:
    """Log-mels (B, T, n_mels): each band's deviations from its mean over the utterance, times `scale`. Above 1 it sounds as a clearer recording.

    Silen, Helander, Nurminen and Gabbouj, "Ways to Implement Global Variance in Statistical Speech Synthesis", 2012; here by one factor.
    """
    return mel if scale == 1 else torch.lerp(mel.mean(1, keepdim=True), mel, scale)
