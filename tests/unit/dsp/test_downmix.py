"""dsp/downmix.py: weights, and levels added up by hand."""

import av
import numpy as np
import pytest
from helpers.sounds import rms

from facevc_cli.dsp import downmix
from facevc_cli.dsp.downmix import ChannelLevels, choose_weights, mix_channels, remove_drift


@pytest.mark.parametrize("layout", ["3.0", "4.0", "quad", "5.0", "5.1", "5.1(side)", "6.1"])
def test_the_weights_are_ffmpegs(layout):
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    weights = choose_weights(len(names), names)
    for i, expected in enumerate(weights):
        samples = np.zeros((len(names), 64), np.float32)
        samples[i] = 0.25
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = 48000
        mixed = av.AudioResampler(format="fltp", layout="mono", rate=48000).resample(frame)[0].to_ndarray()
        assert mixed[0, 10] / 0.25 == pytest.approx(expected, abs=1e-6)


def test_channels_without_names_are_guessed_and_unknown_ones_averaged():
    assert list(choose_weights(6, ["NONE"] * 6)) == list(choose_weights(6, ["FL", "FR", "FC", "LFE", "BL", "BR"]))
    assert (
        choose_weights(2) is None
        and choose_weights(12) is None
        and choose_weights(4, ["AMBI0", "AMBI1", "AMBI2", "AMBI3"]) is None
    )
    assert list(mix_channels(np.array([[1.0, 2.0, 6.0] * 4]))) == [3.0]


def test_levels_do_not_depend_on_the_blocks():
    wav = np.random.default_rng(0).standard_normal((1000, 2)).astype(np.float32) * np.float32(0.1) + np.array(
        [0.3, 0], np.float32
    )
    levels = ChannelLevels()
    for block in np.split(wav, [1, 10, 700]):
        levels.add(block, mix_channels(block))
    np.testing.assert_allclose(levels.powers, wav.astype(np.float64).var(axis=0), rtol=1e-6)
    assert levels.peak == np.abs(wav.mean(axis=1)).max() and levels.count == 1000
    assert levels.choose_channel() is None
    assert levels.find_offset(1000) == pytest.approx(0.15, abs=0.01)


def test_channels_may_change_in_number():
    levels = ChannelLevels()
    for channels in (2, 1, 3):
        block = np.ones((10, channels), np.float32)
        levels.add(block, block[:, 0])
    assert len(levels.powers) == 3 and levels.finite


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
@pytest.mark.parametrize("drift", ["swaying", "rising", "stepping"])
def test_drift_goes_and_the_voice_stays_as_loud_as_it_is(rate, drift):
    time_s = np.arange(2 * rate) / rate
    voice = 0.1 * np.sin(2 * np.pi * 80 * time_s)
    added = {
        "swaying": 0.3 * np.sin(2 * np.pi * 3 * time_s + 1),
        "rising": 0.3 * time_s - 0.3,  # it starts and ends far from 0
        "stepping": np.where(time_s < 1, 0.3, 0.0),  # it starts with a constant level
    }[drift]
    wav = (voice + added).astype(np.float32)
    assert remove_drift(wav, rate)
    settled = np.abs(time_s - 1) > (0.1 if drift == "stepping" else 0)
    assert rms((wav - voice)[settled]) < 0.005, "the voice's is .0707, the drift's .17 or more"
    for edge in (slice(rate // 100), slice(-rate // 100, None)):
        assert abs((wav - voice)[edge]).max() < 0.04, "a start or an end at its level, not a click"
    assert rms(wav[rate // 2 : rate // 4 * 3]) == pytest.approx(0.1 / 2**0.5, rel=0.02)


def test_drift_is_the_same_whatever_the_blocks(monkeypatch):
    given = (0.3 * np.sin(np.arange(24000) / 4000) + 0.05 * np.random.default_rng(0).standard_normal(24000)).astype(
        np.float32
    )
    whole, pieces = given.copy(), given.copy()
    assert remove_drift(whole, 16000)
    monkeypatch.setattr(downmix, "BLOCK_SAMPLES", 4099)
    assert remove_drift(pieces, 16000)
    np.testing.assert_allclose(pieces, whole, rtol=0, atol=1e-6)


def test_what_does_not_drift_stays_as_it_is():
    wav = 0.1 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    before = wav.copy()
    assert not remove_drift(wav, 16000)
    assert np.array_equal(wav, before)
