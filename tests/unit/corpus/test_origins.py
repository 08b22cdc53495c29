"""corpus/origins.py: what counts as done in the extracting stages, and what a second run does with changed, moved and
other files.
"""

import os
import shutil
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
from helpers.reporters import Notes
from helpers.sounds import buzz, recording

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import Summary
from facevc_cli.corpus.store import Store
from facevc_cli.files import hashes
from facevc_cli.files.hashes import hash_file, stamp_file
from facevc_cli.files.tables import read_table
from facevc_cli.stages import extract_features, extract_wav


def features(output: Path, *sources: Path, told: Notes | None = None, **options: object) -> Summary:
    config = extract_features.ExtractFeaturesConfig(sources=sources, output=output / "f.h5", **{"jobs": 1, **options})  # type: ignore[arg-type]
    return extract_features.run(config, told or Notes())


def wavs(output: Path, *sources: Path, told: Notes | None = None, **options: object) -> Summary:
    config = extract_wav.ExtractWavConfig(sources=sources, output=output, **{"jobs": 1, **options})  # type: ignore[arg-type]
    return extract_wav.run(config, told or Notes())


def seconds_of(extract: object, output: Path) -> dict[str, float]:
    """Seconds by id."""
    if extract is wavs:
        return {row["utterance"]: round(float(row["duration"]), 2) for row in read_table(output / extract_wav.MANIFEST)}
    with Store(output / "f.h5") as store:
        return dict(zip(store.ids, np.round(store.read_column("seconds"), 2).tolist(), strict=True))


both = pytest.mark.parametrize("extract", [features, wavs])


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two speakers whose recordings have one name, of .3 and .5 s."""
    recording(tmp_path / "spk/a/001.flac", 0.3)
    recording(tmp_path / "spk/b/001.flac", 0.5, f0_hz=200)
    return tmp_path


@both
def test_another_file_of_a_known_id_is_an_error_that_names_both(corpus, extract):
    out = corpus / "out"
    assert extract(out, corpus / "spk/a").done == 1
    with pytest.raises(FaceVCError) as caught:
        extract(out, corpus / "spk/b")
    said = str(caught.value)
    assert str(corpus / "spk/a/001.flac") in said and str(corpus / "spk/b/001.flac") in said
    assert all(
        advice in said for advice in ("common parent folder", "--speaker-pattern", "another output", "--overwrite")
    )
    assert seconds_of(extract, out) == {"001": 0.3}
    assert extract(corpus / "both", corpus / "spk").done == 2
    assert seconds_of(extract, corpus / "both") == {"a/001": 0.3, "b/001": 0.5}
    assert extract(out, corpus / "spk/b", overwrite=True).done == 1
    assert seconds_of(extract, out) == {"001": 0.5}


@both
def test_the_same_inputs_twice_are_skipped_without_being_read(corpus, extract, monkeypatch):
    out = corpus / "out"
    monkeypatch.setattr(hashes, "COARSEST_CLOCK_S", 0.0)
    assert extract(out, corpus / "spk").done == 2
    read: list[Path] = []
    monkeypatch.setattr("facevc_cli.corpus.origins.hash_readable_file", lambda path: read.append(path) or "")
    summary = extract(out, corpus / "spk")
    assert (summary.done, summary.skipped, read) == (0, 2, [])


@both
def test_a_file_recorded_anew_under_its_name_is_extracted_anew(corpus, extract):
    out, told = corpus / "out", Notes()
    extract(out, corpus / "spk")
    before = (corpus / "spk/a/001.flac").stat()
    soundfile.write(corpus / "spk/a/001.flac", buzz(0.7), 16000)
    os.utime(corpus / "spk/a/001.flac", ns=(before.st_atime_ns, before.st_mtime_ns))
    summary = extract(out, corpus / "spk", told=told)
    assert (summary.done, summary.skipped) == (1, 1)
    assert any("1 file changed" in note and "spk/a/001.flac" in note for note in told.notes)
    assert seconds_of(extract, out) == {"a/001": 0.7, "b/001": 0.5}
    assert extract(out, corpus / "spk").skipped == 2


@both
def test_equal_size_and_time_do_not_hide_other_content(corpus, extract):
    """As with `convert`, which reads every file."""
    path, out = corpus / "spk/a/001.wav", corpus / "out"
    recording(path, 0.3)
    (corpus / "spk/a/001.flac").unlink()
    extract(out, corpus / "spk")
    size, before = path.stat().st_size, path.stat()
    recording(path, 0.3, f0_hz=240)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (size, before.st_mtime_ns)
    assert extract(out, corpus / "spk").done == 1


@both
def test_a_moved_file_of_the_same_content_is_done(corpus, extract):
    out = corpus / "out"
    extract(out, corpus / "spk")
    shutil.copytree(corpus / "spk", corpus / "elsewhere/deep")
    assert extract(out, corpus / "elsewhere/deep").skipped == 2  # a copy, while the first is still there
    shutil.rmtree(corpus / "spk")
    assert extract(out, corpus / "elsewhere/deep").skipped == 2
    (corpus / "elsewhere/deep/a").rename(corpus / "elsewhere/deep/c")
    (corpus / "elsewhere/deep/b").rename(corpus / "elsewhere/deep/a")
    with pytest.raises(FaceVCError, match="would be called 'a/001'"):
        extract(out, corpus / "elsewhere/deep")


@both
def test_the_same_recording_under_two_speakers_is_no_moved_file(corpus, extract):
    shutil.copy(corpus / "spk/a/001.flac", corpus / "spk/b/001.flac")
    extract(corpus / "out", corpus / "spk/a")
    with pytest.raises(FaceVCError, match="common parent folder"):
        extract(corpus / "out", corpus / "spk/b")


@both
def test_another_format_in_the_place_of_a_file_replaces_it(corpus, extract):
    out = corpus / "out"
    extract(out, corpus / "spk")
    (corpus / "spk/a/001.flac").unlink()
    recording(corpus / "spk/a/001.wav", 0.4)
    summary = extract(out, corpus / "spk")
    assert (summary.done, summary.skipped) == (1, 1)
    assert seconds_of(extract, out) == {"a/001": 0.4, "b/001": 0.5}


@both
def test_output_and_corpus_may_move_together_and_tell_no_folder_above(corpus, extract):
    extract(corpus / "work/out", corpus / "spk")
    told = (corpus / "work/out").rglob("*")
    assert not any(str(corpus).encode() in path.read_bytes() for path in told if path.is_file())
    (corpus / "new").mkdir()
    for name in ("work", "spk"):
        (corpus / name).rename(corpus / "new" / name)
    soundfile.write(corpus / "new/spk/a/001.flac", buzz(0.7), 16000)
    summary = extract(corpus / "new/work/out", corpus / "new/spk")
    assert (summary.done, summary.skipped) == (1, 1)


@both
def test_a_file_that_can_no_longer_be_read_keeps_its_item(corpus, extract):
    out = corpus / "out"
    extract(out, corpus / "spk")
    (corpus / "spk/a/001.flac").write_bytes(b"")
    summary = extract(out, corpus / "spk")
    assert ([item for item, _ in summary.failures], summary.skipped) == (["a/001"], 1)
    assert seconds_of(extract, out) == {"a/001": 0.3, "b/001": 0.5}


def test_stores_of_earlier_versions_go_by_the_id_and_say_so(corpus):
    out, told = corpus / "out", Notes()
    features(out, corpus / "spk/a")
    with h5py.File(out / "f.h5", "a") as file:
        for name in ("source", "source_sha256", "source_stamp"):
            del file[f"index/{name}"]
    recording(corpus / "spk/a/002.flac", 0.4)
    summary = features(out, corpus / "spk/a", told=told)
    assert (summary.done, summary.skipped) == (1, 1)
    assert any("earlier version made 1 of its items" in note and "--overwrite" in note for note in told.notes)
    with Store(out / "f.h5") as store:
        sha256 = hash_file(corpus / "spk/a/002.flac")
        assert (store.ids, store.read_column("source_sha256")) == (["001", "002"], ["", sha256])
        assert store.read_column("source") == ["", "../spk/a/002.flac"]


def test_manifests_of_earlier_versions_go_by_the_id_and_say_so(corpus):
    out, told = corpus / "out", Notes()
    wavs(out, corpus / "spk/a")
    (out / "manifest.csv").write_text("utterance,speaker,file,duration,rate\n001,a,001.wav,0.3,16000\n")
    assert wavs(out, corpus / "spk/a", told=told).skipped == 1
    assert any("earlier version made 1 of its items" in note for note in told.notes)


def test_a_wav_that_a_killed_run_did_not_enter_says_what_it_was_made_from(corpus):
    out = corpus / "out"
    wavs(out, corpus / "spk/a")
    (out / "manifest.csv").unlink()
    with pytest.raises(FaceVCError, match="made from a file of other content"):
        wavs(out, corpus / "spk/b")
    assert wavs(out, corpus / "spk/a").skipped == 1
    (row,) = read_table(out / "manifest.csv")
    assert (row["source"], row["source_sha256"]) == ("../spk/a/001.flac", hash_file(corpus / "spk/a/001.flac"))


def test_an_item_made_anew_counts_once_in_the_statistics(corpus):
    features(corpus / "out", corpus / "spk", valid_share=0.0)
    soundfile.write(corpus / "spk/a/001.flac", buzz(0.7, f0_hz=90), 16000)
    features(corpus / "out", corpus / "spk", valid_share=0.0)
    features(corpus / "new", corpus / "spk", valid_share=0.0)
    with Store(corpus / "out/f.h5") as again, Store(corpus / "new/f.h5") as new:
        assert np.array_equal(again.read_statistics("mel_mean"), new.read_statistics("mel_mean"))
        assert again.ids == new.ids and np.array_equal(again.read_frames("mel", 0), new.read_frames("mel", 0))


def test_the_newest_of_two_unmerged_parts_counts(corpus):
    for seconds in (0.3, 0.7, 0.4):
        soundfile.write(corpus / "spk/a/001.flac", buzz(seconds), 16000)
        assert features(corpus / "out", corpus / "spk", shard="1/2").done == 1
    assert features(corpus / "out", corpus / "spk").skipped == 1
    assert seconds_of(features, corpus / "out") == {"a/001": 0.4, "b/001": 0.5}


def test_linked_speakers_and_live_photos_are_items_of_their_own(corpus):
    (corpus / "linked").mkdir()
    for name in "ab":
        (corpus / "linked" / name).symlink_to(corpus / "spk" / name)
    (corpus / "linked/loop").symlink_to("..")
    recording(corpus / "spk/a/001.wav", 0.4)
    for _ in range(2):
        features(corpus / "out", corpus / "linked")
        assert seconds_of(features, corpus / "out") == {"a/001.flac": 0.3, "a/001.wav": 0.4, "b/001": 0.5}


def test_a_stamp_proves_nothing_for_a_file_of_this_moment(tmp_path, monkeypatch):
    (tmp_path / "x").write_text("x")
    assert stamp_file(tmp_path / "x") == ""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 5)
    about = (tmp_path / "x").stat()
    assert stamp_file(tmp_path / "x") == f"1-{about.st_mtime_ns}-{about.st_ctime_ns}"
    assert stamp_file(tmp_path / "absent") == ""
