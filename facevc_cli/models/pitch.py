"""How F0 enters the decoder: normalised log-F0 (the paper), or the absolute F0 as the log-mel of a harmonic comb."""

import math

import numpy as np
import torch
from torch import Tensor, nn

STEPS_PER_OCTAVE = 80
LOWEST_HZ = 55.0
TABLE_STEPS = 300  # up to 740 Hz
CENTRE_LOG_F0 = 5.0  # ln of 148 Hz
COMB_TOP_HZ = 8000.0


class NormalisedPitch(nn.Module):
    """The paper's: one channel, the normalised log-F0."""

    dim = 1

    def forward(self, lf0: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """lf0: (B, T) normalised, 0 unvoiced -> (B, T, 1); the level (mean, std) is not used."""
        return lf0[..., None]


class HarmonicCombPitch(nn.Module):
    """The absolute F0: the standardised log-mel of cosines at its multiples (n_mels), a voiced flag, centred log-F0."""

    def __init__(self, filters: np.ndarray, rate: int, n_fft: int):
        super().__init__()
        self.dim = len(filters) + 2
        self.register_buffer("table", torch.from_numpy(harmonic_comb_table(filters, rate, n_fft)), persistent=False)
        self.table: Tensor

    def forward(self, lf0: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """lf0: (B, T) normalised, 0 unvoiced; mean, std: (B,) of ln F0 in Hz -> (B, T, n_mels + 2)."""
        voiced = (lf0 != 0).to(lf0)[..., None]
        log_f0 = (lf0 * std[:, None] + mean[:, None]).clamp(math.log(LOWEST_HZ), math.log(LOWEST_HZ) + 2.6)
        step = torch.round(STEPS_PER_OCTAVE * (log_f0 - math.log(LOWEST_HZ)) / math.log(2))
        comb = self.table[step.long().clamp(0, len(self.table) - 1)]
        return torch.cat([comb * voiced, voiced, (log_f0[..., None] - CENTRE_LOG_F0) * voiced], dim=-1)


def harmonic_comb_table(filters: np.ndarray, rate: int, n_fft: int) -> np.ndarray:
    """(TABLE_STEPS, n_mels) float32: the log-mel of unit cosines at k * F0 up to 8 kHz, standardised over the table.

    filters: (n_mels, 1 + n_fft / 2). The phases .7 k^2 keep the harmonics from adding up to one pulse a window.
    """
    samples = np.arange(n_fft) / rate
    window = np.hanning(n_fft + 1)[:-1]
    table = np.empty((TABLE_STEPS, len(filters)))
    for row, f0 in enumerate(LOWEST_HZ * 2 ** (np.arange(TABLE_STEPS) / STEPS_PER_OCTAVE)):
        k = np.arange(1, int(min(COMB_TOP_HZ, rate / 2) / f0) + 1)[:, None]
        comb = np.cos(2 * np.pi * f0 * k * samples + 0.7 * k * k).sum(0)
        table[row] = np.log(np.maximum(filters @ np.abs(np.fft.rfft(comb * window)), 1e-3))
    return ((table - table.mean()) / table.std()).astype(np.float32)


class PitchLevel(nn.Module):
    """Voice embedding -> the mean and the standard deviation of its log F0."""

    def __init__(self, voice_dim: int = 256, hidden: int = 128):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(voice_dim, hidden), nn.GELU(), nn.Linear(hidden, 2))

    def forward(self, voice: Tensor) -> tuple[Tensor, Tensor]:
        """(B, voice_dim) -> mean (B,) and std (B,) of ln F0 (Hz)."""
        level = self.layers(math.sqrt(voice.shape[-1]) * voice)
        return CENTRE_LOG_F0 + 0.3 * level[:, 0], 0.2 * torch.exp(0.5 * level[:, 1].tanh())
