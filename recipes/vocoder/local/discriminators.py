"""Small discriminators: one for each of several periods (HiFi-GAN), and one for each of several resolutions (UnivNet).

Sources: Kong, Kim, Bae 2020 (arXiv 2010.05646); Jang et al. 2021 (arXiv 2106.07889).
"""

from itertools import pairwise

import torch
from losses import log_magnitude
from torch import Tensor, nn
from torch.nn import functional as F

PERIODS = (2, 3, 5, 7, 11)
RESOLUTIONS = (512, 1024, 2048)
PERIOD_WIDTHS = (1, 16, 32, 64, 64)
RESOLUTION_WIDTHS = (1, 8, 16, 24)
SLOPE = 0.1
norm = nn.utils.parametrizations.weight_norm


class Layers(nn.Module):
    """Convolutions, then a score for each place: (B, 1, H, W) -> scores and the layers' features."""

    def __init__(self, widths: tuple[int, ...], kernel: tuple[int, int], stride: tuple[int, int]):
        super().__init__()
        padding = kernel[0] // 2, kernel[1] // 2
        self.layers = nn.ModuleList(norm(nn.Conv2d(a, b, kernel, stride, padding)) for a, b in pairwise(widths))
        self.score = norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        return self.score(x), features


class Discriminators(nn.Module):
    """Waveforms (B, n) -> scores and features of each discriminator."""

    def __init__(self) -> None:
        super().__init__()
        self.by_period = nn.ModuleList(Layers(PERIOD_WIDTHS, (5, 1), (3, 1)) for _ in PERIODS)
        self.by_resolution = nn.ModuleList(Layers(RESOLUTION_WIDTHS, (5, 3), (3, 1)) for _ in RESOLUTIONS)
        for size in RESOLUTIONS:
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)

    def forward(self, wav: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        judged = []
        for period, layers in zip(PERIODS, self.by_period, strict=True):
            whole = wav[:, : wav.shape[1] // period * period]
            judged.append(layers(whole.reshape(len(wav), 1, -1, period)))
        for size, layers in zip(RESOLUTIONS, self.by_resolution, strict=True):
            window = getattr(self, f"window_{size}")
            spectrum = torch.stft(wav, size, size // 4, window=window, return_complex=True)
            judged.append(layers(log_magnitude(spectrum * (8 / window.sum()))[:, None] / 4))
        return judged
