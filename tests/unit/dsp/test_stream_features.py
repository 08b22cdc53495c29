"""Log-mel and F0 of a stream, against those of the whole recording."""

import numpy as np
import pytest

from facevc_cli.dsp.mel import MEL_DEFINITIONS, compute_log_mel, take_log
from facevc_cli.dsp.pitch import extract_f0
from facevc_cli.dsp.stream_features import FeatureStream, smooth_voicing


def make_voice(definition, seconds=1.5):
    """A tone with harmonics that glides from 120 to 180 Hz, with a pause."""
    t = np.arange(int(seconds * definition.rate)) / definition.rate
    phase = 2 * np.pi * (120 * t + 20 * t**2)
    sound = sum(np.sin(k * phase) / k for k in range(1, 20))
    sound[(t > 0.7) & (t < 0.9)] *= 0.0
    noise = np.random.default_rng(0).standard_normal(len(t)) * 1e-4
    return (0.2 * sound + noise).astype(np.float32)


@pytest.mark.parametrize("name", ["hifigan", "fvmvc"])
def test_log_mel_equals_that_of_the_recording(name):
    definition = MEL_DEFINITIONS[name]
    sound, stream, frames = make_voice(definition), FeatureStream(MEL_DEFINITIONS[name], 6), []
    for start in range(0, len(sound), 1000):
        stream.push(sound[start : start + 1000])
        while stream.is_ready:
            frames.append(take_log(stream.make_step(), definition).numpy())
    made, whole = np.concatenate(frames), compute_log_mel(sound, definition)
    assert len(made) >= len(whole) - 6 - 3
    np.testing.assert_allclose(made, whole[: len(made)], atol=2e-3)


def test_f0_agrees_with_the_recording_once_some_sound_has_followed():
    definition = MEL_DEFINITIONS["hifigan"]
    sound, stream, made = make_voice(definition), FeatureStream(definition, 4), []
    whole = extract_f0(sound, definition.rate, definition.hop_samples)
    stream.push(sound)
    while stream.is_ready:
        stream.make_step()
        made.append(stream.read_f0(8)[:4])  # four frames, 46 ms, follow these
    track = np.concatenate(made)[4:]
    expected = whole[: len(track)]
    both = (track > 0) & (expected > 0)
    assert ((track > 0) == (expected > 0)).mean() > 0.95
    assert np.abs(np.log(track[both] / expected[both])).max() < 0.03
    assert both.sum() > 70


def test_memory_does_not_grow():
    stream, kept = FeatureStream(MEL_DEFINITIONS["hifigan"], 4), []
    for _ in range(100):
        stream.push(np.zeros(1024, np.float32))
        while stream.is_ready:
            stream.make_step()
        kept.append(len(stream.read(0, 10**9)))
    assert len(set(kept[60:])) == 1


def test_single_voiced_frames_gaps_and_jumps_are_mended():
    f0 = np.array([0, 100, 0, 0, 100, 0, 100, 100, 200, 100, 100, 0], np.float32)
    expected = np.array([0, 0, 0, 0, 100, 100, 100, 100, 100, 100, 100, 0])
    np.testing.assert_allclose(smooth_voicing(f0), expected, rtol=1e-5)
