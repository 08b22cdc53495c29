"""stages/convert.py on engines: the same files and tables as in one process, and what fails is listed."""

from pathlib import Path

import pytest
from helpers.conversions import config, table
from helpers.pictures import save_grey
from helpers.reporters import Notes
from helpers.sounds import recording

from facevc_cli.batch.making import group_jobs
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.manifest.contract import ADDRESSES, MANIFEST
from facevc_cli.stages.convert import run

SLURM = "slurm://cluster=debug"  # jobs in this process


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    recording(tmp_path / "wavs" / "ann" / "one.wav", 0.2)
    recording(tmp_path / "wavs" / "two.wav", 0.3, f0_hz=200)
    for name, value in {"eve": 90, "bob": 160}.items():
        save_grey(tmp_path / "faces" / f"{name}.png", value)
    return tmp_path


def test_a_wrong_engine_is_told_before_any_work(inputs: Path, toy_model: Path):
    with pytest.raises(UsageError, match="--engine spark"):
        run(config(inputs, toy_model, engine="spark"))
    assert not (inputs / "out").exists()


@pytest.mark.usefixtures("analyser")
def test_jobs_make_the_same_files_tables_and_notes(inputs: Path, toy_model: Path):
    pytest.importorskip("submitit")
    (inputs / "wavs" / "text.wav").write_text("no sound")
    here, there = Notes(), Notes()
    first = run(config(inputs, toy_model, output=Path("here")), here)
    second = run(config(inputs, toy_model, output=Path("there"), engine=SLURM, jobs=2), there)
    assert (first.done, second.done) == (4, 4) and second.failures == first.failures and len(second.failures) == 2
    names = sorted(path.relative_to("here") for path in Path("here").rglob("*") if path.is_file())
    assert len(names) == 6 and {MANIFEST, ADDRESSES} <= {str(name) for name in names}
    for name in names:
        assert Path("there", name).read_bytes() == Path("here", name).read_bytes(), name
    assert there.notes == here.notes
    again = run(config(inputs, toy_model, output=Path("there"), engine=SLURM, jobs=2))
    assert (again.done, again.skipped, len(again.failures)) == (0, 4, 2) and again.resumes
    with pytest.raises(FaceVCError, match=r"text\.wav"):
        run(config(inputs, toy_model, output=Path("there"), engine=SLURM, fail_fast=True))


@pytest.mark.slow
def test_two_processes_of_this_machine(inputs: Path, toy_model: Path):
    voices = (inputs / "wavs" / "two.wav",)
    alone = config(inputs, toy_model, faces=(), voices=voices)
    assert run(alone).done == 2
    assert run(config(inputs, toy_model, faces=(), voices=voices, output=inputs / "both", jobs=2)).done == 2
    assert table(inputs / "both") == table(inputs / "out")
    for name in table(inputs / "out"):
        assert (inputs / "both" / name).read_bytes() == (inputs / "out" / name).read_bytes()


def test_groups_have_one_source(inputs: Path):
    from facevc_cli.batch.jobs import Job
    from facevc_cli.batch.utterance import RecordingFile
    from facevc_cli.conversion.voice_spec import VoiceSpec

    sources = [RecordingFile(Path(f"{name}.wav"), name) for name in "aab"]
    specs = [VoiceSpec.from_file("face", Path(f"{n}.png")) for n in range(3)]
    jobs = [Job(s, spec, Path("out"), f"{s.id}{spec}") for s in sources for spec in specs]
    assert [len(group) for group in group_jobs(jobs, 4)] == [4, 2, 3]
    assert [group[0].source.id for group in group_jobs(jobs, 4)] == ["a", "a", "b"] and group_jobs([], 4) == []
