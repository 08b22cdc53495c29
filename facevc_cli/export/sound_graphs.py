"""What a conversion measures in sound, as modules that can be traced: log-mel, F0 and the voice of a recording.

A spectrum is a product with cosines and sines, because not every runtime has an FFT.
"""

import math
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.core.graphs import count_axis, make_range
from facevc_cli.dsp.mel import MelDefinition, make_mel_filters
from facevc_cli.dsp.pitch import F0_CEIL_HZ, F0_FLOOR_HZ
from facevc_cli.voices import dvector
from facevc_cli.voices.dvector_network import VoiceEncoder

STEPS_PER_OCTAVE = 96
OCTAVE_COST = 0.01  # subtracted from a period's correlation for each octave that it is longer than the shortest
FAR_COST, NEAR_OCTAVES = 0.2, 0.6  # subtracted for each octave beyond NEAR_OCTAVES from the pitch of the whole
STEADY_FRAMES = 5  # correlations are averaged over so many frames to find the octave
NEAR_STEPS = 20  # a frame's own F0 is at most so many steps from that
SHORTEST_HZ = 3200.0  # the shortest period that is looked at
DIP = 0.3
LEAST_CORRELATION = 0.42
LEAST_LEVEL = 0.03  # of a voiced frame, as a share of the loudest
PERIODS = 3  # of the lowest F0, in a window
DECIMATED_HZ = 5400.0
SINC_ZEROS = 48  # on either side of the resampling filter


def make_spectrum_kernel(size: int, window: Tensor) -> Tensor:
    """(2 * (size // 2 + 1), 1, len(window)): a convolution with it gives the real, then the imaginary part of a DFT."""
    angles = torch.outer(torch.arange(size // 2 + 1), torch.arange(len(window))) % size * (2 * torch.pi / size)
    return (torch.cat([angles.double().cos(), -angles.double().sin()]) * window.double())[:, None].float()


def measure_power(wav: Tensor, kernel: Tensor, hop: int) -> Tensor:
    """(n,) -> the power spectra (bins, frames) of windows that begin `hop` samples apart."""
    real, imaginary = F.conv1d(wav[None, None], kernel, stride=hop)[0].chunk(2)
    return real**2 + imaginary**2


class LogMelGraph(nn.Module):
    """A prepared wav (n,) -> raw log-mel (1, T, n_mels), as `compute_log_mel`. n is at least one window."""

    def __init__(self, definition: MelDefinition):
        super().__init__()
        self.definition = d = definition
        self.side = d.n_fft // 2 if d.centred else (d.n_fft - d.hop_samples) // 2
        left = (d.n_fft - d.win_samples) // 2
        window = F.pad(torch.hann_window(d.win_samples), (left, d.n_fft - d.win_samples - left))
        self.register_buffer("kernel", make_spectrum_kernel(d.n_fft, window))
        self.register_buffer("filters", torch.from_numpy(make_mel_filters(d)))
        self.kernel: Tensor
        self.filters: Tensor

    def forward(self, wav: Tensor) -> Tensor:
        padded = F.pad(wav[None, None], (self.side, self.side), mode="reflect")[0, 0]
        power = measure_power(padded, self.kernel, self.definition.hop_samples)
        mel = (self.filters @ power.sqrt()).clamp(min=self.definition.floor)
        return (mel.log10() if self.definition.log == "log10" else mel.log()).T[None]


class PitchGraph(nn.Module):
    """A prepared wav (n,) -> F0 (T,) in Hz, 0 in unvoiced frames; as many frames as the log-mel.

    The autocorrelation of a window by that of its Hann window (Boersma, "Accurate short-term analysis of the
    fundamental frequency", 1993), at periods that are equally apart in octaves. The octave is that of the mean over
    some frames. facevc itself uses WORLD, which is no network; a test compares both.
    """

    def __init__(self, definition: MelDefinition):
        super().__init__()
        self.hop, self.shift = definition.hop_samples, 0 if definition.centred else 1
        self.factor = max(1, int(definition.rate / DECIMATED_HZ))
        rate = definition.rate / self.factor
        self.samples = 2 * math.ceil(PERIODS * rate / F0_FLOOR_HZ / 2)  # in a window
        reach = 8 * self.factor
        place = torch.arange(-reach, reach + 1, dtype=torch.float64)
        low_pass = torch.sinc(0.8 * place / self.factor) * torch.hann_window(2 * reach + 3, False).double()[1:-1]
        self.reach = reach
        self.register_buffer("low_pass", (low_pass / low_pass.sum())[None, None].float())
        window = torch.hann_window(self.samples + 1, False)[:-1]
        size = 2 * self.samples
        self.register_buffer("kernel", make_spectrum_kernel(size, window)[:, 0].T.contiguous())
        octaves = math.log2(SHORTEST_HZ / F0_FLOOR_HZ)
        steps = torch.arange(round(octaves * STEPS_PER_OCTAVE), dtype=torch.float64)
        self.register_buffer("candidates_hz", (F0_FLOOR_HZ * 2 ** (steps / STEPS_PER_OCTAVE)).float())
        periods = rate / self.candidates_hz.double()
        waves = torch.cos(torch.outer(torch.arange(size // 2 + 1), periods) * (2 * torch.pi / size))
        waves[1:-1] *= 2
        own = torch.fft.rfft(window.double(), size).abs() ** 2
        level = torch.cat([own[:1], 2 * own[1:-1], own[-1:]]).sum()
        self.register_buffer("inverse", (waves / (own @ waves) * level).float())
        self.register_buffer("octaves", (steps / STEPS_PER_OCTAVE).float())
        self.register_buffer("cost", (OCTAVE_COST * (octaves - steps / STEPS_PER_OCTAVE)).float())

    low_pass: Tensor
    kernel: Tensor
    candidates_hz: Tensor
    inverse: Tensor
    octaves: Tensor
    cost: Tensor

    def forward(self, wav: Tensor) -> Tensor:
        count = torch.div(count_axis(wav, 0), self.hop, rounding_mode="floor") + 1 - self.shift
        slow = F.conv1d(F.pad(wav, (self.reach, self.reach))[None, None], self.low_pass, stride=self.factor)[0, 0]
        slow = F.pad(slow, (self.samples // 2, self.samples))
        middle = torch.round(make_range(count).double() * (self.hop / self.factor)).long()
        frames = slow[middle[:, None] + torch.arange(self.samples)]
        frames = frames - frames.mean(1, keepdim=True)
        real, imaginary = (frames @ self.kernel).chunk(2, 1)
        power = real**2 + imaginary**2
        energy = power[:, :1] + 2 * power[:, 1:-1].sum(1, keepdim=True) + power[:, -1:]
        alike = power @ self.inverse / energy.clamp(min=1e-9)  # (T, candidates)
        # next to a period of zero all sound is like itself; a voice's period comes after a dip
        dips = torch.cumsum((alike < DIP).flip(1).float(), 1).flip(1) > 0
        score = torch.where(dips & (self.candidates_hz <= F0_CEIL_HZ), alike - self.cost, torch.zeros_like(alike))
        level = energy.sqrt()
        common = (score * level).sum(0).argmax()  # the pitch of the whole: a formant is not the same in all frames
        distance = (self.octaves - self.octaves[common]).abs()
        score = score - FAR_COST * (distance - NEAR_OCTAVES).clamp(min=0)
        steady = F.avg_pool1d(score.T[None], STEADY_FRAMES, 1, STEADY_FRAMES // 2)[0].T.argmax(1, keepdim=True)
        steps = torch.arange(len(self.cost))
        near = (steps - steady).abs() <= NEAR_STEPS
        best = torch.where(near, score, torch.full_like(score, -9.0)).argmax(1, keepdim=True)
        left, here, right = (score.gather(1, (best + i).clamp(0, len(self.cost) - 1)) for i in (-1, 0, 1))
        offset = ((left - right) / (2 * (left - 2 * here + right)).clamp(max=-1e-6)).clamp(-0.5, 0.5)
        f0 = self.candidates_hz[best] * 2.0 ** (offset / STEPS_PER_OCTAVE)
        voiced = (alike.gather(1, best) > LEAST_CORRELATION) & (level > LEAST_LEVEL * level.max())
        return (f0 * voiced.float())[:, 0]


class _EmbedsVoices(Protocol):
    def embed_voice(self, voice: Tensor) -> Tensor: ...


class VoiceGraph(nn.Module):
    """A recording (n,) at the model's rate -> its voice embedding (1, D): the d-vector, then what the model makes of
    it.

    The sound is resampled in it.
    """

    def __init__(self, model: _EmbedsVoices, encoder: VoiceEncoder, rate: int):
        super().__init__()
        self.model, self.encoder, self.mel = cast(nn.Module, model), encoder, dvector.MEL
        common = math.gcd(rate, dvector.VOICE_RATE)
        self.step, self.phases = rate // common, dvector.VOICE_RATE // common
        kernel, self.reach = make_resampling_kernel(self.step, self.phases)
        self.register_buffer("resampling", kernel)
        self.register_buffer("kernel", make_spectrum_kernel(self.mel.n_fft, torch.hann_window(self.mel.win_samples)))
        self.register_buffer("filters", torch.from_numpy(make_mel_filters(self.mel)))
        self.resampling: Tensor
        self.kernel: Tensor
        self.filters: Tensor

    def forward(self, wav: Tensor) -> Tensor:
        d, window, step = self.mel, dvector.WINDOW_FRAMES, dvector.WINDOW_STEP
        heard = self._resample(wav)
        shortest, count = window * d.hop_samples, count_axis(heard, 0)
        samples = torch.where(
            count < shortest, count * torch.div(shortest + count - 1, count, rounding_mode="floor"), count
        )
        repeated = heard[torch.remainder(make_range(samples), count)]
        levelled = repeated * (0.9 / repeated.abs().max().clamp(min=0.05))
        frames = torch.div(samples, d.hop_samples, rounding_mode="floor") + 1
        windows = torch.div(frames - window + step, step, rounding_mode="floor").clamp(min=0) + 1
        covered = (samples.double() / d.hop_samples - (windows - 1) * step) / window
        windows = windows - ((covered < dvector.LEAST_COVERAGE) & (windows > 1)).long()
        padded = F.pad(levelled, (d.n_fft // 2, shortest + d.n_fft))
        mel = (self.filters @ measure_power(padded, self.kernel, d.hop_samples)).T
        pieces = mel[(make_range(windows) * step)[:, None] + torch.arange(window)]
        mean = self.encoder(pieces).mean(0, keepdim=True)
        return cast(_EmbedsVoices, self.model).embed_voice(F.normalize(mean, dim=1))

    def _resample(self, wav: Tensor) -> Tensor:
        """(n,) at the model's rate -> (n * phases / step, rounded) at VOICE_RATE."""
        wanted = torch.div(2 * count_axis(wav, 0) * self.phases + self.step, 2 * self.step, rounding_mode="floor")
        padded = F.pad(wav, (self.reach, self.reach + self.step))
        made = F.conv1d(padded[None, None], self.resampling, stride=self.step)[0]
        return made.T.flatten()[:wanted]


def make_resampling_kernel(step: int, phases: int) -> tuple[Tensor, int]:
    """Windowed sincs (phases, 1, taps): a convolution with stride `step` gives `phases` samples for each `step`.

    Returns them, and the number of samples to add before the sound.
    """
    if step == phases:
        return torch.ones(1, 1, 1), 0
    cutoff = 0.96 * min(1.0, phases / step)
    reach = math.ceil(SINC_ZEROS / cutoff)
    place = (
        torch.arange(-reach, reach + step, dtype=torch.float64)
        - (torch.arange(phases, dtype=torch.float64) * step / phases)[:, None]
    )
    window = torch.cos(place / reach * (torch.pi / 2)).clamp(min=0) ** 2 * (place.abs() < reach)
    kernel = cutoff * torch.sinc(cutoff * place) * window
    return kernel[:, None].float(), reach
