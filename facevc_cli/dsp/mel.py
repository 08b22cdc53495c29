"""Computes log-mel spectrograms by the definitions that the models and vocoders use.

`fvmvc` is the paper's (16 kHz, Parallel WaveGAN's bands), `hifigan` the starter model's (22.05 kHz, HiFi-GAN's bands),
`xfavot` that of the family XFaVoT (24 kHz, the bands of the Parallel WaveGANs at that rate).
`MEL_DEFINITIONS` has all audio constants of the project. Frame rates follow by exact division.
"""

from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

FRAMES_AT_ONCE = 16384


@dataclass(frozen=True)
class MelDefinition:
    """The settings of a log-mel. Two stores or models fit together only if all of them are equal."""

    name: str
    rate: int  # Hz
    n_fft: int
    win_samples: int
    hop_samples: int
    n_mels: int
    fmin_hz: float
    fmax_hz: float
    log: str  # "log10" or "ln", of the filtered MAGNITUDE spectrum
    floor: float
    centred: bool  # True: frame t is centred on sample t * hop; False: HiFi-GAN's (n_fft - hop) / 2 padding

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second, exact."""
        return Fraction(self.rate, self.hop_samples)

    def as_settings(self) -> dict[str, Any]:
        return asdict(self)


MEL_DEFINITIONS = {
    "fvmvc": MelDefinition("fvmvc", 16000, 400, 400, 160, 80, 80.0, 7600.0, "log10", 1e-10, True),
    "hifigan": MelDefinition("hifigan", 22050, 1024, 1024, 256, 80, 0.0, 8000.0, "ln", 1e-5, False),
    "xfavot": MelDefinition("xfavot", 24000, 2048, 1200, 300, 80, 80.0, 7600.0, "log10", 1e-10, True),
}


def _convert_hz_to_slaney(hz: np.ndarray) -> np.ndarray:
    """Slaney's mel scale (Auditory Toolbox): linear below 1 kHz, logarithmic above."""
    return np.where(hz < 1000.0, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1e-9) / 1000.0) * 27 / np.log(6.4))


def _convert_slaney_to_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000.0 * np.exp((mel - 15) * np.log(6.4) / 27))


@lru_cache
def make_mel_filters(definition: MelDefinition) -> np.ndarray:
    """Returns Slaney mel filters (n_mels, 1 + n_fft / 2) float32: triangles of equal area.

    A test compares them with librosa.filters.mel.

    librosa is not used here, because training machines do without it and it starts slowly.
    """
    d, edges = definition, _find_band_edges_hz(definition)
    bins = np.fft.rfftfreq(d.n_fft, 1 / d.rate)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(triangles * (2 / (edges[2:] - edges[:-2]))[:, None], np.float32)


def find_band_centres_hz(definition: MelDefinition) -> np.ndarray:
    """Returns the frequency of each band's peak in Hz, (n_mels,)."""
    return _find_band_edges_hz(definition)[1:-1]


def locate_in_bands(definition: MelDefinition, hz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Locates frequencies of any shape among the bands.

    Returns the lower neighbour, and the distance from it towards the next, 0 to 1 (float32).
    """
    centres = find_band_centres_hz(definition)
    place = np.interp(hz, centres, np.arange(len(centres)))
    low = np.minimum(place.astype(np.int64), len(centres) - 2)
    return low, (place - low).astype(np.float32)


def _find_band_edges_hz(d: MelDefinition) -> np.ndarray:
    """(n_mels + 2,): band i rises from edge i to edge i + 1 and falls to edge i + 2."""
    lowest, highest = _convert_hz_to_slaney(np.array([d.fmin_hz, d.fmax_hz]))
    return _convert_slaney_to_hz(np.linspace(lowest, highest, d.n_mels + 2))


def compute_log_mel(wav: np.ndarray, definition: MelDefinition, device: str = "cpu") -> np.ndarray:
    """Computes the log-mel of a waveform at the definition's rate.

    wav: (n,) float in [-1, 1], at least one sample. Returns (T, n_mels) float32, not normalised. T = 1 + n // hop if
    frames are centred, else n // hop (at least 1). A clip shorter than a window is padded with zeros first.
    """
    import torch
    from torch.nn.functional import pad

    d = definition
    y = torch.as_tensor(np.ascontiguousarray(wav, dtype=np.float32), device=device)
    side = d.n_fft // 2 if d.centred else (d.n_fft - d.hop_samples) // 2
    if len(y) <= side:  # reflection needs more samples than it mirrors
        y = pad(y, (0, side + 1 - len(y)))
    y = pad(y[None, None], (side, side), mode="reflect")[0, 0]
    frames = 1 + (len(y) - d.n_fft) // d.hop_samples
    logged = np.empty((frames, d.n_mels), np.float32)
    for start in range(0, frames, FRAMES_AT_ONCE):  # the spectrum of an hour would take gigabytes
        end = min(start + FRAMES_AT_ONCE, frames)
        piece = y[start * d.hop_samples : (end - 1) * d.hop_samples + d.n_fft]
        logged[start:end] = take_log(filter_bands(piece, d), d).cpu().numpy()
    return logged


def filter_bands(padded: "torch.Tensor", definition: MelDefinition) -> "torch.Tensor":
    """(n,) with n_fft - hop samples around the frames -> the magnitude in each band (T, n_mels) of its
    1 + (n - n_fft) // hop frames.
    """
    import torch

    d = definition
    window = torch.hann_window(d.win_samples, device=padded.device)
    filters = torch.from_numpy(make_mel_filters(d)).to(padded.device)
    spectrum = torch.stft(
        padded[None], d.n_fft, d.hop_samples, d.win_samples, window=window, center=False, return_complex=True
    )
    return (filters @ spectrum[0].abs()).T


def take_log(bands: "torch.Tensor", definition: MelDefinition) -> "torch.Tensor":
    """Magnitudes in bands -> their log as the definition has it."""
    import torch

    clamped = torch.clamp(bands, min=definition.floor)
    return torch.log10(clamped) if definition.log == "log10" else torch.log(clamped)


def find_sound_bounds(
    wav: np.ndarray, top_db: float = 60.0, frame_samples: int = 2048, hop_samples: int = 512
) -> tuple[int, int]:
    """Returns the first sample, and one past the last, without leading and trailing silence of `top_db` below the
    loudest frame.

    wav: (n,). The result equals librosa.effects.trim (RMS of centred, zero-padded frames; tested). A silent recording
    is kept whole.
    """
    count = 1 + len(wav) // hop_samples
    padded = np.pad(wav, (frame_samples // 2, frame_samples))  # zeros that complete the last frame
    power = np.empty(count)
    for first in range(0, count, FRAMES_AT_ONCE):  # in float64 an hour would take gigabytes
        last = min(first + FRAMES_AT_ONCE, count)
        piece = padded[first * hop_samples : (last - 1) * hop_samples + frame_samples]
        energy = np.concatenate([[0.0], np.cumsum(piece.astype(np.float64) ** 2)])
        starts = np.arange(last - first) * hop_samples
        power[first:last] = (energy[starts + frame_samples] - energy[starts]) / frame_samples
    loud = np.flatnonzero(power > max(power.max() * 10 ** (-top_db / 10), 1e-10))
    if len(loud) == 0:
        return 0, len(wav)
    return int(loud[0]) * hop_samples, min(len(wav), (int(loud[-1]) + 1) * hop_samples)


WHISPER_MEL = MelDefinition("whisper", 16000, 400, 400, 160, 80, 0.0, 8000.0, "log10", 1e-10, True)


def compute_whisper_mel_power(wav: np.ndarray) -> np.ndarray:
    """(n,) at 16 kHz -> (80, T) power mel spectrogram for Whisper. T = n // 160, made even by a last silent frame."""
    import torch

    d = WHISPER_MEL
    y = torch.as_tensor(np.ascontiguousarray(wav, dtype=np.float32))
    if len(y) <= d.n_fft // 2:
        y = torch.nn.functional.pad(y, (0, d.n_fft))
    window = torch.hann_window(d.win_samples)
    spectrum = torch.stft(y, d.n_fft, d.hop_samples, window=window, center=True, return_complex=True)[:, :-1].abs() ** 2
    power = torch.from_numpy(make_mel_filters(d)) @ spectrum
    return torch.nn.functional.pad(power, (0, power.shape[1] % 2)).numpy()
