"""What a stream knows of the speaker and of its own result so far: level, pitch, and the moments that steps ask for.

Each starts from what is likely before a word is heard, or from a calibration. Only speech counts, and what was heard
long ago counts less.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from facevc_cli.dsp.level import SILENCE
from facevc_cli.dsp.pitch import MEAN_ADULT_F0_HZ, PitchStatistics
from facevc_cli.dsp.statistics import Frames

FIRST_PEAK = 0.1  # before a word is heard, so that noise is not raised to the level of speech
SPEECH_DB = -35.0  # RMS of a step against the peak; below it is a pause
HANG_OVER_S = 0.3  # a pause shorter than this is part of the speech
USUAL_LOG_F0_STD = 0.2
MEAN_COUNTS_S, STD_COUNTS_S = 0.1, 2.0  # as much speech as what is likely counts: the level is guessed, the range not
PRIOR_COUNTS_S = 2.0  # as much speech as a seed of the other moments counts
QUIET_RMS = 0.05  # of the output that is expected; only its weight matters
BANDS_S = 5.0  # of frames that are kept for statistics that need the frames themselves


class RunningLevel:
    """The peak of the speech, and whether speech is heard."""

    def __init__(self, rate: int, memory_s: float):
        self.rate, self.memory_s = rate, memory_s
        self.first_peak = FIRST_PEAK
        self.reset()

    def reset(self) -> None:
        self.peak = self.first_peak
        self.speaks = False
        self._silent_s = math.inf

    def hear(self, samples: np.ndarray) -> None:
        """Takes the newest samples. A louder peak counts at once, and is forgotten slowly."""
        seconds = len(samples) / self.rate
        rms, peak = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))), float(np.abs(samples).max())
        loud = rms > max(SILENCE, max(self.peak, peak) * 10 ** (SPEECH_DB / 20))
        self._silent_s = 0.0 if loud else self._silent_s + seconds
        self.speaks = self._silent_s < HANG_OVER_S
        if self.speaks:
            self.peak = max(peak, self.peak * math.exp(-seconds / self.memory_s))


class RunningLoudness:
    """The energy of the speech that goes in and comes out."""

    def __init__(self, rate: int, memory_s: float):
        self.rate, self.memory_s = rate, memory_s
        self.reset()

    def reset(self) -> None:
        self._heard = self._made = 0.0

    def weigh(self, heard: np.ndarray, made: np.ndarray) -> None:
        """Adds up the energies of samples of speech and of their conversion."""
        kept = math.exp(-len(heard) / self.rate / self.memory_s)
        self._heard = kept * self._heard + float(np.square(heard, dtype=np.float64).sum())
        self._made = kept * self._made + float(np.square(made, dtype=np.float64).sum())

    def find_output_gain(self, input_gain: float) -> float:
        """Returns the gain that makes the result as loud as the speech. Before a word: what undoes the input's gain."""
        weight = PRIOR_COUNTS_S * self.rate * QUIET_RMS**2
        return math.sqrt((self._heard + weight / input_gain**2) / (self._made + weight))


class RunningPitch:
    """Mean and deviation of ln F0 over the last voiced frames."""

    def __init__(self, frame_rate: float, memory_s: float):
        self.frame_rate = frame_rate
        self._kept: deque[float] = deque(maxlen=round(memory_s * frame_rate))
        self.seed(None)

    def seed(self, heard: PitchStatistics | None, voiced_frames: int = 0) -> None:
        """heard: of a calibration. None: of nobody in particular."""
        self._prior = heard or PitchStatistics(math.log(MEAN_ADULT_F0_HZ), USUAL_LOG_F0_STD)
        self._mean_counts = max(MEAN_COUNTS_S * self.frame_rate, voiced_frames)
        self._std_counts = max(STD_COUNTS_S * self.frame_rate, voiced_frames)
        self.reset()

    def reset(self) -> None:
        self._kept.clear()

    def add(self, f0_hz: np.ndarray) -> None:
        self._kept.extend(np.log(f0_hz[f0_hz > 0].astype(np.float64)).tolist())

    def measure(self, newest_hz: np.ndarray) -> PitchStatistics:
        """Measures the kept frames, the newest ones that are not kept yet, and the seed."""
        newest = np.log(newest_hz[newest_hz > 0].astype(np.float64))
        logged = np.concatenate([np.array(self._kept), newest])
        mean = (logged.sum() + self._mean_counts * self._prior.mean) / (len(logged) + self._mean_counts)
        spread = np.square(logged - logged.mean()).sum() if len(logged) else 0.0
        variance = (spread + self._std_counts * self._prior.std**2) / (len(logged) + self._std_counts)
        return PitchStatistics(float(mean), math.sqrt(variance))

    def list_recent(self) -> np.ndarray:
        """ln F0 of the kept frames (n,)."""
        return np.array(self._kept)


@dataclass
class Moments:
    """Weighted sums over frames (n, size), from which mean and deviation follow."""

    count: float
    sum: Tensor
    squares: Tensor

    @classmethod
    def of(cls, frames: Tensor) -> "Moments":
        wide = frames.double()
        return cls(float(len(frames)), wide.sum(0), wide.square().sum(0))

    def scale(self, share: float) -> "Moments":
        return Moments(share * self.count, share * self.sum, share * self.squares)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.sum + other.sum, self.squares + other.squares)

    def find_mean_std(self) -> tuple[Tensor, Tensor]:
        mean = self.sum / self.count
        return mean, (self.squares / self.count - mean.square()).clamp(min=0).sqrt()


Seed = Moments | Tensor  # the moments of a step's frames, or the last frames themselves
KEPT = ("bands",)  # these steps measure quantiles, which need the frames


class SeedStatistics:
    """Measures a whole calibration (`dsp.statistics.Statistics`), and keeps what each step was given."""

    trims = True

    def __init__(self, frame_rate: float):
        self._most = round(BANDS_S * frame_rate)
        self.seeds: dict[str, Seed] = {}

    def gather(self, step: str, frames: Frames, axis: int = 0) -> Frames:
        rows = _as_rows(frames, axis)
        self.seeds[step] = rows[-self._most :].clone() if step in KEPT else Moments.of(rows)
        return frames


class StreamStatistics:
    """Answers the steps of a conversion (`dsp.statistics.Statistics`) that ask which frames count.

    Each step hands over the frames of a window, of which only a few are new. It gets two frames back whose mean and
    deviation are those of all speech so far, so their size does not grow. Steps in KEPT get the last frames.
    """

    trims = False

    def __init__(self, frame_rate: float, memory_s: float):
        self.frame_rate, self.memory_s = frame_rate, memory_s
        self._most = round(BANDS_S * frame_rate)
        self._seeds: dict[str, Seed] = {}
        self._heard: dict[str, Seed] = {}
        self.begin(0, 0, 0)

    def reset(self) -> None:
        self._heard.clear()

    def set_seeds(self, seeds: Mapping[str, Seed]) -> None:
        """Takes these seeds, and forgets what these steps have heard."""
        self._seeds |= seeds
        for step in seeds:
            self._heard.pop(step, None)

    def begin(self, window: int, first: int, end: int) -> None:
        """Says which frames of the next window of `window` frames are new: first .. end. None are if both are equal."""
        self._window, self._first, self._end = window, first, end

    def gather(self, step: str, frames: Frames, axis: int = 0) -> Frames:
        rows = _as_rows(frames, axis)
        # a window of content has half as many frames as one of log-mel
        share = len(rows) / max(1, self._window)
        new = rows[int(self._first * share) : int(self._end * share)]
        counted = self._keep(step, new, rows) if step in KEPT else self._measure(step, new, rows, share)
        moved = cast(Tensor, frames).movedim(axis, 0)
        return cast(Frames, counted.reshape(len(counted), *moved.shape[1:]).movedim(0, axis))

    def _measure(self, step: str, new: Tensor, rows: Tensor, share: float) -> Tensor:
        """Returns two frames (2, size) with the mean and the deviation of the speech so far and of the seed."""
        heard, seed = self._heard.get(step), self._seeds.get(step)
        if len(new):
            kept = math.exp(-len(new) / (self.memory_s * self.frame_rate * share))
            now = Moments.of(new)
            self._heard[step] = heard = heard.scale(kept) + now if isinstance(heard, Moments) else now
        if isinstance(seed, Moments):
            seed = seed.scale(PRIOR_COUNTS_S * self.frame_rate * share / seed.count)
        known = [moments for moments in (heard, seed) if isinstance(moments, Moments)] or [Moments.of(rows)]
        mean, std = (known[0] + known[1] if len(known) > 1 else known[0]).find_mean_std()
        return torch.stack([mean - std, mean + std]).to(rows)

    def _keep(self, step: str, new: Tensor, rows: Tensor) -> Tensor:
        before = self._heard.get(step, self._seeds.get(step))
        kept = torch.cat([before, new])[-self._most :] if isinstance(before, Tensor) else new
        self._heard[step] = kept
        return kept if len(kept) else rows


def _as_rows(frames: np.ndarray | Tensor, axis: int) -> Tensor:
    """Frames along `axis` -> (n, size)."""
    return torch.as_tensor(frames).movedim(axis, 0).flatten(1)
