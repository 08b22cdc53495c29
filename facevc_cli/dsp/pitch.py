"""Computes F0 on the frames of a log-mel by WORLD (dio + stonemask), and its normalised logarithm."""

import math
import re
from dataclasses import dataclass

import numpy as np

from facevc_cli.core.errors import UsageError
from facevc_cli.dsp.windows import place_windows

# WORLD's default; at 50 Hz DIO takes mains hum and subharmonics for voices, in a third of some women's frames
F0_FLOOR_HZ = 71.0
F0_CEIL_HZ = 800.0
# longer recordings are cut into windows that overlap by this much, because DIO's memory grows with the length
F0_WINDOW_S, F0_OVERLAP_S = 120.0, 5.0
MEAN_ADULT_F0_HZ = 150.0  # assumed for an utterance without voiced frames
SMALLEST_LOG_F0_STD = 0.01  # a monotone must not blow rounding errors up
SEMITONE = math.log(2) / 12  # in natural log F0
MOST_SEMITONES = 24.0
MOST_RANGE_CHANGE = 2.0  # beyond it one of two F0 tracks has octave errors, or hardly a voiced frame
LOWEST_MEDIAN_HZ, HIGHEST_MEDIAN_HZ = 60.0, 600.0


def extract_f0(wav: np.ndarray, rate: int, hop_samples: int, frames: int | None = None) -> np.ndarray:
    """Returns F0 in Hz on frames `hop_samples` apart, 0 in unvoiced frames.

    wav: (n,) float at `rate` Hz. Returns (frames,) float32, by default 1 + n // hop frames. It uses Masanori Morise's
    DIO, then StoneMask, in float64.
    """
    count = 1 + len(wav) // hop_samples if frames is None else frames
    size, overlap = (math.ceil(seconds * rate / hop_samples) for seconds in (F0_WINDOW_S, F0_OVERLAP_S))
    f0 = np.zeros(count, np.float32)
    for first, start, end in place_windows(count, size, overlap):
        piece = wav if count <= size else wav[first * hop_samples : (first + size) * hop_samples]
        found = _run_dio(piece, rate, hop_samples)[start - first : end - first]
        f0[start : start + len(found)] = found
    return f0


def _run_dio(wav: np.ndarray, rate: int, hop_samples: int) -> np.ndarray:
    import pyworld

    y = np.ascontiguousarray(wav, dtype=np.float64)
    if len(y) < rate // 20 or not np.any(y):  # DIO finds no period in less than a twentieth of a second
        return np.zeros(0, np.float32)
    f0, times = pyworld.dio(y, rate, f0_floor=F0_FLOOR_HZ, f0_ceil=F0_CEIL_HZ, frame_period=1000 * hop_samples / rate)
    return pyworld.stonemask(y, f0, times, rate).astype(np.float32)


@dataclass(frozen=True)
class PitchStatistics:
    """Mean and standard deviation of natural log F0 (Hz) over voiced frames."""

    mean: float
    std: float

    @classmethod
    def of(cls, f0_hz: np.ndarray) -> "PitchStatistics":
        """Measures an F0 track (T,) in Hz, 0 in unvoiced frames.

        An utterance without voiced frames gets a neutral mean and no spread.
        """
        voiced = np.log(f0_hz[f0_hz > 0].astype(np.float64))
        if len(voiced) == 0:
            return cls(float(np.log(MEAN_ADULT_F0_HZ)), 0.0)
        return cls(float(voiced.mean()), float(voiced.std()))


def match_range(std: float, own: float, share: float) -> float:
    """Moves a source's deviation of ln F0 by a share (1: completely) towards a voice's own, at most to its half or its
    double.
    """
    return float(std * min(max(own / max(std, SMALLEST_LOG_F0_STD), 1 / MOST_RANGE_CHANGE), MOST_RANGE_CHANGE) ** share)


def normalise_log_f0(f0_hz: np.ndarray, statistics: PitchStatistics | None = None) -> np.ndarray:
    """(T,) Hz, 0 unvoiced -> (T,) float32: (ln F0 - mean) / std in voiced frames, 0 in unvoiced frames.

    A spread below one percent counts as one percent.
    """
    statistics = statistics or PitchStatistics.of(f0_hz)
    voiced = f0_hz > 0
    logged = np.log(np.where(voiced, f0_hz, 1.0))
    return np.where(voiced, (logged - statistics.mean) / max(statistics.std, SMALLEST_LOG_F0_STD), 0.0).astype(
        np.float32
    )


@dataclass(frozen=True)
class PitchRule:
    """The pitch level of a conversion.

    `auto`: the voice's own. `keep`: the source's. `semitones`: relative to auto. `hz`: a median.
    """

    kind: str = "auto"
    value: float = 0.0  # semitones, or Hz

    @classmethod
    def parse(cls, text: str) -> "PitchRule":
        """Parses auto, keep, a number of semitones such as +3, or a median such as 180hz.

        UsageError for anything else.
        """
        word = text.strip().lower()
        if word in ("auto", "keep"):
            return cls(word)
        found = re.fullmatch(r"([+-]?\d*\.?\d+)\s*(hz|st|semitones?)?", word)
        if not found:
            raise UsageError(
                f"--pitch {text!r}: expected auto, keep, semitones such as +3 or -2.5, or a median such as 180hz."
            )
        value = float(found[1])
        if found[2] == "hz":
            if not LOWEST_MEDIAN_HZ <= value <= HIGHEST_MEDIAN_HZ:
                raise UsageError(
                    f"--pitch {text!r}: expected a median from {LOWEST_MEDIAN_HZ:g} to {HIGHEST_MEDIAN_HZ:g} Hz, "
                    f"found {value:g}."
                )
            return cls("hz", value)
        if abs(value) > MOST_SEMITONES:
            raise UsageError(
                f"--pitch {text!r}: expected at most {MOST_SEMITONES:g} semitones up or down. For a median in Hz "
                f"write {found[1]}hz."
            )
        return cls("semitones", value) if value else cls()

    def choose_statistics(self, voice: PitchStatistics, source: PitchStatistics, lf0: np.ndarray) -> PitchStatistics:
        """Returns the statistics to speak with.

        voice: the voice's own. lf0: the source's (T,), normalised, 0 in unvoiced frames.
        """
        if self.kind == "keep":
            return source
        if self.kind == "hz":  # the movement is the source's, so its median is as many deviations from its mean
            voiced = lf0[lf0 != 0]
            return PitchStatistics(
                math.log(self.value) - voice.std * (float(np.median(voiced)) if len(voiced) else 0.0), voice.std
            )
        return PitchStatistics(voice.mean + self.value * SEMITONE, voice.std)

    def __str__(self) -> str:
        return {"hz": f"{self.value:g}hz", "semitones": f"{self.value:+g}"}.get(self.kind, self.kind)


AUTO_PITCH = PitchRule()
