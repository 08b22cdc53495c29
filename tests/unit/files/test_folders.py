"""files/folders.py, files/names.py and files/inputs.py: folders as people have them."""

import os
import unicodedata
from pathlib import Path

import pytest
from helpers.folders import touch
from helpers.reporters import Notes

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.folders import PassedOver, walk_files
from facevc_cli.files.inputs import (
    AUDIO_SUFFIXES,
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    SpeakerRule,
    find_files,
    find_inputs,
    list_files,
)
from facevc_cli.files.names import find_real_path, index_by_name, look_up

NFC = unicodedata.normalize("NFC", "José")
NFD = unicodedata.normalize("NFD", "José")


def ids(*sources: Path | str, suffixes: frozenset[str] = AUDIO_SUFFIXES) -> list[str]:
    return [identifier for _, identifier in find_files(sources, suffixes)]


def link(path: Path, target: Path | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def test_linked_folders_are_searched_and_loops_are_not(tmp_path):
    touch(tmp_path / "pool/a/001.wav", tmp_path / "pool/b/001.wav")
    for name in "ab":
        link(tmp_path / "linked" / name, Path("../pool") / name)
    link(tmp_path / "linked/loop", "..")
    link(tmp_path / "linked/self", "self")
    link(tmp_path / "pool/a/back", tmp_path / "pool")
    found = find_inputs([tmp_path / "linked"], AUDIO_SUFFIXES)
    assert [(i.id, i.speaker) for i in found] == [("a/001", "a"), ("b/001", "b")]


def test_two_links_to_one_folder_are_two_speakers(tmp_path):
    touch(tmp_path / "pool/001.wav")
    for name in "ab":
        link(tmp_path / "in" / name, tmp_path / "pool")
    assert ids(tmp_path / "in") == ["a/001", "b/001"]


def test_folders_that_all_link_to_each_other_end_soon(tmp_path):
    names = [f"{i:02}" for i in range(8)]
    for name in names:
        touch(tmp_path / name / "1.wav")
        for other in names:
            if other != name:
                link(tmp_path / name / other, tmp_path / other)
    found = ids(tmp_path)
    assert set(f"{name}/1" for name in names) <= set(found)
    assert len(found) <= 8**3  # and not the 8! ways through them


def test_a_link_to_a_folder_above_its_own_place_is_cut(tmp_path):
    touch(tmp_path / "other/x/y/1.wav", tmp_path / "other/2.wav")
    link(tmp_path / "other/x/y/up", tmp_path / "other/x")
    link(tmp_path / "root/a", tmp_path / "other/x/y")
    assert ids(tmp_path / "root") == ["a/1"]


@pytest.mark.parametrize(
    "name",
    [
        ".ipynb_checkpoints",
        ".Trash-1000",
        ".thumbnails",
        "@eaDir",
        "__MACOSX",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        "#recycle",
        ".git",
        "Desktop.ini",
        "Thumbs.db",
    ],
)
def test_hidden_and_system_folders_are_not_searched(tmp_path, name):
    touch(tmp_path / "anna/a.wav", tmp_path / "anna" / name / "a.wav", tmp_path / name / "files/b.wav")
    passed = PassedOver()
    assert [path.name for path in walk_files(tmp_path, AUDIO_SUFFIXES, passed)] == ["a.wav"]
    assert passed.list_notes() == []


def test_hidden_files_are_left_out_unless_named(tmp_path):
    touch(tmp_path / ".pool/a.wav", tmp_path / ".pool/._a.wav", tmp_path / ".pool/.b.wav")
    assert ids(tmp_path / ".pool") == ["a"]  # a hidden folder that is named is searched
    assert ids(tmp_path / ".pool/.b.wav") == [".b"]


def test_what_is_passed_over_is_told_in_one_note(tmp_path):
    touch(*(tmp_path / f"a/{i}.txt" for i in range(10)), tmp_path / "b.PDF", tmp_path / "c.pdf", tmp_path / "1.WAV")
    told = Notes()
    find_files([tmp_path], AUDIO_SUFFIXES, told)
    assert told.notes == [f"{tmp_path}: 12 files of other kinds were passed over (.txt 10, .pdf 2)"]
    told = Notes()
    list_files([tmp_path / "1.WAV"], AUDIO_SUFFIXES, told)
    assert told.notes == []
    (tmp_path / "1.WAV").unlink()
    with pytest.raises(FaceVCError, match=r"holds no sound file .* \(12 files of other kinds were passed over"):
        find_files([tmp_path], AUDIO_SUFFIXES)


def test_links_to_nothing_and_folders_that_cannot_be_read_are_told(tmp_path, monkeypatch):
    touch(tmp_path / "1.wav", tmp_path / "closed/2.wav")
    link(tmp_path / "gone.wav", "nowhere.wav")
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    told = Notes()
    assert [identifier for _, identifier in find_files([tmp_path], AUDIO_SUFFIXES, told)] == ["1"]
    assert told.notes == [
        f"{tmp_path}: 1 link leads nowhere, such as {tmp_path / 'gone.wav'}",
        f"{tmp_path}: 1 folder cannot be read, such as {tmp_path / 'closed'}",
    ]
    with pytest.raises(FaceVCError, match="Permission denied"):
        find_files([tmp_path / "closed"], AUDIO_SUFFIXES)


def test_every_kind_that_is_read_is_taken_out_of_folders():
    sound = "wav wave flac ogg oga opus mp3 m4a m4b aac aif aiff aifc au snd caf w64 rf64 amr wma mka mp2 ac3"
    video = "mp4 m4v mov mkv webm avi mpg mpeg m2ts mts ts 3gp 3g2 flv wmv ogv vob"
    pictures = "jpg jpeg jpe jfif png webp bmp gif tif tiff avif mpo jp2 j2k heic heif ppm pgm"
    for names, suffixes in ((sound, AUDIO_SUFFIXES), (video, VIDEO_SUFFIXES), (pictures, IMAGE_SUFFIXES)):
        assert {f".{name}" for name in names.split()} <= suffixes
    assert not AUDIO_SUFFIXES & VIDEO_SUFFIXES and not IMAGE_SUFFIXES & (AUDIO_SUFFIXES | VIDEO_SUFFIXES)


def test_files_that_differ_in_the_suffix_alone_are_told_apart(tmp_path):
    touch(tmp_path / "IMG_1.jpg", tmp_path / "IMG_1.png", tmp_path / "IMG_2.jpg", tmp_path / "x/IMG_1.jpg")
    expected = ["IMG_1.jpg", "IMG_1.png", "IMG_2", "x/IMG_1"]
    assert ids(tmp_path, suffixes=IMAGE_SUFFIXES) == expected
    named = [tmp_path / "IMG_1.jpg", tmp_path / "IMG_1.png"]
    assert ids(*named, suffixes=IMAGE_SUFFIXES) == ["IMG_1.jpg", "IMG_1.png"]
    touch(tmp_path / "live/IMG_3.heic", tmp_path / "live/IMG_3.mov")
    assert ids(tmp_path / "live", suffixes=IMAGE_SUFFIXES | VIDEO_SUFFIXES) == ["IMG_3.heic", "IMG_3.mov"]
    assert ids(tmp_path / "live", suffixes=IMAGE_SUFFIXES) == ["IMG_3"]


def test_a_name_that_is_told_apart_meets_no_other(tmp_path):
    touch(tmp_path / "a.wav", tmp_path / "a.flac", tmp_path / "a.wav.flac")
    assert sorted(ids(tmp_path)) == ["a.flac", "a.wav", "a.wav.flac"]


def test_accents_are_one_name_whichever_way_they_are_written(tmp_path):
    touch(tmp_path / NFD / f"{NFD}.wav")
    ((path, identifier),) = find_files([tmp_path], AUDIO_SUFFIXES)
    assert identifier == f"{NFC}/{NFC}" and path.name == f"{NFD}.wav" and path.is_file()
    table = tmp_path / "speakers.csv"
    for form in (NFC, NFD):
        table.write_text(f"utterance,speaker\n{form}/{form},{form}\n", encoding="utf-8")
        found = find_inputs([tmp_path], AUDIO_SUFFIXES, SpeakerRule.from_options(None, table))
        assert [(i.id, i.speaker) for i in found] == [(f"{NFC}/{NFC}", NFC)]
    assert [path.is_file() for path, _ in find_files([tmp_path / NFC / f"{NFC}.wav"], AUDIO_SUFFIXES)] == [True]
    (tmp_path / "list.txt").write_text(f"{NFC}/{NFC}.wav\n", encoding="utf-16")
    assert ids(f"@{tmp_path}/list.txt") == [NFC]


def test_two_files_that_differ_in_accents_alone_are_an_error(tmp_path):
    touch(tmp_path / f"{NFD}.wav", tmp_path / f"{NFC}.wav")
    if len(os.listdir(tmp_path)) < 2:
        pytest.skip("this file system takes both for one name")
    with pytest.raises(FaceVCError, match="differ only in how accents are written"):
        find_files([tmp_path], AUDIO_SUFFIXES)


def test_names_are_looked_up_with_and_without_blanks():
    found = index_by_name([(" a ", 1), ("b", 2), (NFD, 3)])
    assert [look_up(found, name) for name in (" a ", "a", "b ", NFC, "c")] == [1, 1, 2, 3, None]
    assert find_real_path(Path("absent")) == Path("absent")


def test_a_file_behind_two_links_counts_once_where_ids_do_not_matter(tmp_path):
    touch(tmp_path / "pool/1.jpg")
    link(tmp_path / "anna/1.jpg", tmp_path / "pool/1.jpg")
    link(tmp_path / "anna/copy", tmp_path / "pool")
    assert list_files([tmp_path / "anna"], IMAGE_SUFFIXES) == [tmp_path / "anna/1.jpg"]
