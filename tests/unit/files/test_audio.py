"""files/audio.py: any recording in, mono float out; 16-bit files out."""

import numpy as np
import pytest
import soundfile
from helpers.sounds import make_tone

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.audio import load_audio, read_wav_header, resample, save_audio


@pytest.mark.parametrize(("suffix", "tolerance"), [(".wav", 1e-4), (".flac", 1e-4), (".ogg", 0.05)])
def test_round_trip(tmp_path, suffix, tolerance):
    wav = make_tone(0.3, 16000)
    save_audio(tmp_path / f"x{suffix}", wav, 16000, comment="made by a test")
    loaded, rate = load_audio(tmp_path / f"x{suffix}")
    assert (rate, loaded.dtype, loaded.shape) == (16000, np.float32, wav.shape)
    assert np.abs(loaded - wav).max() < tolerance
    assert soundfile.SoundFile(tmp_path / f"x{suffix}").comment == "made by a test"


def test_stereo_48_khz_is_mixed_and_resampled(tmp_path):
    left = make_tone(1, 48000)
    soundfile.write(tmp_path / "x.wav", np.stack([left, 0.5 * left], 1), 48000, "FLOAT")
    wav, rate = load_audio(tmp_path / "x.wav", 16000)
    assert (rate, len(wav)) == (16000, 16000)
    assert np.abs(wav[100:-100] - 0.75 * make_tone(1, 16000)[100:-100]).max() < 1e-3


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_resampling_keeps_a_tone(rate):
    up = resample(make_tone(1, rate), rate, 16000)
    assert abs(len(up) - 16000) <= 1
    assert np.abs(up[200:15800] - make_tone(1, 16000)[200:15800]).max() < 2e-3


def test_resampling_takes_out_what_would_alias():
    assert np.abs(resample(make_tone(1, 48000, 12000.0), 48000, 16000)[200:-200]).max() < 1e-3


def test_clipping_not_wrapping(tmp_path):
    save_audio(tmp_path / "x.wav", np.array([2.0, -2.0], np.float32), 16000)
    assert np.allclose(load_audio(tmp_path / "x.wav")[0], [1, -1], atol=1e-4)


def test_unusable_recordings_are_errors_that_name_them(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound at all")
    (tmp_path / "pcm.raw").write_bytes(bytes(100))
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 16000, "FLOAT")
    faults = {"absent.wav": "no such", "empty.wav": "zero bytes", "text.wav": "FFmpeg", "pcm.raw": "FFmpeg|no sound"}
    faults |= {"none.wav": "no samples", "nan.wav": "NaN"}
    for name, fault in faults.items():
        with pytest.raises(FaceVCError, match=fault) as caught:
            load_audio(tmp_path / name)
        assert name in str(caught.value)


def test_truncated_wav_gives_what_there_is(tmp_path):
    save_audio(tmp_path / "x.wav", make_tone(1, 16000), 16000)
    (tmp_path / "x.wav").write_bytes((tmp_path / "x.wav").read_bytes()[:16044])
    assert len(load_audio(tmp_path / "x.wav")[0]) == 8000


@pytest.mark.parametrize("samples", [1, 2, 7])
def test_a_few_samples_stay_at_least_one(tmp_path, samples):
    soundfile.write(tmp_path / "x.wav", np.full(samples, 0.5), 48000)
    wav, _ = load_audio(tmp_path / "x.wav", 16000)
    assert 1 <= len(wav) <= 3


def test_unknown_formats_and_failed_writes_leave_nothing(tmp_path):
    with pytest.raises(FaceVCError, match="suffix must be one of"):
        save_audio(tmp_path / "x.mp3", make_tone(0.1, 16000), 16000)
    (tmp_path / "file").touch()
    with pytest.raises(FaceVCError, match="could not be written"):
        save_audio(tmp_path / "file/x.wav", make_tone(0.1, 16000), 16000)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_header(tmp_path):
    save_audio(tmp_path / "x.wav", make_tone(0.5, 8000), 8000)
    assert read_wav_header(tmp_path / "x.wav") == (4000, 8000)
    soundfile.write(tmp_path / "stereo.wav", np.zeros((9, 2)), 8000)
    (tmp_path / "text.wav").write_text("x")
    for name in ("stereo.wav", "text.wav", "absent.wav"):
        assert read_wav_header(tmp_path / name) == (0, 0)
