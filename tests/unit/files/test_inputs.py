"""files/inputs.py: from what is named to ids and speakers."""

import os
from pathlib import Path

import pytest
from helpers.folders import touch

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.inputs import (
    AUDIO_SUFFIXES,
    IMAGE_SUFFIXES,
    SpeakerRule,
    find_files,
    find_inputs,
    join_inside,
    parse_shard,
)


def test_folder_is_searched_sorted_and_ids_keep_any_character(tmp_path):
    names = ["b/2.wav", "b/1.FLAC", "a/x_-1.2 (ü).wav", "top.wav"]
    touch(*(tmp_path / n for n in names), tmp_path / "b/notes.txt", tmp_path / "b/.hidden.wav")
    found = find_inputs([tmp_path], AUDIO_SUFFIXES)
    assert [i.id for i in found] == ["a/x_-1.2 (ü)", "b/1", "b/2", "top"]
    assert [i.speaker for i in found] == ["a", "b", "b", tmp_path.name]


def test_files_and_lists(tmp_path):
    touch(tmp_path / "a/1.wav", tmp_path / "b/2.odd")
    (tmp_path / "list.txt").write_text("\ufeffa/1.wav\n\n b/2.odd \n", encoding="utf-8")
    assert [i.id for i in find_inputs([f"@{tmp_path}/list.txt"], AUDIO_SUFFIXES)] == ["1", "2"]
    assert [i.speaker for i in find_inputs([tmp_path / "b/2.odd"], AUDIO_SUFFIXES)] == ["b"]


def test_the_same_file_named_twice_counts_once(tmp_path):
    touch(tmp_path / "1.wav")
    assert len(find_files([tmp_path, tmp_path / "1.wav"], AUDIO_SUFFIXES)) == 1


def test_collisions_nothing_and_missing_paths_are_errors(tmp_path):
    touch(tmp_path / "a/1.wav", tmp_path / "b/1.wav", tmp_path / "c/1.wav", tmp_path / "c/1.flac")
    for sources in (
        [tmp_path / "a", tmp_path / "b"],
        [tmp_path / "a/1.wav", tmp_path / "c/1.flac"],
        [tmp_path / "a", tmp_path / "c"],
    ):
        with pytest.raises(FaceVCError, match="would both be called '1'.*common parent folder"):
            find_files(sources, AUDIO_SUFFIXES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FaceVCError, match=r"holds no sound file \(\.wav, \.flac, \.mp3 and the like\)\. Name files"):
        find_files([tmp_path / "empty"], AUDIO_SUFFIXES)
    with pytest.raises(FaceVCError, match=r"no picture \(.*\) and no file ending in \.safetensors\. Name files"):
        find_files([tmp_path / "empty"], IMAGE_SUFFIXES | {".safetensors"})
    with pytest.raises(FaceVCError, match="no such file or folder"):
        find_files([tmp_path / "absent"], AUDIO_SUFFIXES)
    with pytest.raises(FaceVCError, match="found an address on the network. Download it first"):
        find_files([Path("https://example.org/face.jpg")], IMAGE_SUFFIXES)
    with pytest.raises(FaceVCError, match="cannot be read"):
        find_files([f"@{tmp_path}/absent.txt"], AUDIO_SUFFIXES)


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    try:
        Path(os.fsdecode(bytes(tmp_path) + b"/\xff.wav")).touch()
    except OSError:
        pytest.skip("this file system allows UTF-8 names only")
    with pytest.raises(FaceVCError, match="not UTF-8"):
        find_files([tmp_path], AUDIO_SUFFIXES)


def test_speakers_by_pattern(tmp_path):
    touch(tmp_path / "wavs/s01_a.wav")
    rule = SpeakerRule.from_options(r"^(s\d+)_", None)
    assert find_inputs([tmp_path], AUDIO_SUFFIXES, SpeakerRule.from_options(r"/(s\d+)_", None))[0].speaker == "s01"
    with pytest.raises(FaceVCError, match="does not match"):
        find_inputs([tmp_path], AUDIO_SUFFIXES, rule)
    for pattern, fault in (("(", "not a regular expression"), ("s01", "has no group")):
        with pytest.raises(FaceVCError, match=fault):
            SpeakerRule.from_options(pattern, None)


def test_speakers_by_table(tmp_path):
    touch(tmp_path / "wavs/1.wav")
    table = tmp_path / "speakers.csv"
    table.write_text("utterance,speaker\n1,Anna B.\n")
    assert (
        find_inputs([tmp_path / "wavs"], AUDIO_SUFFIXES, SpeakerRule.from_options(None, table))[0].speaker == "Anna B."
    )
    touch(tmp_path / "wavs/2.wav")
    with pytest.raises(FaceVCError, match="no row for the utterance '2'"):
        find_inputs([tmp_path / "wavs"], AUDIO_SUFFIXES, SpeakerRule.from_options(None, table))
    for text, fault in (("utterance,speaker\n", "no rows"), ("utterance\n1\n", "speaker is missing")):
        table.write_text(text)
        with pytest.raises(FaceVCError, match=fault):
            SpeakerRule.from_options(None, table)


def test_a_link_stands_in_the_folder_it_is_put_under(tmp_path):
    touch(tmp_path / "pool/x.wav")
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna/1.wav").symlink_to(tmp_path / "pool/x.wav")
    assert find_inputs([tmp_path / "anna"], AUDIO_SUFFIXES)[0].speaker == "anna"


def test_speaker_of_a_bare_name_is_the_working_folder(tmp_path, monkeypatch):
    touch(tmp_path / "anna/1.wav")
    monkeypatch.chdir(tmp_path / "anna")
    assert find_inputs(["1.wav"], AUDIO_SUFFIXES)[0].speaker == "anna"


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/2/3", "-1/2"])
def test_bad_shards_are_refused(shard):
    with pytest.raises(FaceVCError, match="expected I/N"):
        parse_shard(shard)


def test_shards():
    assert (parse_shard(None), parse_shard("2/4")) == ((1, 1), (2, 4))


def test_names_from_data_stay_in_the_folder(tmp_path):
    assert join_inside(tmp_path, "a/..b.wav") == tmp_path / "a/..b.wav"
    for name in ("../x.wav", "a/../../x.wav", "/etc/x.wav"):
        with pytest.raises(FaceVCError, match="leads outside"):
            join_inside(tmp_path, name)
