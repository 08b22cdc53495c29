"""The pitch that the audio generator is told, and a reader of pitch in log-mels that lets gradients through."""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.families.xfavot.networks.blocks import SLOPE

CENTRE_LOG_F0 = math.log(150.0)  # Hz
READER_DILATIONS = (1, 2, 4, 1)


class PitchEncoder(nn.Module):
    """Normalised ln F0 (B, T) -> features (B, channels, T / 2 ** halvings)."""

    def __init__(self, channels: int, halvings: int):
        super().__init__()
        widths = [2, *(channels for _ in range(halvings))]
        self.layers = nn.ModuleList(nn.Conv1d(a, b, 5, stride=2, padding=2) for a, b in itertools.pairwise(widths))

    def forward(self, log_f0: Tensor) -> Tensor:
        found = torch.stack([log_f0, (log_f0 != 0).to(log_f0)], dim=1)
        for layer in self.layers:
            found = F.leaky_relu(layer(found), SLOPE)
        return found


class PitchReader(nn.Module):
    """Reads ln F0 (Hz) and the log-odds of voicing in each frame of a normalised log-mel."""

    def __init__(self, n_mels: int, channels: int):
        super().__init__()
        widths = [n_mels, *(channels for _ in READER_DILATIONS)]
        self.layers = nn.ModuleList(
            nn.Conv1d(a, b, 5, padding=2 * d, dilation=d)
            for a, b, d in zip(widths[:-1], widths[1:], READER_DILATIONS, strict=True)
        )
        self.end = nn.Conv1d(channels, 2, 1)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, n_mels, T) -> ln F0 (B, T), log-odds (B, T)."""
        found = mel[:, 0]
        for layer in self.layers:
            found = F.leaky_relu(layer(found), SLOPE)
        log_f0, voicing = self.end(found).unbind(1)
        return CENTRE_LOG_F0 + log_f0, voicing
