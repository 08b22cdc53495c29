"""features/voice.py: the d-vector, which must be Resemblyzer's own."""

import numpy as np
import pytest
from tiny import buzz

from facevc_cli.errors import FaceVCError
from facevc_cli.features import voice
from facevc_cli.features.voice import VOICE_RATE, VoiceEmbedder


@pytest.fixture(scope="module")
def embedder():
    return VoiceEmbedder()


def test_silence_has_no_voice(embedder):
    for wav in (np.zeros(0, np.float32), np.zeros(VOICE_RATE, np.float32)):
        with pytest.raises(FaceVCError, match="silent"):
            embedder.embed(wav)


@pytest.mark.parametrize("samples", [25600, 25601, 40000, 64000, 70001, 200000])
def test_as_resemblyzer_itself_has_it(embedder, samples):
    wav = buzz(samples / VOICE_RATE)[:samples]
    levelled = (wav / np.abs(wav).max() * 0.9).astype(np.float32)
    np.testing.assert_allclose(embedder.embed(wav), embedder._encoder.embed_utterance(levelled), atol=1e-5)


def test_block_by_block_is_the_whole(embedder, monkeypatch):
    wav = buzz(9.3)
    whole = embedder.embed(wav)
    monkeypatch.setattr(voice, "WINDOWS_AT_ONCE", 3)
    np.testing.assert_allclose(embedder.embed(wav), whole, atol=1e-6)


def test_a_short_clip_is_repeated(embedder):
    short = buzz(0.4)
    np.testing.assert_allclose(embedder.embed(short), embedder.embed(np.tile(short, 4)), atol=1e-6)
