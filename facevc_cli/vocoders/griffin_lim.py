"""A vocoder without weights, for tests and for listening to a log-mel.

It inverts the mel and finds the phases by Griffin-Lim.
"""

import torch
from torch import Tensor
from torch.nn.functional import fold, pad

from facevc_cli.dsp.mel import MEL_DEFINITIONS, make_mel_filters
from facevc_cli.vocoders import Vocoder

INVERSION_STEPS = 40
MOMENTUM = 0.99  # of fast Griffin-Lim: Perraudin, Balazs, Soendergaard 2013


class GriffinLim(Vocoder):
    """Finds phases by fast Griffin-Lim from a fixed seed, so it is deterministic. Utterances are synthesised whole."""

    filters: Tensor
    inverse: Tensor
    window: Tensor

    def __init__(self, mel: str, iterations: int = 32):
        super().__init__("griffin-lim", mel, None)
        self.definition, self.iterations = MEL_DEFINITIONS[mel], iterations
        filters = torch.from_numpy(make_mel_filters(self.definition))  # (n_mels, 1 + n_fft / 2)
        self.register_buffer("filters", filters)
        self.register_buffer("inverse", torch.linalg.pinv(filters))
        silent = self.definition.n_fft - self.definition.win_samples  # a shorter window lies in the middle
        window = pad(torch.hann_window(self.definition.win_samples), (silent // 2, silent - silent // 2))
        self.register_buffer("window", window)
        self.freeze()

    def synthesise(self, log_mel: Tensor, start_frame: int) -> Tensor:
        d = self.definition
        mel = (10.0**log_mel if d.log == "log10" else log_mel.exp()).T
        magnitude = self.estimate_magnitude(mel)  # (bins, T)
        draw = torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(0)).to(mel.device)
        phase = torch.polar(torch.ones_like(draw), 2 * torch.pi * draw)
        previous = torch.zeros_like(phase)
        for _ in range(self.iterations):
            rebuilt = self.analyse(self.add_overlapping(magnitude * phase))
            phase = rebuilt - previous * (MOMENTUM / (1 + MOMENTUM))
            phase = phase / phase.abs().clamp_min(1e-12)
            previous = rebuilt
        side = d.n_fft // 2 if d.centred else (d.n_fft - d.hop_samples) // 2
        return self.add_overlapping(magnitude * phase)[side : side + len(log_mel) * d.hop_samples]

    def estimate_magnitude(self, mel: Tensor) -> Tensor:
        """mel: (n_mels, T), without logarithm -> a non-negative spectrum (bins, T) with this mel.

        It starts from the clipped pseudo-inverse, with multiplicative updates for non-negative least squares (Lee &
        Seung 2001).
        """
        spectrum = (self.inverse @ mel).clamp_min(1e-8)
        target, gram = self.filters.T @ mel, self.filters.T @ self.filters
        for _ in range(INVERSION_STEPS):
            spectrum = spectrum * target / (gram @ spectrum).clamp_min(1e-12)
        return spectrum

    def analyse(self, wav: Tensor) -> Tensor:
        d = self.definition
        return torch.stft(wav, d.n_fft, d.hop_samples, window=self.window, center=False, return_complex=True)

    def add_overlapping(self, spectrum: Tensor) -> Tensor:
        """(bins, T) -> ((T - 1) * hop + n_fft,): the least-squares inverse.

        It keeps the edges, which torch.istft refuses.
        """
        d, size = self.definition, (spectrum.shape[1] - 1) * self.definition.hop_samples + self.definition.n_fft
        frames = torch.fft.irfft(spectrum, d.n_fft, dim=0) * self.window[:, None]
        weights = (self.window**2)[:, None].expand(-1, spectrum.shape[1])
        both = fold(torch.stack([frames, weights]), (1, size), (1, d.n_fft), stride=(1, d.hop_samples))[:, 0, 0]
        return both[0] / both[1].clamp_min(1e-2)
