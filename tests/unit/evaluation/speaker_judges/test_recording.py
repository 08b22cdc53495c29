"""speaker_judges/recording.py: silence, lengths and the level."""

import numpy as np
import pytest
from helpers.sounds import rms

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.speaker_judges.recording import prepare_recording


@pytest.mark.parametrize("wav", [np.zeros(0), np.zeros(9000), np.append(np.zeros(30 * 16000), 1)])
def test_silence_has_no_voice(wav):
    with pytest.raises(FaceVCError, match="silent"):
        prepare_recording(wav.astype(np.float32))


@pytest.mark.parametrize(("samples", "heard"), [(1, 16000), (7000, 21000), (16001, 16001), (480_001, 480_000)])
def test_short_clips_are_repeated_and_long_ones_cut(samples, heard):
    wav = np.random.default_rng(0).normal(0, 0.3, samples).astype(np.float32)
    found = prepare_recording(wav)
    assert found.shape == (heard,) and found.dtype == np.float32
    assert rms(found) == pytest.approx(10 ** (-23 / 20), rel=1e-5)
    np.testing.assert_allclose(found / found[0], np.resize(wav, heard) / wav[0], rtol=1e-4)
