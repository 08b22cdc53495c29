"""Ways of speaking that no training saw, made from plain recordings with WORLD (Morise et al., 2016): F0, spectral
envelope and aperiodicity are changed, then resynthesised.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyworld

FRAME_MS = 5.0
FLOOR = 1e-12
SEMITONE = np.log(2) / 12


@dataclass(frozen=True)
class Voice:
    """WORLD's analysis of a recording. T frames, F bins from 0 Hz to half the rate."""

    f0: np.ndarray  # (T,) Hz, 0 if unvoiced
    envelope: np.ndarray  # (T, F) power
    aperiodicity: np.ndarray  # (T, F) from 0 to 1
    rate: int

    @classmethod
    def analyse(cls, wav: np.ndarray, rate: int) -> "Voice":
        f0, envelope, aperiodicity = pyworld.wav2world(wav.astype(np.float64), rate, frame_period=FRAME_MS)
        return cls(f0, envelope, aperiodicity, rate)

    def synthesise(self) -> np.ndarray:
        """(n,) float32, with a peak of at most 1."""
        arrays = (np.ascontiguousarray(array) for array in (self.f0, self.envelope, self.aperiodicity))
        wav = pyworld.synthesize(*arrays, self.rate, FRAME_MS)
        return (wav / max(1.0, float(np.abs(wav).max()))).astype(np.float32)


def keep(voice: Voice, _: np.random.Generator) -> Voice:
    return voice


def whisper(voice: Voice, _: np.random.Generator) -> Voice:
    """No frame is voiced. The lowest octaves lose power."""
    tilted = voice.envelope * np.clip(_list_hz(voice) / 1500, 0.05, 1.0) ** 2
    return replace(voice, f0=np.zeros_like(voice.f0), envelope=tilted, aperiodicity=np.ones_like(voice.aperiodicity))


def make_hoarse(voice: Voice, rng: np.random.Generator) -> Voice:
    """F0 trembles by 4 % from frame to frame, and half of the harmonics' power is noise."""
    trembling = voice.f0 * np.exp(0.04 * rng.standard_normal(len(voice.f0)))
    return replace(voice, f0=trembling, aperiodicity=np.maximum(voice.aperiodicity, 0.7))


def make_very_low(voice: Voice, _: np.random.Generator) -> Voice:
    """A long vocal tract, and F0 near the lowest that is searched for."""
    f0 = np.where(voice.f0 > 0, np.maximum(voice.f0 * 75 / _find_median(voice), 45), 0)
    return _stretch(replace(voice, f0=f0), 0.88)


def make_child(voice: Voice, _: np.random.Generator) -> Voice:
    """A short vocal tract, and F0 around 320 Hz."""
    return _stretch(replace(voice, f0=voice.f0 * 320 / _find_median(voice)), 1.25)


def shout(voice: Voice, _: np.random.Generator) -> Voice:
    """F0 is 1.6 times as high, the spectrum is flatter, and the sound is as loud as a file can be."""
    louder = voice.envelope * np.clip(_list_hz(voice) / 500, 0.5, 8.0) ** 1.5 * 100
    return replace(voice, f0=voice.f0 * 1.6, envelope=louder, aperiodicity=voice.aperiodicity**2)


def sing(voice: Voice, _: np.random.Generator) -> Voice:
    """Voiced frames last twice as long, at the semitones of a scale, with a vibrato of 5.5 Hz."""
    repeats = np.where(voice.f0 > 0, 2, 1)
    take = np.repeat(np.arange(len(voice.f0)), repeats)
    f0 = voice.f0[take]
    vibrato = 0.5 * SEMITONE * np.sin(2 * np.pi * 5.5 * np.arange(len(take)) * FRAME_MS / 1000)
    with np.errstate(divide="ignore"):
        steps = np.rint(np.log(f0 / _find_median(voice)) * 1.5 / SEMITONE) * SEMITONE
    sung = np.where(f0 > 0, _find_median(voice) * np.exp(np.where(f0 > 0, steps, 0) + vibrato), 0)
    return replace(voice, f0=sung, envelope=voice.envelope[take], aperiodicity=voice.aperiodicity[take])


def laugh(voice: Voice, _: np.random.Generator) -> Voice:
    """The loudest vowel five times a second, between breaths, with F0 that falls from twice its height."""
    loudest = int(np.argmax(np.where(voice.f0 > 0, voice.envelope.sum(1), 0)))
    frames = len(voice.f0)
    phase = np.arange(frames) * FRAME_MS / 200 % 1
    voiced, fall = phase < 0.5, np.linspace(2.2, 1.0, frames)
    level = np.where(voiced, np.sin(np.pi * np.clip(phase / 0.5, 0, 1)) + 0.05, 0.02)
    envelope = np.tile(voice.envelope[loudest], (frames, 1)) * level[:, None]
    aperiodicity = np.where(voiced[:, None], voice.aperiodicity[loudest], 1.0)
    return replace(
        voice,
        f0=np.where(voiced, _find_median(voice) * fall, 0.0),
        envelope=np.ascontiguousarray(envelope),
        aperiodicity=np.ascontiguousarray(aperiodicity),
    )


MANNERS: Mapping[str, Callable[[Voice, np.random.Generator], Voice]] = {
    "plain": keep,
    "whisper": whisper,
    "hoarse": make_hoarse,
    "very low": make_very_low,
    "child": make_child,
    "shout": shout,
    "song": sing,
    "laughter": laugh,
}


def _list_hz(voice: Voice) -> np.ndarray:
    return np.linspace(0, voice.rate / 2, voice.envelope.shape[1])


def _find_median(voice: Voice) -> float:
    voiced = voice.f0[voice.f0 > 0]
    return float(np.median(voiced)) if len(voiced) else 120.0


def _stretch(voice: Voice, factor: float) -> Voice:
    """Moves the formants up by a factor."""
    hz = _list_hz(voice)
    logarithm = np.log(np.maximum(voice.envelope, FLOOR))
    moved = np.stack([np.interp(hz / factor, hz, frame) for frame in logarithm])
    return replace(voice, envelope=np.exp(moved))
