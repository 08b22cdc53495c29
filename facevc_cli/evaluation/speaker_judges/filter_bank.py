"""Kaldi's log filter-bank energies (`compute-fbank-feats`), the input of CAM++: 80 bands, 25 ms every 10 ms at 16 kHz.

The defaults of torchaudio.compliance.kaldi.fbank with 80 bands and no dither. torchaudio is not used, because it does
not import beside some builds of torch.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

RATE = 16000  # Hz
BANDS, LOWEST_HZ, HIGHEST_HZ = 80, 20.0, 8000.0
WINDOW_SAMPLES, HOP_SAMPLES, FFT_SAMPLES = 400, 160, 512
PREEMPHASIS, POVEY_POWER = 0.97, 0.85  # Povey's window is Hann's to this power
FLOOR = float(np.finfo(np.float32).eps)


def compute_filter_bank(wav: np.ndarray) -> Tensor:
    """(n,) float at 16 kHz, at least one window -> natural log energies (1 + (n - 400) // 160, 80) float32."""
    frames = torch.from_numpy(np.asarray(wav, np.float32)).unfold(0, WINDOW_SAMPLES, HOP_SAMPLES)
    frames = frames - frames.mean(1, keepdim=True)
    before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)  # the first sample is its own predecessor
    window = torch.hann_window(WINDOW_SAMPLES, periodic=False) ** POVEY_POWER
    power = torch.fft.rfft((frames - PREEMPHASIS * before) * window, FFT_SAMPLES).abs() ** 2
    return (power @ torch.from_numpy(make_kaldi_filters()).T).clamp(min=FLOOR).log()


@lru_cache(maxsize=1)
def make_kaldi_filters() -> np.ndarray:
    """(80, 257) float32: triangles of height 1, with equal steps on the scale 1127 ln(1 + f / 700)."""
    lowest, highest = (_convert_hz_to_mel(np.array(hz)) for hz in (LOWEST_HZ, HIGHEST_HZ))
    edges = np.linspace(lowest, highest, BANDS + 2)
    bins = _convert_hz_to_mel(np.fft.rfftfreq(FFT_SAMPLES, 1 / RATE))
    step = edges[1] - edges[0]
    triangles = np.maximum(0, np.minimum(bins - edges[:-2, None], edges[2:, None] - bins) / step)
    return triangles.astype(np.float32)


def _convert_hz_to_mel(hz: np.ndarray) -> np.ndarray:
    return np.asarray(1127 * np.log1p(hz / 700))
