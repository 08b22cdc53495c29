"""Make speech-like sound with numpy: a glottal source through vowel formants, and noise as consonants.

It has no words, but a pitch, formants, syllables and a speaker, so pitch trackers and voice embedders accept it as
speech.
"""

from dataclasses import dataclass

import numpy as np

RATE = 16000  # Hz
HOP_S = 0.005  # step at which pitch and formants change
VOWELS_HZ = np.array(  # the first three formants of a man's a, e, i, o, u, er
    [[730, 1090, 2440], [530, 1840, 2480], [270, 2290, 3010], [570, 840, 2410], [300, 870, 2240], [490, 1350, 1690]],
    dtype=float,
)
BANDWIDTHS_HZ = np.array([90.0, 110.0, 170.0, 250.0])
FOURTH_FORMANT_HZ = 3500.0
TILT = 1.3  # the source's harmonics fall as k ** -TILT


@dataclass(frozen=True)
class Voice:
    """A speaker: mean F0 in Hz, and the ratio of the formants to a man's."""

    f0_hz: float
    formant_scale: float


def speak(voice: Voice, seconds: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Speak an utterance of random syllables.

    Returns wav (n,) float32 at 16 kHz, peak 0.7, and the loudness of its vowels (n / 80,) from 0 to 1, one value per 5
    ms. The loudness says how far the mouth is open.
    """
    rng = np.random.default_rng(seed)
    count = round(seconds / HOP_S)
    loud, noisy = np.zeros(count), np.zeros(count)
    formants = np.tile(VOWELS_HZ[0], (count, 1))
    noise_hz = np.full(count, 4000.0)
    at = round(0.1 / HOP_S)
    while at < count - round(0.35 / HOP_S):
        consonant, vowel = round(rng.uniform(0.05, 0.09) / HOP_S), round(rng.uniform(0.12, 0.24) / HOP_S)
        noisy[at : at + consonant] = rng.uniform(0.3, 1.0) * np.hanning(consonant + 2)[1:-1]
        noise_hz[at : at + consonant] = rng.uniform(2500, 6000)
        start = at + consonant - 2
        loud[start : start + vowel] = rng.uniform(0.6, 1.0) * np.hanning(vowel + 2)[1:-1] ** 0.5
        formants[start:] = VOWELS_HZ[rng.integers(len(VOWELS_HZ))]
        at = start + vowel + (round(rng.uniform(0.1, 0.2) / HOP_S) if rng.random() < 0.15 else 0)
    formants = _smooth(formants, 9) * voice.formant_scale
    time_s = np.arange(count) * HOP_S
    melody = 0.12 * np.sin(2 * np.pi * rng.uniform(0.5, 0.9) * time_s + rng.uniform(0, 6)) - 0.06 * time_s / seconds
    f0_hz = voice.f0_hz * np.exp(melody + 0.01 * _smooth(rng.normal(size=(count, 1)), 5)[:, 0])
    wav = _make_voiced(f0_hz, loud, formants) + _make_unvoiced(noisy, noise_hz, rng)
    wav = wav + 1e-4 * rng.normal(size=len(wav))
    return (0.7 * wav / np.abs(wav).max()).astype(np.float32), loud


def _make_voiced(f0_hz: np.ndarray, loud: np.ndarray, formants_hz: np.ndarray) -> np.ndarray:
    """Sum the harmonics of a pulse train, each with the gain of the vocal tract: (frames,) ... -> (samples,)."""
    frames = np.arange(len(f0_hz)) * HOP_S
    samples = np.arange(round(len(f0_hz) * HOP_S * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(np.interp(samples, frames, f0_hz)) / RATE
    centres = np.concatenate([formants_hz, np.full((len(f0_hz), 1), FOURTH_FORMANT_HZ)], axis=1)
    wav = np.zeros(len(samples))
    for k in range(1, int(RATE / 2 / f0_hz.max())):
        amplitude = loud * k**-TILT * _find_tract_gain(k * f0_hz, centres)
        wav += np.interp(samples, frames, amplitude) * np.sin(k * phase)
    return wav


def _find_tract_gain(hz: np.ndarray, centres_hz: np.ndarray) -> np.ndarray:
    """Find the gain of the cascade of resonances at one frequency per frame: (frames,), (frames, 4) -> (frames,)."""
    s = 2j * np.pi * hz[:, None]
    pole = 2 * np.pi * (-BANDWIDTHS_HZ / 2 + 1j * centres_hz)
    return np.abs(np.prod(np.abs(pole) ** 2 / ((s - pole) * (s - pole.conj())), axis=1))


def _make_unvoiced(noisy: np.ndarray, centre_hz: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Make bursts of noise, each around its own frequency."""
    samples = np.arange(round(len(noisy) * HOP_S * RATE)) / RATE
    frames = np.arange(len(noisy)) * HOP_S
    spectrum = np.fft.rfft(rng.normal(size=len(samples)))
    hz = np.fft.rfftfreq(len(samples), 1 / RATE)
    # narrow noise, which a carrier moves up to the centre
    low = np.fft.irfft(spectrum * (np.abs(hz) < 700), len(samples))
    carrier = np.cos(2 * np.pi * np.cumsum(np.interp(samples, frames, centre_hz)) / RATE)
    return np.interp(samples, frames, noisy) * low * carrier


def _smooth(values: np.ndarray, width: int) -> np.ndarray:
    kernel = np.hanning(width + 2)[1:-1]
    padded = np.pad(values, ((width // 2, width // 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel / kernel.sum(), "valid") for column in padded.T], axis=1)
