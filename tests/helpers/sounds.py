"""Sounds like a voice, as numbers and as files."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from facevc_cli.files.audio import save_audio

RATE = 16000


def buzz(seconds: float, rate: int = 16000, f0_hz: float = 120.0, level: float = 0.3) -> np.ndarray:
    """(n,) float32: a harmonic tone whose pitch and loudness move as in speech."""
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(f0_hz * (1 + 0.1 * np.sin(2 * np.pi * 1.3 * t))) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 12) if k * f0_hz * 1.1 < rate / 2)
    return (level * np.asarray(tone) / 2 * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))).astype(np.float32)


def rms(wav: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(wav, dtype=np.float64))))


def make_tone(seconds: float, rate: int, hz: float = 440.0) -> np.ndarray:
    """(n,) float32: a sine of half of full scale."""
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def recording(path: Path, seconds: float = 0.5, rate: int = 16000, f0_hz: float = 120.0) -> Path:
    save_audio(path, buzz(seconds, rate, f0_hz), rate)
    return path


def speech(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """Something whose level and place can be told: a buzz with pauses."""
    wav = buzz(seconds, rate).astype(np.float32)
    return wav * (np.sin(2 * np.pi * 3 * np.arange(len(wav)) / rate) > -0.5).astype(np.float32)


def make_syllables(seconds: float, rate: int = 22050, seed: int = 0) -> np.ndarray:
    """(n,) float32: syllables, four a second, of a gliding harmonic tone or of noise, with a little room noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(140 * (1 + 0.15 * np.sin(2 * np.pi * 0.7 * t + seed))) / rate
    tone = sum(np.sin(k * phase + k * k) / k for k in range(1, int(rate / 2 / 165)))
    hiss = rng.standard_normal(len(t))
    syllable = np.sin(np.pi * 4 * t) ** 2
    voiced = np.repeat(rng.random(int(seconds * 4) + 2) < 0.75, -(-rate // 4))[: len(t)]
    return (0.1 * syllable * np.where(voiced, tone, 0.5 * hiss) + 1e-4 * hiss).astype(np.float32)


def mux(
    path: Path, tracks, codec: str = "pcm_s16le", *, picture_s: float = 0.0, drop=(), stamp=None, rate: int = RATE
) -> Path:
    """A container of PyAV's.

    tracks: ((samples (channels, n), start in s), ...); drop: spans in s whose frames are left out.
    """
    import av

    with av.open(str(path), "w") as container:
        film = container.add_stream("mpeg4", rate=25) if picture_s else None
        streams = [
            (container.add_stream(codec, rate=rate, layout={1: "mono", 2: "stereo"}[len(s)]), s, begin)
            for s, begin in tracks
        ]
        if film is not None:
            film.width, film.height, film.pix_fmt = 32, 32, "yuv420p"
            for i in range(round(25 * picture_s)):
                frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 25)
                container.mux(film.encode(frame))
            container.mux(film.encode())
        for stream, samples, begin in streams:
            for i in range(0, samples.shape[1], 320):
                if any(first <= i / rate < last for first, last in drop):
                    continue
                pcm = (
                    np.clip(np.round(samples[:, i : i + 320].T * 32768), -32768, 32767).astype(np.int16).reshape(1, -1)
                )
                frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout=stream.layout.name)
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = round((stamp or (lambda time_s: time_s))(i / rate + begin) * rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return path
