"""imagining/voice.py: the examples' voices, and voices without a pitch."""

from pathlib import Path

import numpy as np
import pytest
from helpers.sounds import buzz

import facevc_cli
from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.audio import load_audio
from facevc_cli.imagining.voice import VoiceDescription, find_feminine, measure_log_f0
from facevc_cli.voices.dvector import VoiceEmbedder

EXAMPLES = Path(facevc_cli.__file__).parent / "assets" / "examples"


@pytest.mark.parametrize("dvector", [np.zeros(256), np.ones(255), np.full(256, np.nan), np.ones((1, 256))])
def test_only_a_d_vector_is_taken(dvector):
    with pytest.raises(FaceVCError, match="expected a d-vector of 256 finite numbers"):
        VoiceDescription.of(dvector, 5.0)


def test_noise_has_no_pitch():
    assert measure_log_f0(np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)) is None
    assert measure_log_f0(np.zeros(16000, np.float32)) is None


def test_a_tone_has_its_own():
    assert np.exp(measure_log_f0(buzz(2.0, 16000, 200.0))) == pytest.approx(200, rel=0.05)


def test_register_and_pitch_decide_together():
    """The odds are even where 8.257 r + 1.266 ln F0 = 11.371."""
    middle = (11.371 - 1.266 * np.log(160)) / 8.257
    assert find_feminine(middle, np.log(160)) == pytest.approx(0.5)
    assert find_feminine(middle, np.log(220)) > 0.5 > find_feminine(middle, np.log(110))
    assert find_feminine(5.242 / 8.938, None) == pytest.approx(0.5)
    assert find_feminine(1e6, None) == pytest.approx(1) and find_feminine(-1e6, None) == pytest.approx(0)


@pytest.mark.parametrize(("name", "is_woman"), [("speech_woman.flac", True), ("speech_man.flac", False)])
def test_the_examples_are_read_right(name, is_woman):
    wav = load_audio(EXAMPLES / name, 16000)[0]
    heard = VoiceDescription.of(VoiceEmbedder("cpu").embed(wav), measure_log_f0(wav))
    assert (heard.feminine > 0.6) if is_woman else (heard.feminine < 0.1)
    assert 15 < heard.age_years < 70


def test_what_is_asked_for_counts():
    heard = VoiceDescription(np.ones(256, np.float32), 5.0, 0.3, 40.0)
    asked = heard.ask_for(1.0, 65.0)
    assert (asked.feminine, asked.age_years, asked.log_f0) == (1.0, 65.0, 5.0)
    assert heard.ask_for(None, None) is heard
