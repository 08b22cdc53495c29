"""Sound files that are written piece by piece."""

import numpy as np
import pytest
import soundfile

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.audio import check_audio_suffix, open_audio_writer


def test_a_wrong_suffix(tmp_path):
    with pytest.raises(FaceVCError, match="suffix"):
        check_audio_suffix(tmp_path / "a.mp3")
    with pytest.raises(FaceVCError, match="suffix"), open_audio_writer(tmp_path / "a.mp3", 16000):
        pass
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_failure(tmp_path):
    with pytest.raises(ZeroDivisionError), open_audio_writer(tmp_path / "a.wav", 16000) as write:
        write(np.zeros(100, np.float32))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FaceVCError), open_audio_writer(tmp_path / "file" / "a.wav", 16000):
        pass


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_pieces_become_one_file_with_a_comment(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    with open_audio_writer(path, 16000, "synthetic") as write:
        for level in (0.25, 2.0):
            write(np.full(1600, level, np.float32))
        assert not path.exists()
    with soundfile.SoundFile(path) as file:
        heard = file.read()
        assert (file.comment, file.samplerate, len(heard)) == ("synthetic", 16000, 3200)
    if suffix != "ogg":
        assert heard[800] == pytest.approx(0.25, abs=1e-4) and heard[2400] == pytest.approx(1.0, abs=1e-4)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
