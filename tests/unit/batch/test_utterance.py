"""A batch takes speech from anywhere: here from memory, beside files."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import fsspec
import numpy as np
import pytest
import soundfile
from helpers.sounds import buzz, recording

from facevc_cli.batch.jobs import Naming
from facevc_cli.batch.plan import Plan, pair_all, plan_conversions
from facevc_cli.batch.run import ConvertConfig, make_conversions
from facevc_cli.batch.utterance import RecordingFile
from facevc_cli.conversion.voice_request import request_recordings
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.tables import read_table
from facevc_cli.provenance.metadata import read_provenance

RATE = 16000


@dataclass(frozen=True)
class Hum:
    """Speech that is in no file."""

    id: str
    f0_hz: float
    name: str = "a hum"
    file: Path | None = None
    about = MappingProxyType({})

    def fingerprint(self):
        return hashlib.sha256(f"hum {self.f0_hz}".encode()).hexdigest()

    def load(self):
        if self.f0_hz <= 0:
            raise FaceVCError(f"{self.id}: expected a pitch above 0 Hz, found {self.f0_hz}.")
        return buzz(0.3, RATE, self.f0_hz), RATE


@pytest.fixture
def convert(tmp_path, toy_model):
    def run(*sources):
        target = recording(tmp_path / "voice.wav", 0.4, f0_hz=210)
        config = ConvertConfig(
            sources=(), output=tmp_path / "out", checkpoint=toy_model, vocoder="griffin-lim", device="cpu"
        )
        plan = Plan(pair_all(sources, request_recordings([(target, "voice")]), config.naming))
        return make_conversions(plan, config), {
            row["source_id"]: row for row in read_table(tmp_path / "out/manifest.csv")
        }

    return run


def test_a_recording_file_is_itself(tmp_path):
    path = recording(tmp_path / "ann" / "a.wav", 0.1)
    utterance = RecordingFile(path, "ann/a")
    assert (utterance.id, utterance.name, utterance.file, str(utterance)) == ("ann/a", "a.wav", path, str(path))
    assert utterance.load() == path and utterance.fingerprint() == hash_file(path)
    assert utterance == RecordingFile(path, "ann/a") and hash(utterance) == hash(RecordingFile(path, "ann/a"))
    assert RecordingFile(tmp_path / "none.wav", "none").fingerprint() == ""


def test_speech_in_memory_is_converted_resumed_and_told_apart(convert, tmp_path):
    file = RecordingFile(recording(tmp_path / "a.wav", 0.2), "a")
    summary, rows = convert(Hum("low", 100), file, Hum("bad", -1))
    assert (summary.done, summary.skipped) == (2, 0)
    assert [item for item, _ in summary.failures] == ["bad__voice.wav"]
    assert "expected a pitch above 0 Hz" in summary.failures[0][1]
    assert rows["low"]["source"] == "" and rows["a"]["source"] == "../a.wav" and rows["low"]["status"] == "done"
    made = read_provenance(tmp_path / "out/low__voice.wav")
    assert made.source_sha256 == Hum("low", 100).fingerprint()[:16]
    again, _ = convert(Hum("low", 100), file)
    assert (again.done, again.skipped) == (0, 2)
    with pytest.raises(FaceVCError, match="from another source"):
        convert(Hum("low", 120), file)


def test_the_sound_of_memory_and_file_is_the_same(convert, tmp_path):
    path = recording(tmp_path / "a.wav", 0.3, f0_hz=100)
    convert(Hum("low", 100), RecordingFile(path, "a"))
    low, file = ((tmp_path / f"out/{name}__voice.wav") for name in ("low", "a"))
    spoken, expected = soundfile.read(low)[0], soundfile.read(file)[0]
    assert spoken.shape == expected.shape and np.corrcoef(spoken, expected)[0, 1] > 0.99  # a file has 16 bits


def test_names_of_outputs(tmp_path):
    target = request_recordings([(recording(tmp_path / "v.wav", 0.2), "v")])
    rows = pair_all([Hum("x", 100)], target, Naming(tmp_path / "o.wav"))
    assert rows[0].job.output == tmp_path / "o.wav" and rows[0].source.id == "x"
    with pytest.raises(UsageError, match="--name"):
        pair_all([Hum("x", 100)], target, Naming(tmp_path / "out", "{nobody}.wav"))


def test_speech_behind_a_url_is_that_of_the_file(convert, tmp_path):
    path = recording(tmp_path / "a.wav", 0.3, f0_hz=100)
    system = fsspec.filesystem("memory")
    system.put(str(path), "/speech/ann/b.wav")
    try:
        rows = plan_conversions(["memory://speech", path], [], [path], Naming(output=tmp_path))
        packed = {row.source.id: row.source for row in rows}["ann/b"]
        assert (str(packed), packed.name, packed.file) == ("memory://speech/ann/b.wav", "b", None)
        assert packed.fingerprint() == hash_file(path)
        summary, table = convert(packed, RecordingFile(path, "a"))
        assert (summary.done, table["ann/b"]["source"]) == (2, "")
        assert (tmp_path / "out/ann/b__voice.wav").is_file()
        sounds = [soundfile.read(tmp_path / "out" / f"{name}__voice.wav")[0] for name in ("ann/b", "a")]
        assert sounds[0].shape == sounds[1].shape and np.corrcoef(*sounds)[0, 1] > 0.99
        again, _ = convert(packed)
        assert (again.done, again.skipped) == (0, 1)
    finally:
        system.rm("/speech", recursive=True)
