"""Running level, pitch and moments, against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch

from facevc_cli.conversion.stream.statistics import (
    RunningLevel,
    RunningLoudness,
    RunningPitch,
    SeedStatistics,
    StreamStatistics,
)
from facevc_cli.dsp.pitch import PitchStatistics


def test_level_rises_at_once_and_falls_slowly_and_only_in_speech():
    level, loud = RunningLevel(1000, 10.0), np.full(100, 0.5, np.float32)
    assert (level.peak, level.speaks) == (0.1, False)
    level.hear(loud)
    assert level.peak == 0.5 and level.speaks
    level.hear(loud / 2)
    assert level.peak == pytest.approx(0.5 * math.exp(-0.01))
    for _ in range(3):
        level.hear(np.zeros(100, np.float32))
    assert not level.speaks
    peak = level.peak
    level.hear(np.zeros(5000, np.float32))
    assert level.peak == peak


def test_output_gain_is_the_ratio_of_the_levels():
    loudness = RunningLoudness(1000, 1e9)
    assert loudness.find_output_gain(4.0) == pytest.approx(0.25)
    for _ in range(1000):
        loudness.weigh(np.full(100, 0.3, np.float32), np.full(100, 0.1, np.float32))
    assert loudness.find_output_gain(4.0) == pytest.approx(3.0, rel=0.02)


def test_pitch_moves_from_what_is_likely_to_what_is_heard():
    pitch = RunningPitch(100.0, 10.0)
    assert pitch.measure(np.zeros(5)) == PitchStatistics(math.log(150), pytest.approx(0.2))
    pitch.add(np.array([0, 100.0, 100.0]))
    # 10 frames of 150 Hz are assumed: (10 ln 150 + 8 ln 100) / 18 with 6 newest frames
    found = pitch.measure(np.full(6, 100.0))
    assert found.mean == pytest.approx((10 * math.log(150) + 8 * math.log(100)) / 18)
    assert found.std == pytest.approx(math.sqrt(200 * 0.04 / 208))
    pitch.add(np.full(5000, 100.0))
    assert len(pitch.list_recent()) == 1000
    assert pitch.measure(np.zeros(0)).mean == pytest.approx(math.log(100), abs=0.01)
    pitch.seed(PitchStatistics(5.0, 0.1), 300)
    assert pitch.measure(np.full(300, math.exp(6.0))).mean == pytest.approx(5.5)


def test_two_frames_have_the_mean_and_deviation_of_the_speech_so_far():
    draw = torch.Generator().manual_seed(0)
    frames = torch.randn(1, 60, 3, generator=draw) * 2 + 5
    statistics = StreamStatistics(100.0, 1e9)
    for end in range(20, 61, 10):  # a window of 20, of which the last 10 are new; no seed
        statistics.begin(40, 20, 40)  # in frames of log-mel: twice as many
        counted = statistics.gather("content", frames[:, end - 20 : end], axis=1)
    assert counted.shape == (1, 2, 3)
    torch.testing.assert_close(counted.mean(1), frames[:, 10:].mean(1))
    torch.testing.assert_close(counted.std(1, unbiased=False), frames[:, 10:].std(1, unbiased=False))


def test_a_seed_counts_as_two_seconds_and_pauses_do_not_count():
    seed = SeedStatistics(100.0)
    ones = torch.ones(50, 1)
    assert seed.gather("variance", ones) is ones
    statistics = StreamStatistics(100.0, 1e9)
    statistics.set_seeds(seed.seeds)
    statistics.begin(10, 10, 10)
    assert statistics.gather("variance", torch.zeros(10, 1)).mean().item() == 1
    for _ in range(20):
        statistics.begin(10, 0, 10)
        counted = statistics.gather("variance", torch.zeros(10, 1))
    assert counted.mean().item() == pytest.approx(0.5)  # 200 zeros and 200 seeded ones
    statistics.set_seeds(seed.seeds)  # another voice: what was heard is forgotten
    statistics.begin(10, 10, 10)
    assert statistics.gather("variance", torch.zeros(10, 1)).mean().item() == 1


def test_steps_that_measure_quantiles_get_the_last_frames():
    seed = SeedStatistics(10.0)
    seed.gather("bands", torch.arange(80.0)[:, None])
    statistics = StreamStatistics(10.0, 5.0)
    statistics.set_seeds(seed.seeds)
    statistics.begin(4, 2, 4)
    kept = statistics.gather("bands", torch.tensor([[0.0], [0.0], [-1.0], [-2.0]]))
    np.testing.assert_array_equal(kept[:, 0].numpy(), [*range(32, 80), -1, -2])
