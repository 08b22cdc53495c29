"""files/container.py: one file is opened, and no other; names are names."""

import os
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from helpers.sounds import mux, speech

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.audio import load_audio
from facevc_cli.files.container import open_container
from facevc_cli.files.video import iterate_frames

LISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{other}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{other}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet '
    'mimeType="audio/mp4"><Representation id="1" '
    'bandwidth="1"><BaseURL>{other}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
}


@pytest.mark.parametrize("suffix", ["mp4", "wav", "mp3", "m3u8"])
@pytest.mark.parametrize("kind", LISTS)
def test_lists_open_no_other_file(tmp_path, kind, suffix):
    other = tmp_path / "other.mp3"
    soundfile.write(other, speech(), 16000)
    os.utime(other, (1, 1))  # its time of access tells whether it was read, where the file system keeps that
    before = other.stat().st_atime_ns
    (tmp_path / f"list.{suffix}").write_text(LISTS[kind].format(other=other))
    for read in (load_audio, lambda path: list(iterate_frames(path))):
        with pytest.raises(FaceVCError, match=rf"list\.{suffix}"):
            read(tmp_path / f"list.{suffix}")
    assert other.stat().st_atime_ns == before


def test_a_file_that_may_not_be_read_is_an_error_of_that_file(tmp_path, monkeypatch):
    """Not of the whole batch: the others are still converted."""
    path, really_open = tmp_path / "locked.wav", Path.open
    soundfile.write(path, speech(), 16000)

    def forbid(one, *given, **options):
        if one == path:
            raise PermissionError(13, "Permission denied")
        return really_open(one, *given, **options)

    monkeypatch.setattr(Path, "open", forbid)
    for read in (load_audio, lambda path: list(iterate_frames(path))):
        with pytest.raises(FaceVCError, match=r"locked\.wav: the file cannot be read \(Permission denied\)"):
            read(path)


@pytest.mark.parametrize(
    "name",
    ["12:30.mp4", "http:x.mkv", "concat:a|b.mkv", "file:x.mkv", "pipe:0.mkv", "%03d.mkv", "data:audio,x.mkv", "-"],
)
def test_a_name_is_never_an_address(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mux(tmp_path / "a.mkv", [(speech()[None], 0.0)]).rename(tmp_path / name)
    wav, _ = load_audio(name)
    np.testing.assert_allclose(wav, speech(), atol=1e-4)


def test_patches_are_read_in_place_of_what_is_there(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.arange(100, dtype=np.int16), 8000)
    with open_container(tmp_path / "a.wav", {44: b"\x39\x30", 242: b"\x01\x00"}) as container:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert samples[0] == 12345 and samples[99] == 1 and list(samples[1:99]) == list(range(1, 99))


def test_references_out_of_a_mov_are_not_followed(tmp_path):
    mux(tmp_path / "a.mov", [(speech()[None], 0.0)])
    data = bytearray((tmp_path / "a.mov").read_bytes())
    at = data.index(b"url ")  # the data reference: "in this file"
    data[at + 4 : at + 8] = bytes(4)  # "elsewhere"
    (tmp_path / "b.mov").write_bytes(data)
    with open_container(tmp_path / "b.mov") as container:
        assert isinstance(container, av.container.InputContainer)
