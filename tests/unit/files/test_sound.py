"""files/sound.py: what is heard of files as people have them: which channel, which track, how loud, how long, and no
more memory than that.
"""

import io
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr
from helpers.sounds import buzz, mux, speech

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.audio import load_audio, resample
from facevc_cli.files.sound import fit_full_scale, read_sound

RATE = 16000


def level_db(wav: np.ndarray, reference: np.ndarray) -> float:
    return 10 * float(np.log10(np.square(wav, dtype=np.float64).sum() / np.square(reference, dtype=np.float64).sum()))


# --- the same bits as ever of what is ordinary


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_ordinary_files_are_the_mean_of_their_channels_resampled_as_a_whole(tmp_path, rate, channels):
    wav = np.stack([speech(2.5, rate), 0.3 * buzz(2.5, rate, 170.0)], 1)[:, :channels]
    soundfile.write(tmp_path / "a.wav", wav, rate)
    soundfile.write(tmp_path / "a.flac", wav, rate)
    for name in ("a.wav", "a.flac"):
        whole, _ = soundfile.read(tmp_path / name, dtype="float32", always_2d=True)
        expected = soxr.resample(whole.mean(axis=1), rate, RATE, quality="HQ")
        assert np.array_equal(load_audio(tmp_path / name)[0], whole.mean(axis=1))
        assert np.array_equal(load_audio(tmp_path / name, RATE)[0], expected)
        assert read_sound(tmp_path / name, RATE).notes == ()


def test_blocks_are_resampled_to_the_bit_as_a_whole_is(tmp_path, monkeypatch):
    monkeypatch.setattr("facevc_cli.files.tracks.BLOCK_SAMPLES", 1000)
    wav = np.random.default_rng(0).standard_normal(30_001).astype(np.float32) * np.float32(0.1)
    soundfile.write(tmp_path / "a.wav", wav, 44100, "FLOAT")
    assert np.array_equal(load_audio(tmp_path / "a.wav", 22050)[0], resample(wav, 44100, 22050))


# --- channels


@pytest.mark.parametrize(
    ("left", "right", "expected_db"),
    [(1, -1, 0), (1, -0.9, 0), (1, 0, 0), (0, 1, 0), (1, -0.5, 0), (1, 1, 0), (1, 0.5, -2.5)],
)
def test_channels_that_cancel_or_are_silent_leave_the_other_as_loud_as_it_is(tmp_path, left, right, expected_db):
    wav = speech()
    soundfile.write(tmp_path / "a.wav", np.stack([left * wav, right * wav], 1), RATE)
    assert level_db(load_audio(tmp_path / "a.wav")[0], wav) == pytest.approx(expected_db, abs=0.05)


def test_two_people_on_two_channels_are_both_heard(tmp_path):
    wav = np.stack([speech(), np.roll(speech(), 8000) * 0.2], 1)
    soundfile.write(tmp_path / "a.wav", wav, RATE, "FLOAT")
    assert np.array_equal(load_audio(tmp_path / "a.wav")[0], wav.mean(axis=1))


@pytest.mark.parametrize("suffix", ["flac", "wav"])
@pytest.mark.parametrize("channel", range(6))
def test_speech_in_one_channel_of_5_1_is_as_loud_as_that_channel(tmp_path, suffix, channel):
    wav = np.zeros((RATE, 6), np.float32)
    wav[:, channel] = speech()
    soundfile.write(tmp_path / f"a.{suffix}", wav, RATE)
    sound = read_sound(tmp_path / f"a.{suffix}")
    assert level_db(sound.wav, wav[:, channel]) == pytest.approx(0, abs=0.05)
    assert sound.notes == (f"took only channel {channel + 1} of 6, because the others cancel it or are silent",)


def test_the_centre_of_5_1_counts_one_among_others(tmp_path):
    wav = np.random.default_rng(0).standard_normal((RATE, 6)).astype(np.float32) * np.float32(2e-3)
    wav[:, 2] += speech()
    soundfile.write(tmp_path / "a.flac", wav, RATE)
    sound = read_sound(tmp_path / "a.flac")
    assert level_db(sound.wav, speech()) == pytest.approx(0, abs=0.1) and sound.notes == ()


def test_arrays_are_mixed_by_the_same_rules():
    from facevc_cli.conversion.recordings import load_recording

    wav = speech()
    assert level_db(load_recording((np.stack([wav, -wav], 1), RATE), RATE), wav) == pytest.approx(0, abs=0.01)
    assert level_db(load_recording((0.5 * wav + 0.4, RATE), RATE), 0.5 * wav) == pytest.approx(0, abs=0.05)
    stereo = np.stack([wav, 0.5 * wav], 1)
    assert np.array_equal(load_recording((stereo, RATE), RATE), stereo.mean(axis=1))


# --- offsets


@pytest.mark.parametrize("offset", [0.4, -0.4, 0.05])
@pytest.mark.parametrize("rate", [RATE, 48000])
def test_an_offset_is_taken_out(tmp_path, offset, rate):
    wav = speech(1.5, rate) * 0.5
    soundfile.write(tmp_path / "a.wav", wav + offset, rate)
    found, _ = load_audio(tmp_path / "a.wav", RATE)
    assert level_db(found, resample(wav - wav.mean(), rate, RATE)) == pytest.approx(0, abs=0.05)
    assert abs(found.mean()) < 1e-4 and np.abs(found).max() < np.abs(wav).max() * 1.05


@pytest.mark.parametrize("kind", ["half", "ramp", "slow"])
def test_an_offset_that_wanders_is_taken_out(tmp_path, kind):
    wav = speech(3.0) * 0.5
    time_s = np.arange(len(wav)) / RATE
    added = {"half": 0.3 * (time_s > 1.5), "ramp": 0.15 * time_s, "slow": 0.3 * np.sin(np.pi * time_s)}[kind]
    soundfile.write(tmp_path / "a.wav", wav + added, RATE, "FLOAT")
    found, _ = load_audio(tmp_path / "a.wav")
    settled = (time_s > 0.1) & (np.abs(time_s - 1.5) > 0.15)  # a step is heard
    assert level_db(found[settled], wav[settled]) == pytest.approx(0, abs=0.3)


def test_a_small_offset_and_a_short_piece_stay(tmp_path):
    for name, wav in (("a.wav", speech() + 1e-3), ("b.wav", np.full(100, 0.5, np.float32))):
        soundfile.write(tmp_path / name, wav, RATE, "FLOAT")
        assert np.array_equal(load_audio(tmp_path / name)[0], wav.astype(np.float32))


def test_channels_with_offsets_that_cancel(tmp_path):
    wav = speech() * 0.5
    soundfile.write(tmp_path / "a.wav", np.stack([wav + 0.4, 0.4 - wav], 1), RATE)
    assert level_db(load_audio(tmp_path / "a.wav")[0], wav) == pytest.approx(0, abs=0.05)


def test_silence_stays_silence_and_sound_never_becomes_one(tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros((RATE, 2)), RATE)
    assert not load_audio(tmp_path / "silent.wav")[0].any()
    ultrasound = 0.5 * np.sin(2 * np.pi * 40_000 * np.arange(96_000) / 96_000)
    soundfile.write(tmp_path / "bats.wav", ultrasound, 96_000)
    with pytest.raises(FaceVCError, match=r"bats\.wav: the file has sound, but nothing of it is left at 16000 Hz"):
        load_audio(tmp_path / "bats.wav", RATE)


# --- tracks


def test_the_first_track_that_is_not_silent_is_taken(tmp_path):
    wav, silence = speech()[None], np.zeros((1, RATE), np.float32)
    hiss = (np.random.default_rng(0).standard_normal((1, RATE)) * 3e-4).astype(np.float32)
    for name, before, number in (("a.mkv", [silence], 2), ("b.mov", [silence, silence], 3), ("c.mkv", [hiss], 2)):
        sound = read_sound(mux(tmp_path / name, [(track, 0.0) for track in (*before, wav)]))
        assert level_db(sound.wav, wav) == pytest.approx(0, abs=0.05)
        assert sound.notes == (f"sound track {number} of {len(before) + 1} was taken: those before it are silent",)


def test_of_two_languages_the_first_is_taken(tmp_path):
    wav = speech()[None]
    sound = read_sound(mux(tmp_path / "a.mkv", [(wav, 0.0), (wav[:, ::-1], 0.0)]))
    np.testing.assert_allclose(sound.wav, wav[0], atol=1e-4)
    assert sound.notes == ()
    assert not read_sound(mux(tmp_path / "b.mkv", [(0 * wav, 0.0), (0 * wav, 0.0)])).wav.any()


# --- time


@pytest.mark.parametrize("suffix", ["mkv", "mov"])
def test_sound_that_begins_late_stays_under_its_picture(tmp_path, suffix):
    wav = speech(2.0)
    found, _ = load_audio(mux(tmp_path / f"a.{suffix}", [(wav[None], 1.0)], picture_s=3.0))
    assert abs(len(found) - 3 * RATE) <= 32
    assert not found[: RATE - 32].any()
    assert level_db(found, wav) == pytest.approx(0, abs=0.05)


def test_missing_packets_are_silence(tmp_path):
    wav = speech(3.0)
    found, _ = load_audio(mux(tmp_path / "a.mkv", [(wav[None], 0.0)], picture_s=3.0, drop=[(1.0, 1.5), (2.0, 2.1)]))
    assert abs(len(found) - 3 * RATE) <= 32
    assert not found[round(1.01 * RATE) : round(1.49 * RATE)].any()
    np.testing.assert_allclose(found[round(2.2 * RATE) : 46000], wav[round(2.2 * RATE) : 46000], atol=0.02)


def test_inexact_time_stamps_change_nothing(tmp_path):
    wav = speech(2.0)
    random = np.random.default_rng(0)
    found, _ = load_audio(
        mux(
            tmp_path / "a.mkv",
            [(wav[None], 0.0)],
            picture_s=2.0,
            stamp=lambda time_s: time_s + random.uniform(0, 0.018),
        )
    )
    assert len(found) == 2 * RATE
    np.testing.assert_allclose(found, wav, atol=1e-4)


@pytest.mark.parametrize("picture_s", [0.0, 2.0])
def test_hours_of_gap_are_not_believed(tmp_path, picture_s):
    wav = speech(2.0)
    path = mux(
        tmp_path / "a.mkv",
        [(wav[None], 0.0)],
        picture_s=picture_s,
        stamp=lambda time_s: time_s + 5 * 3600 * (time_s >= 1),
    )
    found, _ = load_audio(path)
    assert len(found) == 2 * RATE


# --- length


def endless_webm(path: Path, hours: float) -> Path:
    """As browsers record: no duration in the header. The same packet of Opus over and over."""

    class Pipe(io.RawIOBase):
        def __init__(self):
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return False

        def write(self, data) -> int:
            self.data += data
            return len(data)

    pipe = Pipe()
    with av.open(pipe, "w", format="webm", options={"live": "1"}) as container:
        stream = container.add_stream("libopus", rate=48000, layout="mono", options={"frame_duration": "60"})
        packets = []
        for i in range(3):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 2880), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = 48000, Fraction(1, 48000), i * 2880
            packets += stream.encode(frame)
        for i in range(round(hours * 3600 / 0.06)):
            packet = av.Packet(bytes(packets[-1]))
            packet.stream, packet.time_base, packet.duration = stream, Fraction(1, 48000), 2880
            packet.pts = packet.dts = i * 2880
            container.mux(packet)
    path.write_bytes(pipe.data)
    return path


def test_a_webm_without_a_duration_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = endless_webm(tmp_path / "a.webm", 0.1)
    assert av.open(str(path)).duration is None
    monkeypatch.setattr("facevc_cli.files.sound._gather", None)
    with pytest.raises(FaceVCError, match=r"a\.webm: longer than 300 seconds"):
        load_audio(path, longest_s=300)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mkv"])
def test_more_than_the_longest_is_refused_and_less_is_not(tmp_path, name):
    if name == "a.mkv":
        mux(tmp_path / name, [(speech(2.0)[None], 0.0)])
    else:
        soundfile.write(tmp_path / name, speech(2.0), RATE)
    assert len(load_audio(tmp_path / name, longest_s=2.0)[0]) == 2 * RATE
    with pytest.raises(FaceVCError, match=r"longer than 1\.9 seconds"):
        load_audio(tmp_path / name, longest_s=1.9)


def test_a_header_that_says_too_little_is_found_out_while_decoding(tmp_path, monkeypatch):
    mux(tmp_path / "a.mkv", [(speech(2.0)[None], 0.0)])
    monkeypatch.setattr("facevc_cli.files.tracks.ContainerTrack.is_longer", lambda *_: False)
    with pytest.raises(FaceVCError, match=r"longer than 1 seconds"):
        load_audio(tmp_path / "a.mkv", longest_s=1.0)


def test_eight_channels_need_the_memory_of_one(tmp_path):
    with soundfile.SoundFile(tmp_path / "a.flac", "w", 96000, 8, "PCM_16") as file:
        for _ in range(9):
            file.write(np.zeros((96000 * 10, 8), np.int16))  # 90 s: 280 MB as floats
    code = f"""
import resource
from facevc_cli.files.audio import load_audio
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
wav, _ = load_audio({str(tmp_path / "a.flac")!r}, 16000)
print(len(wav), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    samples, megabytes = map(
        int, subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.split()
    )
    assert samples == 90 * RATE and megabytes < 80


# --- headers


def riff(
    pcm: bytes, bits: int, kind: int, told: int, *, rf64: bool = False, extensible: bool = False, tail: bytes = b""
) -> bytes:
    size = bits // 8
    fmt = struct.pack("<HHIIHH", 0xFFFE if extensible else kind, 1, RATE, RATE * size, size, bits)
    if extensible:
        fmt += struct.pack("<HHIH", 22, bits, 4, kind) + bytes.fromhex("000000001000800000aa00389b71")
    chunks = b"WAVE" + (b"ds64" + struct.pack("<IQQQI", 28, 0, 0, 0, 0) if rf64 else b"")
    chunks += b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", told) + pcm + tail
    return (b"RF64" if rf64 else b"RIFF") + struct.pack("<I", 0xFFFFFFFF if rf64 else 0) + chunks


@pytest.mark.parametrize("told", [0, 0xFFFFFFFF, 10**9])
@pytest.mark.parametrize("bits, kind", [(8, 1), (16, 1), (24, 1), (32, 3), (64, 3)])
@pytest.mark.parametrize("form", ["plain", "extensible", "rf64"])
def test_a_wav_whose_header_was_never_finished_is_heard_whole(tmp_path, told, bits, kind, form):
    wav = speech(0.5)
    if kind == 3:
        pcm = wav.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        pcm = np.round(wav * 127 + 128).astype(np.uint8).tobytes()
    else:
        scaled = np.round(wav * (2 ** (bits - 1) - 1)).astype("<i4")
        pcm = scaled.view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()
    (tmp_path / "a.wav").write_bytes(riff(pcm, bits, kind, told, rf64=form == "rf64", extensible=form == "extensible"))
    found, rate = load_audio(tmp_path / "a.wav")
    assert (len(found), rate) == (len(wav), RATE)
    np.testing.assert_allclose(found, wav, atol=0.01 if bits == 8 else 1e-4)


def test_a_wav_that_says_rightly_that_it_is_empty(tmp_path):
    (tmp_path / "a.wav").write_bytes(riff(b"", 16, 1, 0, tail=b"LIST" + struct.pack("<I", 4) + b"INFO"))
    with pytest.raises(FaceVCError, match="no samples"):
        load_audio(tmp_path / "a.wav")


def test_a_flac_that_does_not_know_its_length_and_an_au(tmp_path):
    soundfile.write(tmp_path / "a.flac", speech(), RATE)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    for told in (0, 2**36 - 1):
        data[18:26] = ((int.from_bytes(data[18:26], "big") >> 36 << 36) | told).to_bytes(8, "big")
        (tmp_path / "b.flac").write_bytes(data)
        np.testing.assert_allclose(load_audio(tmp_path / "b.flac")[0], speech(), atol=1e-4)
    soundfile.write(tmp_path / "a.au", speech(), RATE)
    data = bytearray((tmp_path / "a.au").read_bytes())
    data[8:12] = bytes(4)
    (tmp_path / "a.au").write_bytes(data)
    np.testing.assert_allclose(load_audio(tmp_path / "a.au")[0], speech(), atol=1e-4)


@pytest.mark.parametrize("told, tolerance", [(2**31, 2000), (3, 2000)])
def test_an_mp3_whose_header_lies(tmp_path, told, tolerance):
    soundfile.write(tmp_path / "a.mp3", speech(2.0), RATE)
    data = bytearray((tmp_path / "a.mp3").read_bytes())
    at = max(data.find(b"Xing"), data.find(b"Info"))
    assert at > 0
    data[at + 8 : at + 12] = struct.pack(">I", told)
    (tmp_path / "a.mp3").write_bytes(data)
    found, _ = load_audio(tmp_path / "a.mp3")
    assert abs(len(found) - 2 * RATE) < tolerance
    assert level_db(found, speech(2.0)) == pytest.approx(0, abs=0.3)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_files_behind_each_other_are_all_heard(tmp_path, subtype):
    parts = b""
    for seconds in (1.0, 0.5):
        part = io.BytesIO()
        soundfile.write(part, speech(seconds), RATE, format="OGG", subtype=subtype)
        parts += part.getvalue()
    (tmp_path / "a.ogg").write_bytes(parts)
    assert len(load_audio(tmp_path / "a.ogg", RATE)[0]) / RATE == pytest.approx(1.5, abs=0.05)


def test_a_wav_of_no_channels_is_an_error(tmp_path):
    data = bytearray(riff(bytes(100), 16, 1, 100))
    data[22:24] = bytes(2)
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(FaceVCError, match=r"a\.wav"):
        load_audio(tmp_path / "a.wav")


# --- full scale


def test_floats_above_1_are_kept_and_scaled_for_integers(tmp_path):
    wav = speech() / np.abs(speech()).max() * 2.5
    soundfile.write(tmp_path / "a.wav", wav, RATE, "FLOAT")
    sound = read_sound(tmp_path / "a.wav")
    assert np.array_equal(sound.wav, wav.astype(np.float32)) and sound.peak == 2.5
    fitted = fit_full_scale(sound)
    np.testing.assert_allclose(fitted.wav, wav / 2.5, atol=1e-6)
    assert fitted.notes == ("scaled by -8.0 dB: its samples go up to 2.50",)
    soundfile.write(tmp_path / "b.wav", wav / 2.5, RATE)
    sound = read_sound(tmp_path / "b.wav", 44100)
    assert fit_full_scale(sound) is sound  # 16 bits, whatever resampling adds
