"""Perturbed voices for the content encoder: what the decoder cannot hear of a speaker in the content, it must take from the voice embedding.

As in NANSY (Choi et al., 2021) the words stay and the speaker is disguised, here on the log-mel: the frequency axis is stretched, which
moves formants and harmonics, and a smooth curve over the bands stands for another throat and microphone.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from facevc_cli.features.mel import MelDefinition, mel_centres_hz

STRETCH = 1.25  # at most, either way
CURVE_POINTS = 6
CURVE_DEVIATION = 0.5  # of the curve's points, in nepers (4.3 dB)
NEPER = {"ln": 1.0, "log10": math.log10(math.e)}  # one neper in the log-mel's unit


class VoicePerturbation:
    """Log-mels as other people might have said the same, each crop its own way."""

    def __init__(self, definition: MelDefinition):
        self.centres = torch.from_numpy(mel_centres_hz(definition).astype(np.float32))
        self.deviation = CURVE_DEVIATION * NEPER[definition.log]

    def __call__(self, mel: Tensor, generator: torch.Generator) -> Tensor:
        """mel: (B, T, n_mels) raw log-mel -> the same shape; the CPU generator draws stretch and curve of every crop."""
        size, bands = mel.shape[0], mel.shape[2]
        stretch = STRETCH ** (2 * torch.rand(size, generator=generator) - 1)
        points = self.deviation * torch.randn(size, 1, CURVE_POINTS, generator=generator)
        curve = F.interpolate(points, size=bands, mode="linear", align_corners=True)
        low, share = self._places(stretch)
        low, share = low.to(mel.device)[:, None].expand(mel.shape), share.to(mel)[:, None]
        stretched = torch.lerp(mel.gather(2, low), mel.gather(2, low + 1), share)
        return stretched + curve.to(mel)

    def _places(self, stretch: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) -> the lower one of the two bands between which each band's value is found (B, n_mels), and how far from it."""
        wanted = (self.centres / stretch[:, None]).clamp(float(self.centres[0]), float(self.centres[-1]))
        low = (torch.searchsorted(self.centres, wanted, right=True) - 1).clamp(0, len(self.centres) - 2)
        return low, (wanted - self.centres[low]) / (self.centres[low + 1] - self.centres[low])
