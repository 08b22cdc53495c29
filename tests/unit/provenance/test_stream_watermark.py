"""The mark in a stream: the same as in a file, found by the same detector."""

import numpy as np
import pytest

from facevc_cli.provenance.stream_watermark import StreamWatermark
from facevc_cli.provenance.watermark import add_watermark, detect

RATE = 22050


def make_sound(seconds):
    rng = np.random.default_rng(3)
    t = np.arange(int(seconds * RATE)) / RATE
    return (rng.standard_normal(len(t)) * 0.05 * (1 + np.sin(2 * np.pi * 3 * t))).astype(np.float32)


@pytest.mark.parametrize("size", [1, 131, 1024, 30000])
def test_with_a_right_forecast_it_is_the_mark_of_a_file(size):
    sound, stream = make_sound(0.3 if size == 1 else 1.0), StreamWatermark(RATE)
    parts = [stream.push(sound[i : i + size], sound[i + size :]) for i in range(0, len(sound), size)]
    np.testing.assert_allclose(np.concatenate(parts), add_watermark(sound, RATE), atol=1e-6)


def test_it_is_found_when_the_forecast_is_only_nearly_right():
    sound, stream, parts = make_sound(4), StreamWatermark(RATE), []
    rng = np.random.default_rng(4)
    for i in range(0, len(sound), 1024):
        ahead = sound[i + 1024 : i + 2048]
        forecast = ahead + 0.02 * rng.standard_normal(len(ahead)).astype(np.float32)
        parts.append(stream.push(sound[i : i + 1024], forecast))
    marked = np.concatenate(parts)
    assert detect(marked, RATE).marked
    assert not detect(sound, RATE).marked
    # 1 dB is a change of 12 percent
    assert np.sqrt(np.mean((marked - sound) ** 2) / np.mean(sound**2)) < 0.2


def test_silence_stays_silence_and_a_reset_begins_anew():
    stream = StreamWatermark(RATE)
    assert not stream.push(np.zeros(500, np.float32), np.zeros(0, np.float32)).any()
    sound = make_sound(0.1)
    stream.reset()
    first = stream.push(sound, np.zeros(0, np.float32))
    np.testing.assert_array_equal(first, StreamWatermark(RATE).push(sound, np.zeros(0, np.float32)))
