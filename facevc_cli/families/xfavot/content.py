"""A listener that hears the content of log-mels, with the content encoder of any model that converts.

It stands for the paper's speech recogniser. Its model may have been trained on other log-mels, so they are translated.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.dsp.mel import MelDefinition, find_band_centres_hz, locate_in_bands


class MelTranslator(nn.Module):
    """Log-mels of one definition -> about those that another definition gives the same sound. Gradients flow through.

    Bands are interpolated by their frequency, frames by their time. The gain between both is that of noise.
    """

    bands: Tensor

    def __init__(self, source: MelDefinition, target: MelDefinition):
        super().__init__()
        low, share = locate_in_bands(source, find_band_centres_hz(target))
        rows = np.arange(target.n_mels)
        bands = np.zeros((target.n_mels, source.n_mels), np.float32)
        bands[rows, low], bands[rows, low + 1] = 1 - share, share
        self.register_buffer("bands", torch.from_numpy(bands))
        self.speed = float(target.frame_rate / source.frame_rate)
        self.gain = _measure_noise(target) - _measure_noise(source)
        self.to_ln = math.log(10) if source.log == "log10" else 1.0
        self.from_ln = 1 / math.log(10) if target.log == "log10" else 1.0
        self.floor = math.log(target.floor)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, source bands, T) raw -> (B, target bands, T') raw."""
        found = self.bands @ mel.float() * self.to_ln + self.gain
        frames = max(1, round(mel.shape[-1] * self.speed))
        found = F.interpolate(found, size=frames, mode="linear", align_corners=False)
        return found.clamp(min=self.floor) * self.from_ln


def _measure_noise(definition: MelDefinition) -> float:
    """ln of what noise of unit deviation measures in a band, but for what all definitions share."""
    bins_per_hz = definition.n_fft / definition.rate  # a filter's weights sum to this
    return math.log(bins_per_hz * math.sqrt(definition.win_samples))


class ContentListener(nn.Module):
    mean: Tensor
    std: Tensor

    def __init__(self, model: Any, definition: MelDefinition, own: MelDefinition, mean: Tensor, std: Tensor):
        """model: a ConversionModel, definition: of its log-mels. own: of the log-mels that it hears, which are
        normalised by mean and std (n_mels,).
        """
        super().__init__()
        self.model, self.translator = model, MelTranslator(own, definition)
        self.register_buffer("mean", mean[:, None].clone())
        self.register_buffer("std", std[:, None].clone())

    def forward(self, mel: Tensor) -> Tensor:
        """Normalised log-mels (B, 1, n_mels, T) -> contents (B, frames, size)."""
        translated = self.translator(mel[:, 0] * self.std + self.mean)
        model: Any = self.model
        return model.hear_content(model.normalise(translated.transpose(1, 2)).transpose(1, 2))
