"""dsp/pitch.py: F0 where there is a voice, zero where there is none."""

import numpy as np
import pytest

from facevc_cli.dsp.pitch import MEAN_ADULT_F0_HZ, PitchStatistics, extract_f0, normalise_log_f0


def buzz(f0_hz: np.ndarray, rate: int) -> np.ndarray:
    phase = 2 * np.pi * np.cumsum(f0_hz) / rate
    return (0.1 * np.sum([np.sin(k * phase) / k for k in range(1, 10)], axis=0)).astype(np.float32)


@pytest.mark.parametrize(("rate", "hop"), [(16000, 160), (22050, 256)])
@pytest.mark.parametrize("hz", [80.0, 150.0, 320.0])
def test_f0_of_a_steady_voice(rate, hop, hz):
    f0 = extract_f0(buzz(np.full(rate, hz), rate), rate, hop)
    assert (len(f0), f0.dtype) == (1 + rate // hop, np.float32)
    inner = f0[10:-10]
    assert (inner > 0).all()
    assert np.abs(inner / hz - 1).max() < 0.01


def test_f0_follows_a_glide_on_the_frames_it_belongs_to():
    glide = np.linspace(100, 200, 16000)
    f0 = extract_f0(buzz(glide, 16000), 16000, 160)
    assert np.abs(f0[10:-10] / glide[np.arange(10, 91) * 160] - 1).max() < 0.02


@pytest.mark.parametrize("samples", [0, 1, 100, 799, 800, 5000])
def test_silence_and_the_shortest_have_no_f0(samples):
    f0 = extract_f0(np.zeros(samples, np.float32), 16000, 160)
    assert len(f0) == 1 + samples // 160
    assert not f0.any()


def test_noise_is_mostly_unvoiced_and_finite():
    f0 = extract_f0(np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1, 16000, 160)
    assert np.isfinite(f0).all()
    assert (f0 > 0).mean() < 0.5


def test_frames_asked_for_are_given():
    wav = buzz(np.full(16000, 120.0), 16000)
    assert [len(extract_f0(wav, 16000, 160, n)) for n in (1, 99, 105)] == [1, 99, 105]


def test_statistics_of_voiced_frames():
    f0 = np.array([0, 100, 0, 200], np.float32)
    statistics = PitchStatistics.of(f0)
    assert np.isclose(statistics.mean, np.log([100, 200]).mean())
    assert np.isclose(statistics.std, np.log([100, 200]).std())
    assert np.allclose(normalise_log_f0(f0), [0, -1, 0, 1], atol=1e-6)
    assert np.allclose(normalise_log_f0(f0, PitchStatistics(np.log(100), 1.0))[[1, 3]], [0, np.log(2)], atol=1e-6)


@pytest.mark.parametrize("f0", [np.zeros(5), np.zeros(0), np.array([0, 120.0, 120.0])])
def test_unvoiced_and_monotone_utterances_are_finite(f0):
    assert np.isfinite(normalise_log_f0(f0.astype(np.float32))).all()
    if not f0.any():
        assert np.isclose(PitchStatistics.of(f0).mean, np.log(MEAN_ADULT_F0_HZ))
