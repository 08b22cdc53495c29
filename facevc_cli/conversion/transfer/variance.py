"""Changes the variance of a log-mel's bands over an utterance."""

import torch
from torch import Tensor


def scale_variance(mel: Tensor, scale: float) -> Tensor:
    """Multiplies each band's deviations from its mean over the utterance by `scale`. Log-mels (B, T, n_mels). Above 1 speech sounds clearer.

    Silen, Helander, Nurminen and Gabbouj, "Ways to Implement Global Variance in Statistical Speech Synthesis", 2012; here by one factor.
    """
    return mel if scale == 1 else torch.lerp(mel.mean(1, keepdim=True), mel, scale)
