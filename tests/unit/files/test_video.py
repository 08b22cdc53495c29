"""files/video.py: frames and sound of containers made here by PyAV, and what is wrong with the others."""

from fractions import Fraction

import av
import numpy as np
import pytest
from helpers.sounds import make_tone
from helpers.videos import write_video

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.audio import load_audio
from facevc_cli.files.video import iterate_frames

RATE = 16000


def write_sound(path, samples, rate, codec="pcm_s16le", fmt="s16", layout="mono"):
    """samples: (channels, n) float in [-1, 1]."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(format=stream.format or fmt, layout=layout, rate=rate)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, dtype=np.float32), format="fltp", layout=layout
        )
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        for out in resampler.resample(frame):
            size = stream.codec_context.frame_size or out.samples
            fifo = av.AudioFifo()
            fifo.write(out)
            while (piece := fifo.read(size, partial=True)) is not None:
                container.mux(stream.encode(piece))
        container.mux(stream.encode())


def _brightening(count, height=48, width=64):
    return [np.full((height, width, 3), 20 + 8 * i, np.uint8) for i in range(count)]


def test_missing_empty_and_foreign_files(tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video at all " * 100)
    for name, reason in (
        ("gone.mp4", "no such (audio )?file"),
        ("empty.mp4", "zero bytes"),
        ("text.mp4", "FFmpeg can read"),
    ):
        with pytest.raises(FaceVCError, match=reason):
            list(iterate_frames(tmp_path / name))
        with pytest.raises(FaceVCError, match=reason):
            load_audio(tmp_path / name)


def test_truncated_mp4(tmp_path):
    write_video(tmp_path / "a.mp4", _brightening(20))
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(FaceVCError, match=r"cut\.mp4"):
        list(iterate_frames(tmp_path / "cut.mp4"))


def test_every_and_limit(tmp_path):
    with pytest.raises(FaceVCError, match="n >= 1"):
        list(iterate_frames(tmp_path / "a.mp4", every=0))
    write_video(tmp_path / "a.mp4", _brightening(20))
    found = list(iterate_frames(tmp_path / "a.mp4", every=5))
    assert [index for index, _, _ in found] == [0, 5, 10, 15]
    assert [time_s for _, time_s, _ in found] == pytest.approx([0.0, 0.2, 0.4, 0.6], abs=1e-3)
    for index, _, image in found:
        assert image.shape == (48, 64, 3) and image.dtype == np.uint8 and image.flags.c_contiguous
        assert abs(image.mean() - (20 + 8 * index)) < 5
    assert [index for index, _, _ in iterate_frames(tmp_path / "a.mp4", every=3, limit=2)] == [0, 3]


@pytest.mark.parametrize(
    "suffix, codec", [("mkv", "mpeg4"), ("mpg", "mpeg1video"), ("avi", "mjpeg"), ("webm", "libvpx")]
)
def test_containers(tmp_path, suffix, codec):
    path = tmp_path / f"a.{suffix}"
    frames = _brightening(10)
    if codec == "mjpeg":
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    else:
        write_video(path, frames, codec)
    assert len(list(iterate_frames(path))) == 10
    with pytest.raises(FaceVCError, match="has no sound"):
        load_audio(path)


def test_sideways_telephone_video_is_turned_upright(tmp_path):
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:, :32] = 220  # bright on the left: shown turned clockwise, bright on top
    write_video(tmp_path / "a.mp4", [frame] * 3)
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 44
    one = 1 << 16
    data[matrix : matrix + 20] = b"".join(v.to_bytes(4, "big", signed=True) for v in (0, one, 0, -one, 0))
    (tmp_path / "turned.mp4").write_bytes(bytes(data))
    _, _, found = next(iterate_frames(tmp_path / "turned.mp4"))
    assert found.shape == (64, 48, 3)
    assert found[:28].mean() > 200 and found[36:].mean() < 20


def test_video_without_sound_and_sound_without_video(tmp_path):
    write_video(tmp_path / "mute.mp4", _brightening(5))
    with pytest.raises(FaceVCError, match="has no sound"):
        load_audio(tmp_path / "mute.mp4")
    write_sound(tmp_path / "a.mkv", make_tone(0.5, RATE)[None], RATE)
    assert load_audio(tmp_path / "a.mkv", RATE)[0].shape == (RATE // 2,)
    with pytest.raises(FaceVCError, match="no video stream"):
        list(iterate_frames(tmp_path / "a.mkv"))


def test_stereo_is_averaged_and_resampled(tmp_path):
    tone = make_tone(1.0, 48000)
    write_sound(tmp_path / "a.mkv", np.stack([tone, 0.5 * tone]), 48000, layout="stereo")
    wav, rate = load_audio(tmp_path / "a.mkv")
    assert rate == 48000 and wav.dtype == np.float32 and wav.shape == (48000,)
    np.testing.assert_allclose(wav, tone * 0.75, atol=1e-4)
    wav, rate = load_audio(tmp_path / "a.mkv", RATE)
    assert rate == RATE and abs(len(wav) - RATE) <= 1
    np.testing.assert_allclose(wav[1000:15000], make_tone(1.0, RATE)[1000:15000] * 0.75, atol=2e-3)


@pytest.mark.parametrize(
    "suffix, codec", [("mka", "flac"), ("mp4", "aac"), ("mka", "pcm_u8"), ("mka", "pcm_s32le"), ("mka", "pcm_f32le")]
)
def test_sample_formats(tmp_path, suffix, codec):
    write_sound(tmp_path / f"a.{suffix}", make_tone(0.5, RATE)[None], RATE, codec)
    wav, rate = load_audio(tmp_path / f"a.{suffix}")
    assert rate == RATE
    assert abs(np.sqrt(np.mean(wav[2000:6000] ** 2)) - 0.5 / np.sqrt(2)) < 0.01
    peak_hz = np.abs(np.fft.rfft(wav[2000:6000] * np.hanning(4000))).argmax() * RATE / 4000
    assert peak_hz == pytest.approx(440, abs=4)


def test_load_audio_falls_back_to_the_container(tmp_path):
    write_sound(tmp_path / "a.mp4", make_tone(0.5, RATE)[None], RATE, "aac")
    wav, rate = load_audio(tmp_path / "a.mp4", 8000)
    assert rate == 8000 and abs(len(wav) - 4000) < 1100
