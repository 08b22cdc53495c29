"""files/audio_part.py: parts of recordings whose headers are wrong, and the same bytes for the same part."""

import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files import audio_part
from facevc_cli.files.audio import load_audio
from facevc_cli.files.audio_part import cut_part
from facevc_cli.files.packed import Part

RATE = 8000


WAV = (0.5 * np.sin(np.arange(2 * RATE) ** 2 / 1e5)).astype(np.float32)  # no two parts are alike


@pytest.fixture
def chirp(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.flac", WAV, RATE, subtype="PCM_24")
    return tmp_path / "a.flac"


def announce(path: Path, samples: int) -> None:
    """Changes the number of samples in the header of a FLAC file."""
    content = bytearray(path.read_bytes())
    fields = int.from_bytes(content[18:26], "big")
    content[18:26] = (fields >> 36 << 36 | samples).to_bytes(8, "big")
    path.write_bytes(content)


def test_a_header_that_announces_too_much_takes_no_memory(chirp: Path, tmp_path: Path):
    announce(chirp, (1 << 36) - 1)
    with pytest.raises(FaceVCError, match="at most 8,589,934,592 bytes"):
        cut_part(chirp, Part(0, 1e6), tmp_path / "p.w64")
    with pytest.raises(FaceVCError):  # libsndfile may find the end, or take it for damage
        cut_part(chirp, Part(0, 3000), tmp_path / "p.w64")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1_000_000


def test_what_is_no_recording(tmp_path: Path):
    for name in ("a.raw", "a.wav", "a.mp4"):
        (tmp_path / name).write_bytes(bytes(1000))
        with pytest.raises(FaceVCError, match=name):
            cut_part(tmp_path / name, Part(0, 1), tmp_path / "p.w64")


def test_a_disk_without_room(chirp: Path):
    with pytest.raises(FaceVCError, match="no temporary copy of a part.*TMPDIR"):
        cut_part(chirp, Part(0, 1), Path("/absent/p.w64"))


def test_the_same_part_is_the_same_file(chirp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its hash says whether an item is done, also if the storage tells no version."""
    first = cut_part(chirp, Part(0.5, 0.25), tmp_path / "p.w64").read_bytes()
    time.sleep(1.1)  # a wav of floats holds the second of its making
    monkeypatch.setattr(audio_part, "BLOCK_SAMPLES", 300)
    assert cut_part(chirp, Part(0.5, 0.25), tmp_path / "q.w64").read_bytes() == first
    wav, rate = load_audio(tmp_path / "p.w64")
    assert rate == RATE and np.allclose(wav, WAV[4000:6000], atol=1e-6)


def test_a_format_that_only_ffmpeg_knows(tmp_path: Path):
    with av.open(str(tmp_path / "a.mka"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.int16(32767 * WAV)[None], "s16", "mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
    cut_part(tmp_path / "a.mka", Part(0.5, 0.25), tmp_path / "p.w64")
    assert np.allclose(soundfile.read(tmp_path / "p.w64")[0], WAV[4000:6000], atol=1e-3)
