"""Disguises voices for the content encoder.

If content holds less of the speaker, the decoder must use the voice embedding.

NANSY (Choi et al., 2021) keeps the words and disguises the speaker. Here this is done on the log-mel. Stretching the
frequency axis moves formants and harmonics. A smooth curve over the bands imitates another vocal tract and microphone.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from facevc_cli.dsp.mel import MelDefinition, find_band_centres_hz, locate_in_bands

STRETCH = 1.25  # largest factor, up or down
CURVE_POINTS = 6
CURVE_DEVIATION = 0.5  # deviation of the curve's points, in nepers (4.3 dB)
NEPER = {"ln": 1.0, "log10": math.log10(math.e)}  # one neper in the log-mel's unit


class VoicePerturbation:
    """Changes log-mels as if other people had said the same words. Each crop gets its own change."""

    def __init__(self, definition: MelDefinition):
        self.definition = definition
        self.deviation = CURVE_DEVIATION * NEPER[definition.log]

    def __call__(self, mel: Tensor, generator: torch.Generator) -> Tensor:
        """mel: (B, T, n_mels) raw log-mel -> the same shape; the CPU generator draws stretch and curve of
        every crop.
        """
        size, bands = mel.shape[0], mel.shape[2]
        stretch = STRETCH ** (2 * torch.rand(size, generator=generator) - 1)
        points = self.deviation * torch.randn(size, 1, CURVE_POINTS, generator=generator)
        curve = F.interpolate(points, size=bands, mode="linear", align_corners=True)
        places = locate_in_bands(self.definition, find_band_centres_hz(self.definition) / stretch[:, None].numpy())
        low, share = (torch.from_numpy(array).to(mel.device)[:, None].expand(mel.shape) for array in places)
        stretched = torch.lerp(mel.gather(2, low), mel.gather(2, low + 1), share)
        return stretched + curve.to(mel)
