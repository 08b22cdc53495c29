"""dsp/downmix.py: weights, and levels added up by hand."""

import av
import numpy as np
import pytest

from facevc_cli.dsp.downmix import ChannelLevels, choose_weights, mix_channels


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
    assert choose_weights(2) is None and choose_weights(12) is None and choose_weights(4, ["AMBI0", "AMBI1", "AMBI2", "AMBI3"]) is None
    assert list(mix_channels(np.array([[1.0, 2.0, 6.0] * 4]))) == [3.0]


def test_levels_do_not_depend_on_the_blocks():
    wav = np.random.default_rng(0).standard_normal((1000, 2)).astype(np.float32) * np.float32(0.1) + np.array([0.3, 0], np.float32)
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
