"""The resampler of streams: values against the exact sine, blocks of any size, and its delay."""

import numpy as np
import pytest

from facevc_cli.dsp.stream_resampler import StreamResampler


@pytest.mark.parametrize(("rates"), [(48000, 22050), (44100, 22050), (16000, 22050), (22050, 48000), (22050, 44100)])
def test_a_sine_is_the_same_sine_at_the_other_rate(rates):
    from_rate, to_rate = rates
    stream = StreamResampler(*rates)
    made = stream.push(np.sin(2 * np.pi * 1000 * np.arange(from_rate // 4) / from_rate).astype(np.float32))
    expected = np.sin(2 * np.pi * 1000 * np.arange(len(made)) / to_rate)
    edge = 80  # silence before the stream reaches the first samples
    assert np.abs(made - expected)[edge:].max() < 2e-4
    # a sample is returned as soon as the filter's samples after it are there
    last_s = (len(made) - 1) / to_rate
    assert last_s <= (from_rate // 4 - 1 - stream.lookahead_samples + 1) / from_rate
    assert last_s + 1 / to_rate >= (from_rate // 4 - 1 - stream.lookahead_samples) / from_rate
    assert stream.lookahead_samples / from_rate < 0.0015


def test_what_the_lower_rate_cannot_hold_is_removed():
    stream = StreamResampler(48000, 22050)
    made = stream.push(np.sin(2 * np.pi * 15000 * np.arange(12000) / 48000).astype(np.float32))
    assert np.abs(made[100:]).max() < 1e-3


@pytest.mark.parametrize("size", [1, 7, 160, 480, 5000])
def test_blocks_of_any_size_give_the_same_samples(size):
    sound = np.random.default_rng(0).standard_normal(3001).astype(np.float32)
    whole = StreamResampler(48000, 22050).push(sound)
    stream = StreamResampler(48000, 22050)
    parts = [stream.push(sound[i : i + size]) for i in range(0, len(sound), size)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_equal_rates_change_nothing():
    sound = np.arange(5, dtype=np.float32)
    stream = StreamResampler(22050, 22050)
    np.testing.assert_array_equal(stream.push(sound), sound)
    assert stream.lookahead_samples == 0
