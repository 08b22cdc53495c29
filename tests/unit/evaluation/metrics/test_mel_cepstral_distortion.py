"""Mel-cepstral distortion on cepstra small enough to work out by hand, and on sound."""

from math import log, sqrt

import numpy as np
import pytest

from facevc_cli.evaluation.metrics.mel_cepstral_distortion import (
    ORDER,
    WARP,
    compute_cepstrum,
    compute_distortion,
    compute_mel_cepstrum,
)

DB = 10 / log(10) * sqrt(2)


def test_frames_of_one_time_by_hand():
    a, b = np.array([[1.0, 2.0]]), np.array([[4.0, 6.0]])
    assert compute_distortion(a, b) == pytest.approx(DB * 5)  # 3, 4, 5


def test_a_held_frame_costs_nothing_and_the_mean_is_over_the_path():
    a, b = np.array([[0.0], [1.0], [5.0]]), np.array([[0.0], [0.0], [1.0], [3.0]])
    assert compute_distortion(a, b) == pytest.approx(DB * 2 / 4)  # 0-0, 0-0, 1-1, 5-3
    assert compute_distortion(a, a) == 0.0


def test_the_cepstrum_of_a_warped_cosine_is_its_coefficient():
    w = np.linspace(0, np.pi, 4097)
    warped = w + 2 * np.arctan(WARP * np.sin(w) / (1 - WARP * np.cos(w)))
    found = compute_cepstrum((7.0 + 0.5 * np.cos(warped) - 0.25 * np.cos(3 * warped))[None])[0]
    assert found.shape == (ORDER,) and found[[0, 1, 2]] == pytest.approx([0.5, 0, -0.25], abs=1e-4)
    assert np.abs(found[3:]).max() < 1e-4  # the constant 7 is loudness, c0


def test_recordings():
    rng = np.random.default_rng(0)
    time = np.arange(16000) / 16000
    voiced = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 66)).astype(np.float32) * 0.1
    a = compute_mel_cepstrum(voiced)
    assert a.shape[1] == ORDER and compute_distortion(a, compute_mel_cepstrum(voiced.copy())) == 0.0
    assert compute_distortion(a, compute_mel_cepstrum(0.5 * voiced)) < 0.1  # loudness is no distortion
    assert compute_distortion(a, compute_mel_cepstrum(rng.normal(0, 0.1, 16000).astype(np.float32))) > 3
    paused = np.concatenate([voiced, np.zeros(8000, np.float32)])
    assert abs(len(compute_mel_cepstrum(paused)) - len(a)) < 10  # a pause is left out
    assert compute_mel_cepstrum(np.zeros(1000, np.float32)).shape[1] == ORDER
