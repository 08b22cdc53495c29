"""An inaudible mark in converted speech, found again after MP3, resampling and cropping. It says "made by facevc" and nothing else.

Spread spectrum in the log spectrum, after Kirovski and Malvar, "Spread-spectrum watermarking of audio signals" (IEEE Trans. Signal
Processing 51(4), 2003). Embedding multiplies each cell of 24 ms by 100 Hz between 300 and 7000 Hz by +1 or -1 dB, as a secret-looking but
public pattern of 32 x 67 signs says, which repeats every 0.768 s. A gain never adds sound where there was none, so the mark lies below
what the speech itself masks: 1 dB is about the least change of level that is heard in a band, and these change 40 times a second.

Detection takes log energies on the same cells, subtracts their local mean (the speech is mostly that), folds the periods onto each other
and correlates with the pattern at each of its 128 beginnings, on a grid of 6 ms: score = sum(c_i x_i) / sqrt(sum(x_i^2)), c_i = +-1, greatest of all.
For signs drawn at random, Hoeffding's inequality bounds P(score > z) by exp(-z^2 / 2) for each beginning *whatever the sound is*; times
the number of beginnings and windows tried, that is `p_value`. A file is `marked` below 1 in 1,000 (benchmarks/watermark.py measures it
on real speech). A mark is lost where speed or pitch are changed by more than about 1 %, in 3 s often also under noise less than 30 dB
below the speech; and whoever knows the pattern can remove it: it helps honest people, and stops no other.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np

from facevc_cli.files.audio import resample

KEY = b"facevc watermark 1"  # public; another format gets another
GAIN_DB = 1.0
HOP_S = 0.006  # of frames four hops long
HOPS_A_SLOT = 4
SLOTS = 32
LOWEST_HZ, BAND_HZ, BANDS = 300.0, 100.0, 67
FALSE_ALARMS = 1e-3  # a p_value below it counts as marked
SHORTEST_S = 1.0
DETECTION_RATE = 16000  # Hz
WINDOW_S, WINDOW_HOP_S = 6.0, 3.0  # pieces of a longer file, each judged by itself: a file may hold marked speech among other speech

_FFT = 1024
_LOCAL = (9, 5)  # frames, bands: the neighbourhood whose mean is subtracted
_CLIP_DB = 8.0
_RANGE_DB = 95.0  # cells further below the loudest hold nothing: 16 bits do not reach there
_CHUNK_FRAMES = 4096  # worked on at once, which bounds the memory


@dataclass(frozen=True)
class Detection:
    """What was found. marked: None if the sound is too short or silent to decide."""

    marked: bool | None
    score: float = 0.0  # of the best window: 2.3 in the middle without a mark, at most 4.7 in 15,000 looks; 9 to 20 for 3 s with one
    p_value: float = 1.0  # at most this often would unmarked sound score so high
    share: float = 0.0  # of the windows that are marked themselves

    @property
    def verdict(self) -> str:
        return "too short to tell" if self.marked is None else "found" if self.marked else "none found"


def watermark(wav: np.ndarray, rate: int, key: bytes = KEY) -> np.ndarray:
    """(n,) float at `rate` Hz -> (n,) float32 with the mark, no louder than full scale where `wav` is not; silence stays silence."""
    hop = max(1, round(HOP_S * rate))
    size = 4 * hop
    window = _hann(size)
    band, inside = _bands(np.fft.rfftfreq(size, 1 / rate))
    gains = np.ones((SLOTS, size // 2 + 1), np.float32)
    gains[:, inside] = 10.0 ** (GAIN_DB / 20 * pattern(key)[:, band[inside]])
    padded = np.pad(np.asarray(wav, dtype=np.float32), (size, 2 * size))
    out = np.zeros_like(padded)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    for first in range(0, len(frames), _CHUNK_FRAMES):
        part = frames[first : first + _CHUNK_FRAMES]
        middle_s = ((first + np.arange(len(part))) * hop - size / 2) / rate
        slot = np.floor(middle_s / (HOP_S * HOPS_A_SLOT)).astype(int) % SLOTS
        made = np.fft.irfft(np.fft.rfft(part * window) * gains[slot], size) * window
        for quarter in range(4):  # each hop of the output is the sum of four frames' quarters
            pieces = made[:, quarter * hop : (quarter + 1) * hop].reshape(-1)
            start = (first + quarter) * hop
            out[start : start + len(pieces)] += pieces
    del padded, frames, part
    marked = out[size : size + len(wav)]
    marked /= 1.5  # the sum of four squared Hann windows, a quarter apart; in place: an hour's is 300 MB
    peak = _peak(marked)
    limit = max(1.0, _peak(wav))
    if peak > limit:
        marked *= limit / peak
    return marked


def _peak(wav: np.ndarray) -> float:
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
    """The greatest normalised correlation over all beginnings of the pattern, of (n,) at 16 kHz; 0 for silence."""
    cells = _cells(wav)
    if cells is None:
        return 0.0
    period = SLOTS * HOPS_A_SLOT
    whole = np.pad(cells, ((0, -len(cells) % period), (0, 0)))
    folded = whole.reshape(-1, period, BANDS).sum(0)
    folded += folded.mean() - folded.mean(0) - folded.mean(1, keepdims=True)
    slots = sum(np.roll(folded, -shift, axis=0) for shift in range(HOPS_A_SLOT))
    chips = np.asarray(slots).reshape(SLOTS, HOPS_A_SLOT, BANDS)
    spectrum = np.fft.rfft(chips, axis=0) * np.conj(np.fft.rfft(pattern(key), axis=0))[:, None]
    products = np.fft.irfft(spectrum.sum(2), SLOTS, axis=0)  # (beginning in slots, in hops)
    norms = np.sqrt(np.square(chips).sum((0, 2)))
    return max(0.0, float((products / np.maximum(norms, 1e-9)).max()))


@cache
def pattern(key: bytes) -> np.ndarray:
    """(SLOTS, BANDS) of -1 and 1, drawn from the key by SHAKE-256."""
    count = SLOTS * BANDS
    bits = np.unpackbits(np.frombuffer(hashlib.shake_256(key).digest(-(-count // 8)), np.uint8))[:count]
    return bits.reshape(SLOTS, BANDS) * 2.0 - 1.0


def _cells(wav: np.ndarray) -> np.ndarray | None:
    """(n,) at 16 kHz -> (frames, BANDS) log energies in dB minus their neighbourhood's mean, clipped; None for silence."""
    hop = round(HOP_S * DETECTION_RATE)
    size = 4 * hop
    frames = np.lib.stride_tricks.sliding_window_view(wav, size)[::hop]
    power = np.square(np.abs(np.fft.rfft(frames * _hann(size), _FFT)))
    band, inside = _bands(np.fft.rfftfreq(_FFT, 1 / DETECTION_RATE))
    energy = np.add.reduceat(power[:, inside], np.flatnonzero(np.diff(band[inside], prepend=-1)), axis=1)
    loud = float(energy.max())
    if loud < 1e-12:
        return None
    level = 10 * np.log10(np.maximum(energy / loud, 10 ** (-_RANGE_DB / 10 - 1)))
    weight = (level > -_RANGE_DB).astype(np.float64)
    local = _local_mean(weight * level) / np.maximum(_local_mean(weight), 1e-6)
    cells = weight * np.clip(level - local, -_CLIP_DB, _CLIP_DB)
    return np.asarray(cells - weight * (cells.sum(0) / np.maximum(weight.sum(0), 1)))


def _local_mean(cells: np.ndarray) -> np.ndarray:
    """(frames, bands) -> the same shape: the mean over each cell's neighbourhood, mirrored at the edges."""
    padded = np.pad(cells, [(size // 2, size // 2) for size in _LOCAL], mode="symmetric")
    for axis, size in enumerate(_LOCAL):
        padded = np.lib.stride_tricks.sliding_window_view(padded, size, axis=axis).mean(axis=-1)
    return padded


def _bands(frequencies_hz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The band of each frequency, and which lie in one at all."""
    band = np.floor((frequencies_hz - LOWEST_HZ) / BAND_HZ).astype(int)
    return band, (band >= 0) & (band < BANDS)


def _hann(size: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
