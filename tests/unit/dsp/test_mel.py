"""dsp/mel.py and dsp/frontend.py against librosa and by their properties."""

import dataclasses

import librosa
import numpy as np
import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.dsp.mel import (
    MEL_DEFINITIONS,
    compute_log_mel,
    compute_whisper_mel_power,
    find_band_centres_hz,
    find_sound_bounds,
    locate_in_bands,
    make_mel_filters,
)

DEFINITIONS = list(MEL_DEFINITIONS.values())
by_name = pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda d: d.name)


def speech_like(samples: int, rate: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / rate
    return (0.3 * np.sin(2 * np.pi * 130 * t) * np.sin(2 * np.pi * 2 * t) + 0.01 * rng.standard_normal(samples)).astype(
        np.float32
    )


@by_name
def test_filters_are_librosas(definition):
    d = definition
    expected = librosa.filters.mel(sr=d.rate, n_fft=d.n_fft, n_mels=d.n_mels, fmin=d.fmin_hz, fmax=d.fmax_hz)
    assert np.abs(make_mel_filters(d) - expected).max() < 1e-7


@by_name
@pytest.mark.parametrize("samples", [4000, 16001, 22050])
def test_log_mel_is_librosas(definition, samples):
    d = definition
    wav = speech_like(samples, d.rate)
    side = 0 if d.centred else (d.n_fft - d.hop_samples) // 2
    padded = wav if d.centred else np.pad(wav, side, mode="reflect")
    stft = librosa.stft(
        padded, n_fft=d.n_fft, hop_length=d.hop_samples, win_length=d.win_samples, center=d.centred, pad_mode="reflect"
    )
    filters = librosa.filters.mel(sr=d.rate, n_fft=d.n_fft, n_mels=d.n_mels, fmin=d.fmin_hz, fmax=d.fmax_hz)
    expected = np.maximum(filters @ np.abs(stft), d.floor)
    expected = np.log10(expected) if d.log == "log10" else np.log(expected)
    found = compute_log_mel(wav, d)
    assert found.shape == (expected.shape[1], 80)
    assert found.dtype == np.float32
    assert np.abs(found - expected.T).max() < 2e-3


@by_name
@pytest.mark.parametrize("samples", [0, 1, 2, 100, 256, 399, 513, 1000])
def test_short_clips_have_frames(definition, samples):
    mel = compute_log_mel(np.full(samples, 0.1, np.float32), definition)
    assert len(mel) >= 1
    assert np.isfinite(mel).all()


@by_name
def test_frame_counts_and_silence(definition):
    d = definition
    mel = compute_log_mel(np.zeros(d.rate, np.float32), d)
    assert len(mel) == (d.rate // d.hop_samples + 1 if d.centred else d.rate // d.hop_samples)
    assert np.allclose(mel, np.log10(d.floor) if d.log == "log10" else np.log(d.floor))
    assert float(d.frame_rate) == d.rate / d.hop_samples


@pytest.mark.parametrize("top_db", [60.0, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_trim_is_librosas(top_db, seed):
    rng = np.random.default_rng(seed)
    quiet = 1e-5 * rng.standard_normal(rng.integers(3000, 9000)).astype(np.float32)
    wav = np.concatenate([quiet, speech_like(12_345 + seed, 16000, seed), quiet[: len(quiet) // 2]])
    expected, _ = librosa.effects.trim(wav, top_db=top_db)
    start, stop = find_sound_bounds(wav, top_db)
    assert np.array_equal(wav[start:stop], expected)


def test_silence_and_the_shortest_are_not_trimmed_away():
    for wav in (np.zeros(5000, np.float32), np.full(3, 0.5, np.float32), np.zeros(1, np.float32)):
        assert find_sound_bounds(wav) == (0, len(wav))


def test_frontend_is_told_in_full_and_checked():
    for name in MEL_DEFINITIONS:
        frontend = Frontend.standard(name)
        assert Frontend.from_settings(frontend.as_settings(), "store") == frontend
    assert (Frontend.standard("fvmvc").peak, Frontend.standard("hifigan").peak) == (None, 0.9)
    assert Frontend.standard("xfavot").peak == 0.9
    other = {**frontend.as_settings(), "definition": {**frontend.as_settings()["definition"], "fmax_hz": 7000.0}}
    with pytest.raises(FaceVCError, match="does not compute"):
        Frontend.from_settings(other, "store")
    with pytest.raises(FaceVCError, match="expected one of fvmvc, hifigan"):
        Frontend.standard("other")


def test_frontend_levels_and_trims():
    wav = np.concatenate(
        [np.zeros(8000, np.float32), 0.2 * np.sign(speech_like(8000, 22050)), np.zeros(8000, np.float32)]
    )
    prepared = Frontend.standard("hifigan").prepare(wav)
    assert 8000 <= len(prepared) < 12_000
    assert np.isclose(np.abs(prepared).max(), 0.9, atol=1e-3)
    assert prepared.dtype == np.float32
    untouched = dataclasses.replace(Frontend.standard("fvmvc"), trim_db=None)
    assert np.array_equal(untouched.prepare(wav), wav)
    assert not Frontend.standard("hifigan").prepare(np.zeros(100, np.float32)).any()


@by_name
@pytest.mark.parametrize("samples", [1, 1000, 8001])
def test_mel_and_f0_have_the_same_frames(definition, samples):
    mel, f0 = Frontend.standard(definition.name).extract_features(speech_like(samples, definition.rate))
    assert len(mel) == len(f0)


def test_whispers_mel_has_even_frames():
    assert [compute_whisper_mel_power(speech_like(n, 16000)).shape for n in (16000, 16160)] == [(80, 100), (80, 102)]


def test_frequencies_find_their_place_among_the_bands():
    definition = MEL_DEFINITIONS["hifigan"]
    centres = find_band_centres_hz(definition)
    hz = np.stack([centres, centres * 1.25, centres / 1.25])
    low, share = locate_in_bands(definition, hz)
    found = centres[low] + share * (centres[low + 1] - centres[low])
    np.testing.assert_allclose(found, np.clip(hz, centres[0], centres[-1]), rtol=1e-5)  # nothing is known beyond
    assert low.max() == len(centres) - 2 and share.min() >= 0 and share.max() <= 1
    peaks = np.fft.rfftfreq(definition.n_fft, 1 / definition.rate)[make_mel_filters(definition).argmax(1)]
    assert np.abs(peaks - centres).max() <= definition.rate / definition.n_fft
