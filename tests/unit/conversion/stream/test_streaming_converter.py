"""A stream of converted speech: the same whatever the blocks, on time, and equal to a file where it can be."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.sounds import buzz

from facevc_cli.conversion.stream.settings import StreamSettings
from facevc_cli.conversion.stream.statistics import RunningLoudness
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.dsp.pitch import PitchRule

from .conftest import open_converter

RATE = 48000
QUICK = StreamSettings(step_frames=8, lookahead_frames=4, content_frames=40, decoder_frames=16)


def push_all(stream, sound, size):
    parts = [stream.push(sound[i : i + size]) for i in range(0, len(sound), size)]
    return np.concatenate([*parts, stream.flush()])


@pytest.fixture(scope="module")
def target(converter, faces):
    return converter.target_from_face(faces[0])


def test_blocks_of_any_size_give_the_very_same_samples(converter, target):
    stream, sound = converter.stream(target, RATE, QUICK), buzz(0.55, RATE)
    whole = push_all(stream, sound, len(sound))
    assert len(whole) == len(sound)
    assert np.abs(whole).max() > 0.01
    for size in (1, 37, 160, 480, 16000):
        np.testing.assert_array_equal(push_all(stream, sound, size), whole)  # and flush begins anew


def test_speaking_aside_gives_the_same_samples_while_the_next_are_heard(converter, target):
    sound = buzz(1.1, RATE)
    whole = push_all(converter.stream(target, RATE, QUICK), sound, 480)
    aside, spoken = converter.stream(target, RATE, QUICK), []
    aside.speak_into(spoken.append)
    for _ in range(2):  # and flush begins anew
        spoken.clear()
        for block in np.split(sound, range(480, len(sound), 480)):
            assert len(aside.push(block)) == 0
        rest = aside.flush()
        np.testing.assert_array_equal(np.concatenate([*spoken, rest]), whole)
    started, go_on = threading.Event(), threading.Event()
    speak = aside._speaker.speak

    def speak_slowly(step):
        started.set()
        assert go_on.wait(10)
        return speak(step)

    aside._speaker.speak = speak_slowly
    spoken.clear()
    pushed = 0
    while aside._speaking is None:
        assert len(aside.push(sound[pushed : pushed + 480])) == 0  # it does not wait for the first step
        pushed += 480
    assert started.wait(10) and not spoken
    go_on.set()
    aside.push(sound[pushed:])
    rest = aside.flush()
    np.testing.assert_array_equal(np.concatenate([*spoken, rest]), whole)


def test_an_error_while_speaking_aside_is_raised(converter, target, monkeypatch):
    stream = converter.stream(target, None, QUICK)
    stream.speak_into(lambda samples: None)

    def fail(step):
        raise FaceVCError("the vocoder fails")

    monkeypatch.setattr(stream._speaker, "speak", fail)
    with pytest.raises(FaceVCError, match="the vocoder fails"):
        push_all(stream, buzz(0.6, 22050), 480)


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_samples_come_after_the_stated_latency(converter, target, rate):
    stream = converter.stream(target, rate, QUICK)
    hop_s = 256 / 22050
    # a step, the lookahead, and the 384 samples that the last frame's window reaches beyond it; filters take 2 ms
    assert 12 * hop_s + 384 / 22050 <= stream.latency_samples / rate < 12 * hop_s + 384 / 22050 + 0.0025
    assert stream.step_samples == pytest.approx(8 * hop_s * rate, abs=1)
    pushed = returned = most_owed = 0
    for block in np.array_split(buzz(0.8, rate), 400):
        returned += len(stream.push(block))
        pushed += len(block)
        assert returned >= pushed - stream.latency_samples
        most_owed = max(most_owed, pushed - returned)
    assert most_owed > stream.latency_samples - rate * 0.004  # the promise is not wider than it must be


def test_it_equals_a_file_where_lookahead_and_past_suffice(tmp_path, faces, monkeypatch):
    """With content that is not normalised, a decoder that reaches 7 frames, and the level known beforehand."""
    overrides = ("model.content_encoder.kind=vq", "conversion.variance_scale=1")
    converter = open_converter(tmp_path / "run", *overrides)
    assert converter.model.decoder.context_frames == 7
    rng = np.random.default_rng(5)
    noise = np.diff(rng.standard_normal(22050)).astype(np.float32) * 0.1  # unvoiced, so that no pitch is measured
    target = converter.target_from_face(faces[0])
    source = converter.analyse((noise, 22050))
    assert not source.lf0.any()
    with torch.inference_mode():
        spoken = converter.vocoder(converter._decode_voices([(source, target)])[0]).numpy()
    monkeypatch.setattr(RunningLoudness, "find_output_gain", lambda self, gain: 1.0)
    settings = StreamSettings(
        step_frames=6, lookahead_frames=8, content_frames=20, decoder_frames=8, memory_s=1e9, watermark=False
    )
    stream = converter.stream(target, None, settings)
    stream._level.first_peak = float(np.abs(noise).max())
    stream.reset()
    made = np.concatenate([stream.push(noise), stream.flush()])
    until = len(spoken) - 12 * 256  # a file mirrors its end, a stream does not know it
    np.testing.assert_allclose(made[:until], spoken[:until], atol=2e-4)


def test_another_voice_from_the_next_step_on_without_a_click(converter, target):
    a, b = (replace(target, log_f0_mean=level) for level in (4.5, 5.6))  # an untrained model hears pitch alone
    sound = buzz(1.2, 22050)
    alone = [push_all(converter.stream(voice, None, QUICK), sound, 512) for voice in (a, b)]
    stream, parts = converter.stream(a, None, QUICK), []
    for i in range(0, len(sound), 512):
        if i == 30 * 512:
            stream.set_voice(b)
        parts.append(stream.push(sound[i : i + 512]))
    switched = np.concatenate([*parts, stream.flush()])
    np.testing.assert_array_equal(switched[:12000], alone[0][:12000])
    apart = np.abs(alone[0] - alone[1])[-4000:].mean()
    assert np.abs(switched - alone[1])[-4000:].mean() < 0.2 * apart
    assert np.abs(np.diff(switched)).max() < 1.1 * max(np.abs(np.diff(wave)).max() for wave in alone)


def test_a_calibration_gives_the_level_and_the_pitch_at_once(converter, target):
    keep = converter.apply_pitch_rule(target, PitchRule.parse("keep"))
    voice = buzz(3.0, 22050, f0_hz=240, level=0.5)
    stream = converter.stream(keep, None, QUICK)
    assert stream._pitch.measure(np.zeros(0)).mean == pytest.approx(np.log(150))
    stream.calibrate((voice, 22050))
    assert np.exp(stream._pitch.measure(np.zeros(0)).mean) == pytest.approx(240, rel=0.05)
    assert stream._level.peak == pytest.approx(np.abs(voice).max())
    stream.push(voice[:8000])
    stream.reset()
    assert stream._level.peak == pytest.approx(np.abs(voice).max())
    with pytest.raises(FaceVCError, match=r"half a second of voice, found 0\.0 s"):
        stream.calibrate((np.random.default_rng(0).standard_normal(22050).astype(np.float32) * 1e-3, 22050))


def test_the_result_is_as_loud_as_the_speech(converter, target):
    sound = buzz(4.0, 22050, level=0.2)
    made = push_all(converter.stream(target, None, QUICK), sound, 4096)
    second_half = slice(len(sound) // 2, len(sound) - 4096)
    ratio = np.sqrt((made[second_half] ** 2).mean() / (sound[second_half] ** 2).mean())
    assert ratio == pytest.approx(1.0, abs=0.15)


def test_silence_is_no_sound_and_broken_samples_are_survived(converter, target):
    stream = converter.stream(target, None, QUICK)
    assert np.isfinite(push_all(stream, np.full(9000, np.nan, np.float32), 500)).all()
    with pytest.raises(FaceVCError, match=r"\(n,\), found \(10, 2\)"):
        stream.push(np.zeros((10, 2), np.float32))
    assert len(stream.push(np.zeros(0, np.float32))) == 0


def test_memory_is_the_same_after_a_while(converter, target):
    """All arrays that a stream holds have reached their size after the longest window."""
    stream = converter.stream(
        target, RATE, StreamSettings(step_frames=8, content_frames=40, decoder_frames=16, memory_s=0.5)
    )

    def count_held(part, depth=3):
        if hasattr(part, "__len__"):
            return len(part)
        held = vars(part).values() if depth and hasattr(part, "__dict__") else ()
        return sum(count_held(x, depth - 1) for x in held)

    sound = buzz(8 * 256 / 22050 * 4, RATE)
    sizes = []
    for _ in range(8):
        stream.push(sound)
        sizes.append(count_held(stream))
    assert max(sizes[4:]) - min(sizes[4:]) <= 8 * 256 * RATE / 22050


@pytest.mark.parametrize("rate", [0, 4000, 1_000_000])
def test_rates_that_no_device_has(converter, target, rate):
    with pytest.raises(UsageError, match=f"expected 8000 to 192000 Hz, found {rate}"):
        converter.stream(target, rate)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"step_frames": 7}, "step_frames=7: expected an even number from 2 on"),
        ({"lookahead_frames": -2}, "lookahead_frames=-2"),
        ({"decoder_frames": 200}, "at most content_frames, 86"),
        ({"memory_s": 0}, "memory_s=0"),
    ],
)
def test_wrong_settings(wrong, message):
    with pytest.raises(UsageError, match=message):
        StreamSettings(**wrong)
