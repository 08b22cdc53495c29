"""Moves a log-mel away from the source's own voice."""

from torch import Tensor


def guide(mel: Tensor, in_source_voice: Tensor, guidance: float) -> Tensor:
    """mel + guidance (mel - the same words and pitch in the source's voice); log-mels (B, T, n_mels).

    The content still holds some of the source's voice. The difference cancels it. After classifier-free guidance (Ho
    and Salimans, 2022).
    """
    return mel + guidance * (mel - in_source_voice)
