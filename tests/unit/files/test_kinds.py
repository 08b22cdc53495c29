"""files/kinds.py: what a file is by its first bytes, and the messages that say so."""

import numpy as np
import pytest
from helpers.pictures import save_grey
from helpers.sounds import recording
from helpers.videos import write_video

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.audio import load_audio
from facevc_cli.files.image import load_image
from facevc_cli.files.kinds import name_kind


def test_what_is_neither_has_no_name(tmp_path):
    (tmp_path / "a.wav").write_text("no sound")
    (tmp_path / "empty.jpg").touch()
    assert [name_kind(tmp_path / name) for name in ("a.wav", "empty.jpg", "gone.png")] == ["", "", ""]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp", "a.gif", "a.tiff"])
def test_a_picture_is_no_recording(tmp_path, name):
    save_grey(tmp_path / name, 90)
    assert name_kind(tmp_path / name) == "a picture"
    with pytest.raises(FaceVCError, match="expected a video or sound file, found a picture"):
        load_audio(tmp_path / name)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_a_recording_is_no_picture(tmp_path, name):
    recording(tmp_path / name, 0.1)
    assert name_kind(tmp_path / name) == "a sound or video file"
    with pytest.raises(FaceVCError, match="expected an image .*, found a sound or video file"):
        load_image(tmp_path / name)


def test_a_video_is_no_picture(tmp_path):
    write_video(tmp_path / "a.mp4", [np.zeros((64, 64, 3), np.uint8)] * 3)
    assert name_kind(tmp_path / "a.mp4") == "a sound or video file"
    with pytest.raises(FaceVCError, match="found a sound or video file"):
        load_image(tmp_path / "a.mp4")
