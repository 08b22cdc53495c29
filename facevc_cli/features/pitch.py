"""F0 by WORLD (dio + stonemask) on a mel's frames, and its normalised logarithm."""

from dataclasses import dataclass

import numpy as np

F0_FLOOR_HZ = 50.0
F0_CEIL_HZ = 800.0
MEAN_ADULT_F0_HZ = 150.0  # what an utterance without one voiced frame is said to have
SMALLEST_LOG_F0_STD = 0.01  # a monotone must not blow rounding errors up


def extract_f0(wav: np.ndarray, rate: int, hop_samples: int, frames: int | None = None) -> np.ndarray:
    """F0 in Hz on frames `hop_samples` apart, 0 where unvoiced.

    wav: (n,) float at `rate` Hz; returns (frames,) float32, by default 1 + n // hop. Masanori Morise's DIO followed by
    StoneMask, in float64.
    """
    import pyworld

    count = 1 + len(wav) // hop_samples if frames is None else frames
    y = np.ascontiguousarray(wav, dtype=np.float64)
    if len(y) < rate // 20 or not np.any(y):  # under a twentieth of a second DIO has no period to see
        return np.zeros(count, np.float32)
    f0, times = pyworld.dio(y, rate, f0_floor=F0_FLOOR_HZ, f0_ceil=F0_CEIL_HZ, frame_period=1000 * hop_samples / rate)
    f0 = pyworld.stonemask(y, f0, times, rate)
    return np.pad(f0, (0, max(0, count - len(f0))))[:count].astype(np.float32)


@dataclass(frozen=True)
class PitchStatistics:
    """Mean and standard deviation of natural log F0 (Hz) over voiced frames."""

    mean: float
    std: float

    @classmethod
    def of(cls, f0_hz: np.ndarray) -> "PitchStatistics":
        """Of an F0 track (T,) in Hz with 0 where unvoiced; an unvoiced utterance gets a neutral mean and no spread."""
        voiced = np.log(f0_hz[f0_hz > 0].astype(np.float64))
        if len(voiced) == 0:
            return cls(float(np.log(MEAN_ADULT_F0_HZ)), 0.0)
        return cls(float(voiced.mean()), float(voiced.std()))


def normalised_log_f0(f0_hz: np.ndarray, statistics: PitchStatistics | None = None) -> np.ndarray:
    """(T,) Hz, 0 unvoiced -> (T,) float32: (ln F0 - mean) / std over voiced frames, 0 where unvoiced.

    A spread below one percent counts as one percent.
    """
    statistics = statistics or PitchStatistics.of(f0_hz)
    voiced = f0_hz > 0
    logged = np.log(np.where(voiced, f0_hz, 1.0))
    return np.where(voiced, (logged - statistics.mean) / max(statistics.std, SMALLEST_LOG_F0_STD), 0.0).astype(np.float32)
