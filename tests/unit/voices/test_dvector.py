"""voices/dvector.py: the d-vector, which must be Resemblyzer's own."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.repository import GOLDEN
from helpers.sounds import buzz

from facevc_cli.core.errors import FaceVCError
from facevc_cli.voices import dvector as voice
from facevc_cli.voices import dvector_network as voice_encoder
from facevc_cli.voices.dvector import VOICE_RATE, VoiceEmbedder, find_window_starts

DVECTORS = GOLDEN / "dvectors.npz"


@pytest.fixture(scope="module")
def embedder():
    return VoiceEmbedder()


def test_silence_has_no_voice(embedder):
    for wav in (np.zeros(0, np.float32), np.zeros(VOICE_RATE, np.float32)):
        with pytest.raises(FaceVCError, match="silent"):
            embedder.embed(wav)


@pytest.fixture(scope="module")
def original():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # webrtcvad's pkg_resources
        return pytest.importorskip("resemblyzer").VoiceEncoder("cpu", verbose=False)


@pytest.mark.parametrize("samples", [25600, 25601, 40000, 64000, 70001, 200000])
def test_as_resemblyzer_itself_has_it(embedder, original, samples):
    wav = buzz(samples / VOICE_RATE)[:samples]
    levelled = (wav / np.abs(wav).max() * 0.9).astype(np.float32)
    np.testing.assert_allclose(embedder.embed(wav), original.embed_utterance(levelled), atol=1e-5)


def test_as_resemblyzer_gave_it_elsewhere(embedder):
    """d-vectors that Resemblyzer 0.1.4 gave on these signals; `make_dvectors.py` beside them makes them again."""
    with np.load(DVECTORS) as golden:
        assert len(golden.files) == 4
        for samples in golden.files:
            wav = buzz(int(samples) / VOICE_RATE)[: int(samples)]
            np.testing.assert_allclose(embedder.embed(wav), golden[samples], atol=1e-5)


def test_windows_lie_as_resemblyzers(original):
    for samples in [*range(25600, 60000, 37), 16000 * 60]:
        _, theirs = original.compute_partial_slices(samples, 1.3, 0.75)
        assert find_window_starts(samples) == [window.start for window in theirs], samples


def test_weights_that_are_missing_or_others(monkeypatch, tmp_path):
    (tmp_path / "__init__.py").touch()
    found = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("facevc_cli.files.packaged.find_spec", lambda name: found)
    with pytest.raises(FaceVCError, match="facevc, which is not, or not wholly, installed"):
        VoiceEmbedder()
    damaged = tmp_path / voice_encoder.WEIGHTS
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"another")
    with pytest.raises(FaceVCError, match="expected sha256 7dee956"):
        VoiceEmbedder()


def test_block_by_block_is_the_whole(embedder, monkeypatch):
    wav = buzz(9.3)
    whole = embedder.embed(wav)
    monkeypatch.setattr(voice, "WINDOWS_AT_ONCE", 3)
    np.testing.assert_allclose(embedder.embed(wav), whole, atol=1e-6)


def test_a_short_clip_is_repeated(embedder):
    short = buzz(0.4)
    np.testing.assert_allclose(embedder.embed(short), embedder.embed(np.tile(short, 4)), atol=1e-6)
