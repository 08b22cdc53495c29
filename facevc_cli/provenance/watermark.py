"""An inaudible mark in converted speech, found again after MP3, resampling and cropping.

It says "made by facevc" and nothing else.

Spread spectrum in the log spectrum, after Kirovski and Malvar, "Spread-spectrum watermarking of audio signals" (IEEE
Trans. Signal Processing 51(4), 2003). The spectrum between 300 and 7000 Hz is divided into cells of 24 ms by 100 Hz.
Embedding changes the level of each cell by +1 or -1 dB. The signs are a pattern of 32 x 67, which repeats every 0.768
s. The pattern is public, but looks random. The speech masks the mark. A gain adds no sound to silence, and 1 dB is
about the smallest change of level that people hear in a band. The signs change 40 times per second.

Detection measures the log energies of the same cells. It subtracts their local mean, which is mostly the speech, and
adds up the periods. Then it correlates the sums with the pattern at each of its 128 beginnings, on a grid of 6 ms. The
score is the largest of the values sum(c_i x_i) / sqrt(sum(x_i^2)) with c_i = +-1. For random signs, Hoeffding's
inequality bounds P(score > z) by exp(-z^2 / 2) for each beginning, *whatever the sound is*. `p_value` is this bound
times the number of beginnings and windows. A file is `marked` if the p-value is below 1 in 1,000.
benchmarks/watermark.py measures it on real speech.

A mark is lost if speed or pitch change by more than about 1 %. In 3 s of speech it is often lost in noise less than 30
dB below the speech. Anyone who knows the pattern can remove the mark. It helps honest people, and cannot stop others.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np

from facevc_cli.files.audio import resample

KEY = b"facevc watermark 1"  # public; a new format needs a new key
GAIN_DB = 1.0
HOP_S = 0.006  # a frame has four hops
HOPS_A_SLOT = 4
HOPS_A_FRAME = 4
WINDOWS_SUM = 1.5  # of four squared Hann windows, a quarter apart
SLOTS = 32
LOWEST_HZ, BAND_HZ, BANDS = 300.0, 100.0, 67
FALSE_ALARMS = 1e-3  # a p_value below it counts as marked
SHORTEST_S = 1.0
DETECTION_RATE = 16000  # Hz
WINDOW_S, WINDOW_HOP_S = 6.0, 3.0  # a longer file is judged in windows, because only a part of it may be marked

_FFT = 1024
_LOCAL = (9, 5)  # frames, bands: the neighbourhood whose mean is subtracted
_CLIP_DB = 8.0
_RANGE_DB = 95.0  # cells further below the loudest hold nothing: 16 bits do not reach there
CHUNK_FRAMES = 4096  # worked on at once, which bounds the memory


@dataclass(frozen=True)
class Detection:
    """The result of a detection. marked: None if the sound is too short or silent to decide."""

    marked: bool | None
    # of the best window; without a mark 2.3 on average and at most 4.7 in 15,000 trials, with one 9 to 20 for 3 s
    score: float = 0.0
    p_value: float = 1.0  # largest probability that unmarked sound scores so high
    share: float = 0.0  # share of the windows that are marked

    @property
    def verdict(self) -> str:
        return "too short to tell" if self.marked is None else "found" if self.marked else "none found"


def add_watermark(wav: np.ndarray, rate: int, key: bytes = KEY) -> np.ndarray:
    """(n,) float at `rate` Hz -> (n,) float32 with the mark.

    Full scale is not exceeded unless `wav` exceeds it. Silence stays silence.
    """
    hop = find_hop(rate)
    size = HOPS_A_FRAME * hop
    padded = np.pad(np.asarray(wav, dtype=np.float32), (size, 2 * size))
    out = np.zeros_like(padded)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    for first in range(0, len(frames), CHUNK_FRAMES):
        part = frames[first : first + CHUNK_FRAMES]
        add_marked_frames(out[first * hop :], part, first - HOPS_A_FRAME, rate, key)
    del padded, frames, part
    marked = out[size : size + len(wav)]
    marked /= WINDOWS_SUM  # in place: an hour's is 300 MB
    peak = _find_peak(marked)
    limit = max(1.0, _find_peak(wav))
    if peak > limit:
        marked *= limit / peak
    return marked


def find_hop(rate: int) -> int:
    """Samples between two frames."""
    return max(1, round(HOP_S * rate))


def add_marked_frames(out: np.ndarray, frames: np.ndarray, first: int, rate: int, key: bytes = KEY) -> None:
    """Marks the frames (n, size), which are one hop apart, and adds them to `out`, which begins where they do.

    first: the number of the first frame; frame 0 begins with the sound. Divide the sums by WINDOWS_SUM.
    """
    hop, size = find_hop(rate), frames.shape[1]
    window, gains = _make_hann_window(size), _compute_gains(rate, key, GAIN_DB)
    middle_s = (first * hop + np.arange(len(frames)) * hop + size / 2) / rate
    slot = np.floor(middle_s / (HOP_S * HOPS_A_SLOT)).astype(int) % SLOTS
    made = np.fft.irfft(np.fft.rfft(frames * window) * gains[slot], size) * window
    for quarter in range(HOPS_A_FRAME):  # each hop of the output is the sum of four frames' quarters
        pieces = made[:, quarter * hop : (quarter + 1) * hop].reshape(-1)
        out[quarter * hop : quarter * hop + len(pieces)] += pieces


@cache
def _compute_gains(rate: int, key: bytes, gain_db: float) -> np.ndarray:
    """(SLOTS, bins): the gain of each bin of a frame's spectrum."""
    size = HOPS_A_FRAME * find_hop(rate)
    band, inside = _find_bands(np.fft.rfftfreq(size, 1 / rate))
    gains = np.ones((SLOTS, size // 2 + 1), np.float32)
    gains[:, inside] = 10.0 ** (gain_db / 20 * draw_pattern(key)[:, band[inside]])
    return gains


def _find_peak(wav: np.ndarray) -> float:
    return max(float(np.max(wav, initial=0.0)), -float(np.min(wav, initial=0.0)))


def detect(wav: np.ndarray, rate: int, key: bytes = KEY) -> Detection:
    """Looks for the mark in (n,) mono sound at `rate` Hz."""
    heard = resample(np.asarray(wav, dtype=np.float32), rate, DETECTION_RATE)
    if len(heard) < SHORTEST_S * DETECTION_RATE:
        return Detection(None)
    window, hop = round(WINDOW_S * DETECTION_RATE), round(WINDOW_HOP_S * DETECTION_RATE)
    starts = [*range(0, max(1, len(heard) - window), hop), max(0, len(heard) - window)]
    scores = np.array([score(heard[start : start + window], key) for start in dict.fromkeys(starts)])
    if not scores.any():
        return Detection(None)
    bounds = SLOTS * HOPS_A_SLOT * np.exp(-np.square(scores) / 2)
    p_value = float(min(1.0, len(scores) * bounds.min()))
    marked = p_value < FALSE_ALARMS
    return Detection(marked, float(scores.max()), p_value, float((bounds < FALSE_ALARMS).mean()) if marked else 0.0)


def score(wav: np.ndarray, key: bytes = KEY) -> float:
    """(n,) at 16 kHz -> the largest normalised correlation over all beginnings of the pattern; 0 for silence."""
    cells = _measure_cells(wav)
    if cells is None:
        return 0.0
    period = SLOTS * HOPS_A_SLOT
    whole = np.pad(cells, ((0, -len(cells) % period), (0, 0)))
    folded = whole.reshape(-1, period, BANDS).sum(0)
    folded += folded.mean() - folded.mean(0) - folded.mean(1, keepdims=True)
    slots = sum(np.roll(folded, -shift, axis=0) for shift in range(HOPS_A_SLOT))
    chips = np.asarray(slots).reshape(SLOTS, HOPS_A_SLOT, BANDS)
    spectrum = np.fft.rfft(chips, axis=0) * np.conj(np.fft.rfft(draw_pattern(key), axis=0))[:, None]
    products = np.fft.irfft(spectrum.sum(2), SLOTS, axis=0)  # (beginning in slots, in hops)
    norms = np.sqrt(np.square(chips).sum((0, 2)))
    return max(0.0, float((products / np.maximum(norms, 1e-9)).max()))


@cache
def draw_pattern(key: bytes) -> np.ndarray:
    """(SLOTS, BANDS) of -1 and 1, drawn from the key by SHAKE-256."""
    count = SLOTS * BANDS
    bits = np.unpackbits(np.frombuffer(hashlib.shake_256(key).digest(-(-count // 8)), np.uint8))[:count]
    return bits.reshape(SLOTS, BANDS) * 2.0 - 1.0


def _measure_cells(wav: np.ndarray) -> np.ndarray | None:
    """(n,) at 16 kHz -> (frames, BANDS) log energies in dB minus their neighbourhood's mean, clipped; None
    for silence.
    """
    hop = round(HOP_S * DETECTION_RATE)
    size = 4 * hop
    frames = np.lib.stride_tricks.sliding_window_view(wav, size)[::hop]
    power = np.square(np.abs(np.fft.rfft(frames * _make_hann_window(size), _FFT)))
    band, inside = _find_bands(np.fft.rfftfreq(_FFT, 1 / DETECTION_RATE))
    energy = np.add.reduceat(power[:, inside], np.flatnonzero(np.diff(band[inside], prepend=-1)), axis=1)
    loud = float(energy.max())
    if loud < 1e-12:
        return None
    level = 10 * np.log10(np.maximum(energy / loud, 10 ** (-_RANGE_DB / 10 - 1)))
    weight = (level > -_RANGE_DB).astype(np.float64)
    local = _compute_local_mean(weight * level) / np.maximum(_compute_local_mean(weight), 1e-6)
    cells = weight * np.clip(level - local, -_CLIP_DB, _CLIP_DB)
    return np.asarray(cells - weight * (cells.sum(0) / np.maximum(weight.sum(0), 1)))


def _compute_local_mean(cells: np.ndarray) -> np.ndarray:
    """(frames, bands) -> the same shape: the mean over each cell's neighbourhood, mirrored at the edges."""
    padded = np.pad(cells, [(size // 2, size // 2) for size in _LOCAL], mode="symmetric")
    for axis, size in enumerate(_LOCAL):
        padded = np.lib.stride_tricks.sliding_window_view(padded, size, axis=axis).mean(axis=-1)
    return padded


def _find_bands(frequencies_hz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the band of each frequency, and True for those inside a band."""
    band = np.floor((frequencies_hz - LOWEST_HZ) / BAND_HZ).astype(int)
    return band, (band >= 0) & (band < BANDS)


def _make_hann_window(size: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
