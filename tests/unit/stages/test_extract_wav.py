"""stages/extract_wav.py: the sound of everything in a folder, once, with a manifest that stays true."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from helpers.sounds import buzz, recording

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SilentReporter, Summary
from facevc_cli.files.tables import read_table
from facevc_cli.stages.extract_wav import MANIFEST, SETTINGS, ExtractWavConfig, run


def clip(path: Path, seconds: float = 0.4, rate: int = 44100, sound: bool = True, picture: bool = True) -> Path:
    """A stereo clip, the right channel silent, as any container PyAV writes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25) if picture else None
        audio = container.add_stream("aac", rate=rate, layout="stereo") if sound else None
        if video is not None:
            video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
            for i in range(round(25 * seconds)):
                container.mux(
                    video.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), i, np.uint8), format="rgb24"))
                )
            container.mux(video.encode())
        if audio is not None:
            wav = buzz(seconds, rate)
            samples = np.stack([wav, np.zeros_like(wav)])
            for start in range(0, len(wav), 1024):
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(samples[:, start : start + 1024]), format="fltp", layout="stereo"
                )
                frame.sample_rate, frame.pts = rate, start
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path


def extract(source: Path | str, output: Path, **options: object) -> Summary:
    return run(ExtractWavConfig(sources=(source,), output=output, **{"jobs": 1, **options}))  # type: ignore[arg-type]


def make_command(folder: Path, *options: str) -> list[str]:
    """The command line that extracts folder/in to folder/out in a process of its own."""
    paths = [str(folder / "in"), "-o", str(folder / "out")]
    return [sys.executable, "-m", "facevc_cli", "extract-wav", *paths, *options]


def rows(output: Path) -> dict[str, dict[str, str]]:
    return {row["utterance"]: row for row in read_table(output / MANIFEST)}


def test_any_container_becomes_mono_16_bit_with_the_tree_mirrored(tmp_path):
    for name in ("anna/1.mp4", "anna/2 (ü)_x-1.mkv", "bert/1.avi", "bert/sub/1.mov"):
        clip(tmp_path / "in" / name)
    clip(tmp_path / "in/bert/3.m4a", picture=False)
    (tmp_path / "in/cleo").mkdir()
    soundfile.write(tmp_path / "in/cleo/4.flac", np.zeros((800, 2)), 8000)
    summary = extract(tmp_path / "in", tmp_path / "out")
    assert (summary.done, summary.skipped, summary.failures) == (6, 0, [])
    found = rows(tmp_path / "out")
    assert list(found) == ["anna/1", "anna/2 (ü)_x-1", "bert/1", "bert/3", "bert/sub/1", "cleo/4"]
    assert [row["speaker"] for row in found.values()] == ["anna", "anna", "bert", "bert", "sub", "cleo"]
    for row in found.values():
        info = soundfile.info(tmp_path / "out" / row["file"])
        assert (info.samplerate, info.channels, info.subtype, row["rate"]) == (16000, 1, "PCM_16", "16000")
        assert abs(float(row["duration"]) - info.frames / 16000) < 1e-6
    assert abs(float(found["anna/1"]["duration"]) - 0.4) < 0.07  # AAC frames of 1024 samples
    wav, _ = soundfile.read(tmp_path / "out/anna/1.wav")
    assert 0.05 < np.abs(wav).max() < 0.3  # half of the left channel's
    assert summary.data["seconds"] == pytest.approx(sum(float(row["duration"]) for row in found.values()), abs=1e-3)


def test_failures_are_listed_and_the_rest_goes_on(tmp_path):
    clip(tmp_path / "in/a/1.mp4")
    clip(tmp_path / "in/a/mute.mp4", sound=False)
    (tmp_path / "in/a/empty.mp4").touch()
    (tmp_path / "in/a/text.mkv").write_text("not a video")
    summary = extract(tmp_path / "in", tmp_path / "out")
    assert summary.done == 1
    assert {item: "no sound" in reason for item, reason in summary.failures} == {
        "a/mute": True,
        "a/empty": False,
        "a/text": False,
    }
    assert list(rows(tmp_path / "out")) == ["a/1"]
    assert not [p for p in (tmp_path / "out").rglob("*") if ".tmp" in p.name]
    with pytest.raises(FaceVCError, match="zero bytes"):
        extract(tmp_path / "in", tmp_path / "out", fail_fast=True)
    assert list(rows(tmp_path / "out")) == ["a/1"]


def test_done_work_is_skipped_and_rows_stay(tmp_path):
    for i in range(4):
        recording(tmp_path / f"in/a/{i}.flac")
    assert extract(tmp_path / "in", tmp_path / "out", limit=2).done == 2
    before = (tmp_path / "out/a/0.wav").stat().st_mtime_ns
    summary = extract(tmp_path / "in", tmp_path / "out")
    assert (summary.done, summary.skipped) == (2, 2)
    assert extract(tmp_path / "in", tmp_path / "out", limit=1).skipped == 1
    assert len(rows(tmp_path / "out")) == 4
    assert (tmp_path / "out/a/0.wav").stat().st_mtime_ns == before
    assert extract(tmp_path / "in", tmp_path / "out", overwrite=True, limit=1).done == 1
    assert (tmp_path / "out/a/0.wav").stat().st_mtime_ns > before
    (tmp_path / "out/a/3.wav").unlink()
    assert extract(tmp_path / "in", tmp_path / "out", limit=1).skipped == 1
    assert len(rows(tmp_path / "out")) == 3  # no row without its file


def test_wavs_that_a_killed_run_did_not_enter_are_entered(tmp_path):
    for i in range(3):
        recording(tmp_path / f"in/a/{i}.flac", 0.25)
    extract(tmp_path / "in", tmp_path / "out")
    whole = rows(tmp_path / "out")
    (tmp_path / "out" / MANIFEST).unlink()
    (tmp_path / "out/a/1.wav").write_bytes(b"RIFF")
    summary = extract(tmp_path / "in", tmp_path / "out")
    assert (summary.done, summary.skipped) == (1, 2)
    found = rows(tmp_path / "out")
    assert [row | {"source_stamp": ""} for row in found.values()] == [
        row | {"source_stamp": ""} for row in whole.values()
    ]


def test_floats_above_full_scale_are_scaled_and_named(tmp_path):
    wav = buzz(0.5, 16000)
    wav = wav / np.abs(wav).max() * 2.5
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in/1.wav", wav, 16000, "FLOAT")
    soundfile.write(tmp_path / "in/2.wav", wav / 2.5, 16000)
    notes: list[str] = []

    class Notes(SilentReporter):
        def note(self, text: str) -> None:
            notes.append(text)

    run(ExtractWavConfig(sources=(tmp_path / "in",), output=tmp_path / "out", jobs=1), Notes())
    for name in ("1", "2"):
        np.testing.assert_allclose(soundfile.read(tmp_path / f"out/{name}.wav")[0], wav / 2.5, atol=1e-4)
    assert notes == [f"{tmp_path}/in/1.wav: scaled by -8.0 dB: its samples go up to 2.50"]
    assert "notes" not in next(iter(rows(tmp_path / "out").values()))


def test_what_a_killed_run_left_is_swept_at_the_next_start(tmp_path):
    recording(tmp_path / "in/a/1.flac")
    extract(tmp_path / "in", tmp_path / "out")
    left, ours = tmp_path / "out/a/.1.0123abcd.tmp.wav", tmp_path / "out/a/.1.tmp.wav"
    fresh = tmp_path / "out/a/.2.0123abcd.tmp.wav"
    for path in (left, ours, fresh):
        path.write_bytes(bytes(100))
    for path in (left, ours):
        os.utime(path, (1, 1))
    extract(tmp_path / "in", tmp_path / "out", dry_run=True)
    assert left.exists()
    assert extract(tmp_path / "in", tmp_path / "out").skipped == 1
    assert not left.exists() and ours.exists() and fresh.exists()  # not another's, and not one that is being written


def test_shards_make_one_manifest(tmp_path):
    for i in range(5):
        recording(tmp_path / f"in/{'ab'[i % 2]}/{i}.flac")
    done = [extract(tmp_path / "in", tmp_path / "out", shard=f"{i}/2").done for i in (1, 2)]
    assert done == [3, 2]
    assert len(rows(tmp_path / "out")) == 5
    summary = extract(tmp_path / "in", tmp_path / "out")
    assert (summary.done, summary.skipped) == (0, 5)


def test_other_settings_are_refused_and_overwritten_whole(tmp_path):
    for i in range(2):
        recording(tmp_path / f"in/a/{i}.flac")
    extract(tmp_path / "in", tmp_path / "out")
    with pytest.raises(FaceVCError, match=r"other settings.*16000.*8000.*--overwrite"):
        extract(tmp_path / "in", tmp_path / "out", rate=8000)
    extract(tmp_path / "in", tmp_path / "out", rate=8000, overwrite=True, limit=1)
    assert {u: row["rate"] for u, row in rows(tmp_path / "out").items()} == {"a/0": "8000"}
    assert extract(tmp_path / "in", tmp_path / "out", rate=8000).done == 1  # the other's wav is still at the old rate
    assert {row["rate"] for row in rows(tmp_path / "out").values()} == {"8000"}
    with pytest.raises(UsageError, match="--rate 0"):
        extract(tmp_path / "in", tmp_path / "out", rate=0)
    (tmp_path / "out" / SETTINGS).write_text("{")
    with pytest.raises(FaceVCError, match="cannot be read"):
        extract(tmp_path / "in", tmp_path / "out")


def test_recordings_are_never_replaced_by_their_extract(tmp_path):
    recording(tmp_path / "a/1.wav", rate=48000)
    before = (tmp_path / "a/1.wav").read_bytes()
    for overwrite in (False, True):
        with pytest.raises(FaceVCError, match="its own extract"):
            extract(tmp_path / "a", tmp_path / "a", overwrite=overwrite)
    recording(tmp_path / "b/1.flac")
    with pytest.raises(FaceVCError, match="was not made by extract-wav"):
        extract(tmp_path / "b", tmp_path / "a")
    assert (tmp_path / "a/1.wav").read_bytes() == before


def test_an_output_folder_among_the_inputs_is_not_an_input(tmp_path):
    recording(tmp_path / "a/1.flac")
    for expected in ((1, 0), (0, 1)):
        summary = extract(tmp_path, tmp_path / "wavs")
        assert (summary.done, summary.skipped) == expected


def test_speakers_and_dry_run(tmp_path):
    recording(tmp_path / "in/s1-x.flac")
    summary = extract(tmp_path / "in", tmp_path / "out", dry_run=True)
    assert summary.data == {"inputs": 1, "waiting": 1}
    assert not (tmp_path / "out").exists()
    extract(tmp_path / "in", tmp_path / "out", speaker_pattern="^(s[0-9])-")
    assert rows(tmp_path / "out")["s1-x"]["speaker"] == "s1"
    extract(tmp_path / "in", tmp_path / "out")
    assert rows(tmp_path / "out")["s1-x"]["speaker"] == "in"  # skipped, but as now asked for


def test_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    recording(tmp_path / "in/1.flac")
    extract(tmp_path / "in", tmp_path / "out")
    recording(tmp_path / "in/2.flac")
    real = os.replace

    def full(source: Path, target: Path) -> None:
        if str(target).endswith(".wav"):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    summary = extract(tmp_path / "in", tmp_path / "out")
    assert "No space left" in summary.failures[0][1]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [SETTINGS, "1.wav", MANIFEST]
    monkeypatch.undo()
    assert extract(tmp_path / "in", tmp_path / "out").done == 1


def test_a_killed_process_is_resumed(tmp_path):
    for i in range(40):
        recording(tmp_path / f"in/a/{i:02}.flac", 2.0)
    process = subprocess.Popen(make_command(tmp_path, "-j", "1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while (
        len(list((tmp_path / "out").rglob("[0-9]*.wav"))) < 3 and process.poll() is None and time.monotonic() < deadline
    ):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    summary = extract(tmp_path / "in", tmp_path / "out")
    assert summary.skipped >= 3
    assert summary.done + summary.skipped == 40
    assert [row["duration"] for row in rows(tmp_path / "out").values()] == ["2.000000"] * 40


def test_command_prints_json_and_exits_1_on_failures(tmp_path):
    clip(tmp_path / "in/a/mute.mp4", sound=False)
    recording(tmp_path / "in/a/1.flac")
    found = subprocess.run(make_command(tmp_path, "--json", "-j", "2"), capture_output=True, text=True, check=False)
    assert found.returncode == 1
    told = json.loads(found.stdout)
    assert (told["done"], told["skipped"], [f["item"] for f in told["failures"]]) == (1, 0, ["a/mute"])
    assert "no sound" in found.stderr
