"""The losses that compare waveforms (B, n), and those of discriminators."""

from dataclasses import replace

import torch
from pieces import MEL
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.dsp.mel import make_mel_filters

STFT_SIZES = (256, 512, 1024, 2048)
MEL_SIZES = ((512, 40), (1024, 80), (2048, 160))  # FFT size, bands
MEL_FLOOR = 1e-4
LOUDNESS = 8.0  # scales magnitudes, so that a bin of speech is about 1
QUIETEST = 8e-4  # of them: 80 dB below a full sine
MAGNITUDE_WEIGHT = 4.0


class StftLoss(nn.Module):
    """L1 of log-magnitudes and magnitudes, and the relative L1 of complex spectra, summed over four resolutions.

    The last hears phases. HiFi-GAN's waveform is a function of the log-mel, so its phases can be learnt.
    """

    def __init__(self) -> None:
        super().__init__()
        for size in STFT_SIZES:
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)

    def forward(self, made: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        magnitudes, phases = made.new_zeros(()), made.new_zeros(())
        for size in STFT_SIZES:
            window = getattr(self, f"window_{size}")
            a, b = (
                torch.stft(wav, size, size // 4, window=window, return_complex=True) * (LOUDNESS / window.sum())
                for wav in (made, wanted)
            )
            magnitudes = magnitudes + F.l1_loss(log_magnitude(a), log_magnitude(b))
            magnitudes = magnitudes + MAGNITUDE_WEIGHT * F.l1_loss(a.abs(), b.abs())
            phases = phases + torch.view_as_real(a - b).abs().mean() / (b.abs().mean() + 1e-5)
        return magnitudes, phases


def log_magnitude(spectrum: Tensor) -> Tensor:
    return torch.log(spectrum.abs() + QUIETEST)


class MelLoss(nn.Module):
    """The mean L1 of log-mels in three resolutions, up to 8 kHz, over the waveforms that count."""

    def __init__(self) -> None:
        super().__init__()
        for size, bands in MEL_SIZES:
            definition = replace(MEL, n_fft=size, win_samples=size, hop_samples=size // 4, n_mels=bands)
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)
            self.register_buffer(f"filters_{size}", torch.from_numpy(make_mel_filters(definition)), persistent=False)

    def forward(self, made: Tensor, wanted: Tensor, counts: Tensor) -> Tensor:
        """counts: (B,), 1 for waveforms that count, 0 for others."""
        loss = made.new_zeros(())
        for size, _ in MEL_SIZES:
            a, b = (self._hear(wav, size) for wav in (made, wanted))
            loss = loss + ((a - b).abs().mean((1, 2)) * counts).sum() / counts.sum().clamp_min(1)
        return loss / len(MEL_SIZES)

    def _hear(self, wav: Tensor, size: int) -> Tensor:
        window, filters = getattr(self, f"window_{size}"), getattr(self, f"filters_{size}")
        spectrum = torch.stft(wav, size, size // 4, window=window, return_complex=True).abs()
        return torch.log((filters @ spectrum).clamp_min(MEL_FLOOR))


Judged = tuple[Tensor, list[Tensor]]  # scores and features of one discriminator


def judge_real(real: list[Judged], made: list[Judged]) -> Tensor:
    """The discriminators' loss (least squares)."""
    terms = [(1 - r).square().mean() + m.square().mean() for (r, _), (m, _) in zip(real, made, strict=True)]
    return torch.stack(terms).mean()


def deceive(made: list[Judged]) -> Tensor:
    """The generator's loss (least squares)."""
    return torch.stack([(1 - m).square().mean() for m, _ in made]).mean()


def match_features(real: list[Judged], made: list[Judged]) -> Tensor:
    """The L1 between features, relative to their size."""
    return torch.stack(
        [
            (a.detach() - b).abs().mean() / (a.detach().abs().mean() + 1e-5)
            for (_, wanted), (_, found) in zip(real, made, strict=True)
            for a, b in zip(wanted, found, strict=True)
        ]
    ).mean()
