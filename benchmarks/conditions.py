"""Conditions in which people record, made from clean recordings: noise, hum, other people, music, a room, a laptop's
microphone, a lossy codec. Every function takes and returns (n,) float32 at RATE.
"""

import io
from collections.abc import Callable, Mapping

import numpy as np
import soundfile

from facevc_cli.files.audio import resample

RATE = 16000  # Hz
Condition = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def keep(wav: np.ndarray, _: np.random.Generator) -> np.ndarray:
    return wav


def add_noise(wav: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pink noise, 10 dB below the speech."""
    return mix(wav, shape_spectrum(rng.standard_normal(len(wav)), lambda hz: np.maximum(hz, 30) ** -0.5), 10)


def add_hum(wav: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Mains hum of 50 Hz with harmonics, 15 dB below the speech."""
    seconds = np.arange(len(wav)) / RATE
    return mix(wav, sum(np.sin(2 * np.pi * 50 * k * seconds) / k for k in range(1, 8)), 15)


def add_music(wav: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Chords of plucked tones with a beat, 10 dB below the speech."""
    music = np.zeros(len(wav))
    for start in range(0, len(wav), RATE // 2):
        seconds = np.arange(min(RATE, len(wav) - start)) / RATE
        root = 110 * 2 ** (rng.integers(0, 12) / 12)
        for ratio in (1, 1.25, 1.5, 2):
            music[start : start + len(seconds)] += np.exp(-4 * seconds) * np.sin(2 * np.pi * root * ratio * seconds)
    return mix(wav, music, 10)


def reverberate(wav: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A room whose reverberation falls by 60 dB in .6 s and has as much power as the direct sound."""
    seconds = np.arange(int(0.7 * RATE)) / RATE
    tail = rng.standard_normal(len(seconds)) * 10 ** (-3 * seconds / 0.6)
    tail[: RATE // 200] = 0
    tail /= np.sqrt((tail**2).sum())
    tail[0] = 1
    size = len(wav) + len(tail)
    return normalise(np.fft.irfft(np.fft.rfft(wav, size) * np.fft.rfft(tail, size), size)[: len(wav)])


def use_laptop(wav: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A small microphone: little below 200 Hz and above 6 kHz, a resonance at 3 kHz, and some noise."""

    def respond(hz: np.ndarray) -> np.ndarray:
        high, low = 1 / (1 + (200 / np.maximum(hz, 1)) ** 4), 1 / (1 + (hz / 6000) ** 8)
        return np.sqrt(high * low) * (1 + 1.5 * np.exp(-(((hz - 3000) / 700) ** 2)))

    return mix(shape_spectrum(wav, respond), rng.standard_normal(len(wav)), 30)


def encode_mp3(wav: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """MP3 of 64 kbit/s at 44.1 kHz."""
    file = io.BytesIO()
    soundfile.write(
        file, resample(wav, RATE, 44100), 44100, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.8
    )
    file.seek(0)
    decoded, rate = soundfile.read(file, dtype="float32")
    return resample(decoded, rate, RATE)[: len(wav)]


CONDITIONS: Mapping[str, Condition] = {
    "clean": keep,
    "noise 10 dB": add_noise,
    "hum 15 dB": add_hum,
    "music 10 dB": add_music,
    "room .6 s": reverberate,
    "laptop": use_laptop,
    "MP3 64k": encode_mp3,
}


def mix(wav: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Adds noise whose power is `snr_db` below that of the whole recording."""
    scale = np.sqrt((wav**2).mean() / max(1e-12, (noise**2).mean()) / 10 ** (snr_db / 10))
    return normalise(wav + scale * noise)


def shape_spectrum(wav: np.ndarray, response: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Multiplies the spectrum by `response` of the frequencies in Hz."""
    return np.fft.irfft(np.fft.rfft(wav) * response(np.fft.rfftfreq(len(wav), 1 / RATE)), len(wav))


def normalise(wav: np.ndarray) -> np.ndarray:
    """(n,) float32 with a peak of .9 at most."""
    return (wav * min(1.0, 0.9 / max(1e-9, np.abs(wav).max()))).astype(np.float32)
