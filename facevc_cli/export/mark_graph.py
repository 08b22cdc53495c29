"""The watermark as a module that can be traced, so that a program without Python can mark what it makes."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.core.graphs import count_axis, make_range
from facevc_cli.export.sound_graphs import make_spectrum_kernel
from facevc_cli.provenance.watermark import (
    BAND_HZ,
    BANDS,
    GAIN_DB,
    HOP_S,
    HOPS_A_SLOT,
    KEY,
    LOWEST_HZ,
    SLOTS,
    draw_pattern,
)


class MarkGraph(nn.Module):
    """A wav (n,) and the position (1,) int64 of its first sample in the stream -> the wav with the mark (n,).

    The same as `add_watermark`. Pieces of a stream begin at multiples of `hop_samples`.
    """

    def __init__(self, rate: int):
        super().__init__()
        self.rate, self.hop_samples = rate, max(1, round(HOP_S * rate))
        self.size = size = 4 * self.hop_samples
        window = 0.5 - 0.5 * torch.cos(2 * torch.pi * torch.arange(size, dtype=torch.float64) / size)
        kernel = make_spectrum_kernel(size, window)
        share = torch.full((size // 2 + 1,), 2 / size)
        share[[0, -1]] = 1 / size
        band = np.floor((np.fft.rfftfreq(size, 1 / rate) - LOWEST_HZ) / BAND_HZ).astype(int)
        inside = (band >= 0) & (band < BANDS)
        gains = np.ones((SLOTS, size // 2 + 1))
        gains[:, inside] = 10.0 ** (GAIN_DB / 20 * draw_pattern(KEY)[:, band[inside]])
        self.register_buffer("kernel", kernel)
        self.register_buffer("inverse", kernel * share.repeat(2)[:, None, None] / 1.5)  # sum of four squared windows
        self.register_buffer("gains", torch.from_numpy(gains).float())
        self.kernel: Tensor
        self.inverse: Tensor
        self.gains: Tensor

    def forward(self, wav: Tensor, start_sample: Tensor) -> Tensor:
        hop, size, count = self.hop_samples, self.size, count_axis(wav, 0)
        spectra = F.conv1d(F.pad(wav, (size, 2 * size))[None, None], self.kernel, stride=hop)  # (1, 2 bins, frames)
        first = start_sample + make_range(count_axis(spectra, 2)) * hop - size
        slot = torch.floor((first.double() + size / 2) / self.rate / (HOP_S * HOPS_A_SLOT)).long()
        gains = self.gains[torch.remainder(slot, SLOTS)].T[None]
        made = F.conv_transpose1d(spectra * torch.cat([gains, gains], 1), self.inverse, stride=hop)[0, 0]
        marked = made[size : size + count]
        return marked * (wav.abs().max().clamp(min=1.0) / marked.abs().max().clamp(min=1e-9)).clamp(max=1.0)
