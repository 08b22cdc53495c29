"""corpus/extraction.py on engines: the store is the same, a lost worker loses its part, and a rerun does the rest."""

from pathlib import Path

import pytest
from helpers.engine_work import IMPORT_PATH, extract, read_content_hash, write_recordings

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.store import Store
from facevc_cli.corpus.store_writer import PartKeeper

pytest.importorskip("submitit")
SLURM = "slurm://cluster=debug"  # jobs in this process


@pytest.fixture
def wavs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("facevc_cli.files.hashes.COARSEST_CLOCK_S", 0)  # the files were written just now
    return write_recordings(tmp_path / "wavs", 30)


def test_a_full_disk_costs_the_parts_that_cannot_be_written(wavs: Path, monkeypatch: pytest.MonkeyPatch):
    write, written = PartKeeper.write, []

    def write_twice(self, items):
        written.append([item.id for item in items])
        if len(written) == 2:
            raise FaceVCError("the disk is full")
        write(self, items)

    monkeypatch.setattr(PartKeeper, "write", write_twice)
    done = extract(wavs, Path("store.h5"), engine=SLURM, jobs=3)
    lost = {item for item, reason in done.failures if reason == "the disk is full"}
    assert lost == set(written[1]) and len(lost) == 9  # the second of three jobs, without the file that says nothing
    assert (done.done, done.resumes) == (20, True)
    again = extract(wavs, Path("store.h5"), engine=SLURM, jobs=3)
    assert (again.done, again.skipped, [item for item, _ in again.failures]) == (9, 20, ["s1/u004"])
    extract(wavs, Path("local.h5"), jobs=1)
    assert read_content_hash(Path("store.h5")) == read_content_hash(Path("local.h5"))


def test_a_relative_output_in_jobs_and_the_same_again(wavs: Path):
    first = extract(wavs, Path("out/store.h5"), engine=SLURM, jobs=4)
    extract(wavs, Path("out/local.h5"), jobs=1)
    assert (first.done, [item for item, _ in first.failures]) == (29, ["s1/u004"])
    assert read_content_hash(Path("out/store.h5")) == read_content_hash(Path("out/local.h5"))
    assert not Path("out/store.h5.parts").exists()
    with Store(Path("out/store.h5")) as store:
        assert store.ids[:2] == ["s0/u000", "s0/u003"] and store.read_column("source")[0] == "../wavs/s0/u000.wav"
    again = extract(wavs, Path("out/store.h5"), engine=SLURM, jobs=4)
    assert (again.done, again.skipped, len(again.failures)) == (0, 29, 1)


@pytest.mark.slow
def test_a_job_that_dies_is_listed_and_the_same_again_does_the_rest(wavs: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", IMPORT_PATH)
    (wavs / "s0/u003.wav").write_text("kill")  # the second file of the first of two jobs
    done = extract(wavs, Path("store.h5"), engine="slurm://cluster=local", jobs=2)
    assert (done.done, len(done.failures)) == (15, 15)
    assert all("ended before it had said what it did" in reason for _, reason in done.failures)
    (wavs / "s0/u003.wav").write_text("3")
    again = extract(wavs, Path("store.h5"), engine=SLURM)
    assert (again.done, again.skipped, [item for item, _ in again.failures]) == (14, 15, ["s1/u004"])
    with Store(Path("store.h5")) as store:
        assert len(store.ids) == 29 and store.read_column("seconds")[store.ids.index("s0/u003")] == 3 / 7
