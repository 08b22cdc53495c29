"""conversion/transfer/bands.py: what counts as speech, how far a log-mel is brought towards a recording, and where next
to nothing is known.
"""

import pytest
import torch

from facevc_cli.conversion.transfer.bands import MOST_CHANGE, TRUSTED_FRAMES, BandStatistics, match

BANDS = 6


def _mel(frames, seed, scale=1.0, shift=0.0, pauses=0):
    """Speech of so many frames and, before and after it, pauses far below."""
    mel = torch.randn(frames, BANDS, generator=torch.Generator().manual_seed(seed)) * scale + shift + 20
    quiet = torch.zeros(pauses, BANDS)
    return torch.cat([quiet, mel, quiet]) if pauses else mel


def test_pauses_do_not_count():
    speech, among_pauses = (
        BandStatistics.measure(_mel(200, 0, pauses=0)),
        BandStatistics.measure(_mel(200, 0, pauses=300)),
    )
    assert among_pauses.frames == 200
    torch.testing.assert_close(among_pauses.mean, _mel(200, 0).mean(0))
    torch.testing.assert_close(among_pauses.std, _mel(200, 0).std(0, correction=0))
    assert speech.frames < 200  # without pauses the quietest frames of speech are taken for some


def test_by_hand():
    mel, recording = _mel(60, 1, pauses=40), _mel(300, 2, scale=1.5, shift=torch.arange(BANDS), pauses=80)
    matched = match(mel, BandStatistics.measure(recording), 0.5, 0.25)
    mine, theirs = mel[40:100], recording[80:380]
    trust = 60 / (60 + TRUSTED_FRAMES)
    change = (theirs.std(0, correction=0) / mine.std(0, correction=0)) ** (0.25 * trust)
    mean = mine.mean(0) + 0.5 * trust * (theirs.mean(0) - mine.mean(0))
    torch.testing.assert_close(matched, mean + (mel - mine.mean(0)) * change, atol=1e-4, rtol=1e-5)


def test_all_and_nothing():
    mel, own = _mel(2000, 3, pauses=100), BandStatistics.measure(_mel(2000, 4, scale=0.7, shift=-3.0, pauses=100))
    torch.testing.assert_close(match(mel, own, 0.0, 0.0), mel, atol=1e-5, rtol=1e-5)
    matched = BandStatistics.measure(match(mel, own, 1.0, 1.0))
    torch.testing.assert_close(matched.mean, own.mean, atol=0.1, rtol=0)
    torch.testing.assert_close(matched.std, own.std, atol=0.02, rtol=0)


@pytest.mark.parametrize("short", ["log-mel", "recording"])
def test_little_speech_says_little(short):
    long, few = _mel(3000, 5, pauses=9), _mel(3, 6, shift=4.0, pauses=9)
    mel, recording = (few, long) if short == "log-mel" else (long, few)
    changed = (match(mel, BandStatistics.measure(recording), 1.0, 1.0) - mel)[9:-9].abs().mean()
    assert 0 < changed < 0.15 * 4  # the shift


@pytest.mark.parametrize("flat", ["log-mel", "recording", "both"])
@pytest.mark.parametrize("frames", [1, 2, 50])
def test_one_frame_or_one_tone(flat, frames):
    steady = torch.full((frames, BANDS), 2.0)
    mel, recording = (
        (steady if flat in ("log-mel", "both") else _mel(80, 7)),
        (steady if flat in ("recording", "both") else _mel(80, 8)),
    )
    matched = match(mel, BandStatistics.measure(recording), 1.0, 1.0)
    assert matched.shape == mel.shape and torch.isfinite(matched).all()
    assert BandStatistics.measure(steady).frames == frames
    now = BandStatistics.measure(mel).std
    assert (
        bool((matched.std(0, correction=0) <= MOST_CHANGE * mel.std(0, correction=0) + 1e-5).all())
        and torch.isfinite(now).all()
    )
