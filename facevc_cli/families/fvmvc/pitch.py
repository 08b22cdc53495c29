"""Turns F0 into decoder input: normalised log-F0 (the paper), or the absolute F0 as the log-mel of a harmonic comb."""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from facevc_cli.dsp.mel import MelDefinition, make_mel_filters

STEPS_PER_OCTAVE = 80
LOWEST_HZ = 55.0
TABLE_STEPS = 300  # up to 740 Hz
CENTRE_LOG_F0 = 5.0  # ln of 148 Hz
COMB_TOP_HZ = 8000.0
POWERS = 12


class NormalisedPitch(nn.Module):
    """The paper's pitch input: one channel, the normalised log-F0."""

    dim = 1

    def forward(self, lf0: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """lf0: (B, T) normalised, 0 unvoiced -> (B, T, 1); the level (mean, std) is not used."""
        return lf0[..., None]


class HarmonicCombPitch(nn.Module):
    """Absolute F0 as three inputs: the standardised log-mel of cosines at its multiples (n_mels), a voiced flag,
    centred log-F0.
    """

    def __init__(self, definition: MelDefinition):
        super().__init__()
        self.dim = definition.n_mels + 2
        self.register_buffer("table", torch.tensor(make_comb_table(definition)), persistent=False)
        self.table: Tensor

    def forward(self, lf0: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """lf0: (B, T) normalised, 0 unvoiced; mean, std: (B,) of ln F0 in Hz -> (B, T, n_mels + 2)."""
        voiced = (lf0 != 0).to(lf0)[..., None]
        log_f0 = (lf0 * std[:, None] + mean[:, None]).clamp(math.log(LOWEST_HZ), math.log(LOWEST_HZ) + 2.6)
        step = torch.round(STEPS_PER_OCTAVE * (log_f0 - math.log(LOWEST_HZ)) / math.log(2))
        comb = self.table[step.long().clamp(0, len(self.table) - 1)]
        return torch.cat([comb * voiced, voiced, (log_f0[..., None] - CENTRE_LOG_F0) * voiced], dim=-1)


@lru_cache
def make_comb_table(definition: MelDefinition) -> np.ndarray:
    """(TABLE_STEPS, n_mels) float32: the log-mel of unit cosines at k * F0 up to 8 kHz, standardised over the table.

    Phases of 0.7 k^2 prevent the harmonics from adding up to one pulse per window. It takes as long as the rest of a
    model, so it is made once.
    """
    rate, n_fft, filters = definition.rate, definition.n_fft, make_mel_filters(definition)
    samples, window = np.arange(n_fft) / rate, np.hanning(n_fft + 1)[:-1]
    combs = np.empty((TABLE_STEPS, n_fft))
    for row, f0 in enumerate(LOWEST_HZ * 2 ** (np.arange(TABLE_STEPS) / STEPS_PER_OCTAVE)):
        k = np.arange(1, int(min(COMB_TOP_HZ, rate / 2) / f0) + 1)
        combs[row] = _sum_powers(np.exp(0.7j * k * k), np.exp(2j * np.pi * f0 * samples)).real
    table = np.log(np.maximum(np.abs(np.fft.rfft(combs * window)) @ filters.T.astype(np.float64), 1e-3))
    return ((table - table.mean()) / table.std()).astype(np.float32)


def _sum_powers(factors: np.ndarray, z: np.ndarray) -> np.ndarray:
    """sum_k factors[k - 1] z^k, by Horner's rule in steps of z^POWERS.

    One cosine per harmonic would take six times as long.
    """
    powers = np.cumprod([np.ones_like(z), *[z] * (POWERS - 1)], axis=0)
    padded = np.zeros(-(-(len(factors) + 1) // POWERS) * POWERS, complex)
    padded[1 : len(factors) + 1] = factors
    total, step = np.zeros_like(z), powers[-1] * z
    for part in (padded.reshape(-1, POWERS) @ powers)[::-1]:
        total = total * step + part
    return total


class PitchLevel(nn.Module):
    """Voice embedding -> the mean and the standard deviation of its log F0."""

    def __init__(self, voice_dim: int = 256, hidden: int = 128):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(voice_dim, hidden), nn.GELU(), nn.Linear(hidden, 2))

    def forward(self, voice: Tensor) -> tuple[Tensor, Tensor]:
        """(B, voice_dim) -> mean (B,) and std (B,) of ln F0 (Hz)."""
        level = self.layers(math.sqrt(voice.shape[-1]) * voice)
        return CENTRE_LOG_F0 + 0.3 * level[:, 0], 0.2 * torch.exp(0.5 * level[:, 1].tanh())
