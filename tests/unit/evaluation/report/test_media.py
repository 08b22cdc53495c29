"""evaluation/report/media.py: what lies in a page's data URIs, and what becomes of files that cannot be read."""

import base64
import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.report.media import MP3_RATE, MediaTable, encode_audio, encode_image


def content(uri: str, kind: str) -> bytes:
    head, _, body = uri.partition(",")
    assert head == f"data:{kind};base64"
    return base64.b64decode(body, validate=True)


def tone(path, rate: int, seconds: float, channels: int = 1):
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)
    soundfile.write(path, np.tile(wave[:, None], (1, channels)), rate)
    return path


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2), (24000, 1)])
def test_recordings_become_small_mono_mp3_of_the_same_sound(tmp_path, rate, channels):
    mp3 = content(encode_audio(str(tone(tmp_path / "a.wav", rate, 3.0, channels))), "audio/mpeg")
    wave, found = soundfile.read(io.BytesIO(mp3))
    assert (found, wave.ndim) == (MP3_RATE, 1)
    assert len(wave) / found == pytest.approx(3.0, abs=0.06)
    assert len(mp3) * 8 / 3.0 == pytest.approx(48_000, rel=0.05)
    middle = wave[MP3_RATE : 2 * MP3_RATE]
    assert int(np.argmax(np.abs(np.fft.rfft(middle)))) == 440  # a second: one bin a hertz
    assert np.sqrt((middle**2).mean()) == pytest.approx(
        0.95 * 0.3 / np.sqrt(2), rel=0.02
    )  # LAME's own scale at this bit rate


def test_bit_rate_and_length_are_what_was_asked_for(tmp_path):
    path = str(tone(tmp_path / "a.wav", 16000, 5.0))
    mp3 = content(encode_audio(path, longest_s=2, kbit_s=64), "audio/mpeg")
    assert soundfile.info(io.BytesIO(mp3)).duration == pytest.approx(2.0, abs=0.06)
    assert len(mp3) * 8 / 2.0 == pytest.approx(64_000, rel=0.06)


def test_too_loud_samples_are_limited_not_wrapped(tmp_path):
    square = np.sign(np.sin(2 * np.pi * 100 * (np.arange(24000) + 0.5) / 24000))
    soundfile.write(tmp_path / "loud.wav", 3.0 * square, 24000, subtype="FLOAT")
    wave, _ = soundfile.read(io.BytesIO(content(encode_audio(str(tmp_path / "loud.wav")), "audio/mpeg")))
    middle = wave[8000:16000]
    assert np.median(np.abs(middle)) > 0.6
    assert abs(int((np.diff(np.sign(middle)) != 0).sum()) - 67) <= 2  # 200 a second


def test_pictures_become_square_upright_jpegs(tmp_path):
    picture = Image.new("RGB", (300, 100), "white")
    picture.paste((200, 0, 0), (0, 0, 150, 100))  # left half red
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned clockwise: left goes up
    picture.save(tmp_path / "a.jpg", exif=exif)
    found = Image.open(io.BytesIO(content(encode_image(str(tmp_path / "a.jpg"), 64), "image/jpeg")))
    assert found.size == (64, 64)
    assert found.getpixel((32, 5))[1] < 60 < 200 < found.getpixel((32, 58))[1]  # red above, white below


@pytest.mark.parametrize("encode", [encode_audio, encode_image])
def test_files_that_are_none_are_errors(tmp_path, encode):
    (tmp_path / "text.wav").write_text("no sound, no picture")
    for name in ("gone.wav", "text.wav"):
        with pytest.raises(FaceVCError, match=name):
            encode(str(tmp_path / name))


def test_a_table_embeds_each_file_once_and_remembers_what_is_missing(tmp_path, monkeypatch):
    tone(tmp_path / "a.wav", 16000, 0.5)
    tone(tmp_path / "b.wav", 16000, 0.5)
    Image.new("RGB", (10, 10)).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    table = MediaTable()
    names = (str(tmp_path / "a.wav"), "b.wav", "a.wav", "gone.wav", "gone.wav")
    keys = [table.add_audio(name) for name in names]
    assert keys == ["a0", "a1", "a0", "", ""]
    assert list(table.recordings) == ["a0", "a1"]
    assert table.add_image("a.png").startswith("data:image/jpeg")
    assert table.add_image("a.wav") == ""  # a recording is no picture, though it is a recording
    assert list(table.missing) == ["gone.wav", "a.wav"]
    assert "no such audio file" in table.missing["gone.wav"]
    assert len(table.recordings) == 2
