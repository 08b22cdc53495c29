"""Measures periodic sound in the pauses of speech. A vocoder that buzzes or rings there sounds metallic."""

from dataclasses import dataclass

import numpy as np

FRAME_S, HOP_S = 0.046, 0.012
PAUSE_DB = 35.0  # a pause is this much below speech
SPEECH_SHARE = 0.9  # the frame level that this share of the frames is below counts as that of speech
SHORTEST_FRAMES = 3  # of a pause
LOWEST_HZ, HIGHEST_HZ = 60.0, 400.0  # the rate of frames of the log-mel, 86 Hz, is in between
PERIODIC = 0.4  # noise of this length has autocorrelations up to about 0.2
SILENT_DB = -100.0


@dataclass(frozen=True)
class Buzz:
    """level_db: periodic sound in pauses, relative to speech. share: of the pauses' frames that are periodic and above
    -70 dB.
    """

    level_db: float
    share: float
    pause_frames: int


def measure_buzz(wav: np.ndarray, reference: np.ndarray, rate: int) -> Buzz:
    """wav, reference: (n,). The pauses are those of the reference, between its words."""
    pauses, speech = find_pauses(reference, rate)
    if not pauses.any():
        return Buzz(SILENT_DB, 0.0, 0)
    frames = cut_frames(wav, rate)[pauses[: count_frames(len(wav), rate)]]
    energy, periodicity = frames.var(axis=1), measure_periodicity(frames, rate)
    periodic = np.where(periodicity > PERIODIC, energy * periodicity, 0.0)
    level = max(SILENT_DB, float(10 * np.log10(periodic.mean() / speech + 1e-20)))
    buzzing = (periodicity > PERIODIC) & (energy > speech * 1e-7)
    return Buzz(level, float(buzzing.mean()), len(frames))


def find_pauses(wav: np.ndarray, rate: int) -> tuple[np.ndarray, float]:
    """Finds the frames between words, (frames,) bool, and the energy of speech."""
    energy = cut_frames(wav, rate).var(axis=1)
    speech = float(np.quantile(energy, SPEECH_SHARE))
    quiet = energy < speech * 10 ** (-PAUSE_DB / 10)
    loud = np.flatnonzero(~quiet)
    pauses = np.zeros(len(energy), bool)
    if speech > 0 and len(loud):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(int), [0]])))
        for start, end in edges.reshape(-1, 2):
            if end - start >= SHORTEST_FRAMES and loud[0] < start and end <= loud[-1]:
                pauses[start:end] = True
    return pauses, speech


def measure_periodicity(frames: np.ndarray, rate: int) -> np.ndarray:
    """(frames, n) -> (frames,): the largest autocorrelation between the lags of the two frequencies, -1 to 1."""
    centred = frames - frames.mean(axis=1, keepdims=True)
    best = np.full(len(frames), -1.0)
    for lag in range(round(rate / HIGHEST_HZ), round(rate / LOWEST_HZ) + 1):
        a, b = centred[:, :-lag], centred[:, lag:]
        scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
        best = np.maximum(best, (a * b).sum(axis=1) / np.maximum(scale, 1e-12))
    return best


def count_frames(samples: int, rate: int) -> int:
    return max(1, 1 + (samples - round(FRAME_S * rate)) // round(HOP_S * rate))


def cut_frames(wav: np.ndarray, rate: int) -> np.ndarray:
    """(n,) -> (frames, samples)."""
    size, hop = round(FRAME_S * rate), round(HOP_S * rate)
    padded = np.pad(wav.astype(np.float64), (0, max(0, size - len(wav))))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
