"""stages/extract_features.py: shards, resumption, splits and statistics, and stores that do not fit."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile
from helpers.sounds import buzz, recording

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import Summary
from facevc_cli.corpus.store import Store
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.dsp.pitch import PitchStatistics
from facevc_cli.stages.extract_features import STAGE, ExtractFeaturesConfig, run


@pytest.fixture(scope="module")
def wavs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three speakers with three recordings each, odd names among them."""
    folder = tmp_path_factory.mktemp("wavs")
    for i, speaker in enumerate(("anna", "bert b.", "çleo")):
        for j in range(3):
            recording(folder / speaker / f"{j}_x-1.2.wav", 0.3 + 0.1 * j, f0_hz=110.0 + 40 * i)
    return folder


def extract(source: Path | str, output: Path, **options: object) -> Summary:
    return run(ExtractFeaturesConfig(sources=(source,), output=output, **{"jobs": 1, **options}))  # type: ignore[arg-type]


def same(one: Path, other: Path) -> bool:
    with Store(one) as a, Store(other) as b:
        if a.ids != b.ids or a.speakers != b.speakers or a.read_column("split") != b.read_column("split"):
            return False
        arrays = [(a.read_frames(n, i), b.read_frames(n, i)) for n in a.frame_names for i in range(len(a))]
        arrays += [(a.read_statistics(n), b.read_statistics(n)) for n in a.statistics_names]
        return all(np.array_equal(x, y) for x, y in arrays)


@pytest.mark.parametrize("mel", ["fvmvc", "hifigan"])
def test_store_holds_what_the_frontend_computes(wavs, tmp_path, mel):
    assert extract(wavs, tmp_path / "f.h5", mel=mel).done == 9
    frontend = Frontend.standard(mel)
    with Store(tmp_path / "f.h5", STAGE) as store:
        assert store.ids[:3] == ["anna/0_x-1.2", "anna/1_x-1.2", "anna/2_x-1.2"]
        assert sorted(set(store.speakers)) == ["anna", "bert b.", "çleo"]
        assert Frontend.from_settings(store.settings, "x") == frontend
        wav, _ = soundfile.read(wavs / "bert b./1_x-1.2.wav", dtype="float32")
        if mel == "fvmvc":
            expected, f0 = frontend.extract_features(frontend.prepare(wav))
            index = store.position["bert b./1_x-1.2"]
            assert np.array_equal(store.read_frames("mel", index), expected)
            assert np.array_equal(store.read_frames("f0", index), f0)
            assert store.read_column("log_f0_mean")[index] == pytest.approx(PitchStatistics.of(f0).mean)
        assert np.array_equal(store.read_lengths("mel"), store.read_lengths("f0"))
        seconds = np.array(store.read_column("seconds")) * float(frontend.definition.frame_rate)
        assert np.abs(seconds - store.read_lengths("mel")).max() < 2


def test_shards_that_stay_apart_read_as_the_merged_store(wavs, tmp_path):
    extract(wavs, tmp_path / "one.h5", valid_share=0.34)
    for shard in ("2/2", "1/2", None):
        extract(wavs, tmp_path / "many.h5", valid_share=0.34, shard=shard, keep_shards=2)
    assert same(tmp_path / "one.h5", tmp_path / "many.h5")
    with Store(tmp_path / "one.h5") as one, Store(tmp_path / "many.h5") as many:
        assert len(many.shard_files) == 5  # of 5 and of 4 files, at most 2 in each
        for name in one.columns:
            assert many.read_column(name) == one.read_column(name)
    assert os.path.getsize(tmp_path / "many.h5") < os.path.getsize(tmp_path / "one.h5") / 5
    before = os.stat(tmp_path / "many.h5").st_mtime_ns
    again = extract(wavs, tmp_path / "many.h5", valid_share=0.34)
    assert (again.done, again.skipped) == (0, 9)
    assert os.stat(tmp_path / "many.h5").st_mtime_ns == before
    extract(wavs, tmp_path / "many.h5", valid_share=0.0)  # other splits: only the index is written again
    with Store(tmp_path / "many.h5") as many:
        assert set(many.read_column("split")) == {"train"}


def test_recordings_behind_a_url_and_in_a_tar_file_are_those_of_the_folder(wavs, tmp_path):
    extract(wavs, tmp_path / "folder.h5")
    system = fsspec.filesystem("memory")
    system.put(f"{wavs}/", "/wavs/", recursive=True)
    with tarfile.open(tmp_path / "wavs.tar", "w") as tar:
        for path in sorted(wavs.rglob("*.wav")):
            tar.add(path, path.relative_to(wavs))
    places = {"url": "memory://wavs", "tar": tmp_path / "wavs.tar"}
    try:
        for name, place in places.items():
            assert extract(place, tmp_path / f"{name}.h5").done == 9
            assert same(tmp_path / "folder.h5", tmp_path / f"{name}.h5")
        with Store(tmp_path / "url.h5") as url, Store(tmp_path / "tar.h5") as tar:
            assert url.read_column("source")[0] == "memory://wavs/anna/0_x-1.2.wav"
            assert tar.read_column("source")[0] == "wavs.tar::anna/0_x-1.2.wav"
            assert url.read_column("source_sha256") == tar.read_column("source_sha256")
        for name, place in places.items():
            again = extract(place, tmp_path / f"{name}.h5")
            assert (again.done, again.skipped) == (0, 9)
        system.put(str(wavs / "anna/1_x-1.2.wav"), "/wavs/anna/0_x-1.2.wav")
        again = extract("memory://wavs", tmp_path / "url.h5")
        assert (again.done, again.skipped) == (1, 8)
    finally:
        system.rm("/wavs", recursive=True)


def test_statistics_are_numpys_over_the_training_split(wavs, tmp_path):
    extract(wavs, tmp_path / "f.h5", valid_share=0.34)
    with Store(tmp_path / "f.h5") as store:
        split = store.read_column("split")
        assert split.count("valid") == 3  # one speaker of three
        assert len({s for s, where in zip(store.speakers, split, strict=True) if where == "valid"}) == 1
        training = np.concatenate([store.read_frames("mel", i) for i in range(9) if split[i] == "train"]).astype(
            np.float64
        )
        assert np.abs(store.read_statistics("mel_mean") - training.mean(0)).max() < 1e-5
        assert np.abs(store.read_statistics("mel_std") - training.std(0)).max() < 1e-5


def test_shards_merge_into_the_store_of_one_run(wavs, tmp_path):
    extract(wavs, tmp_path / "whole.h5")
    done = [extract(wavs, tmp_path / "parts.h5", shard=f"{i}/4").done for i in (3, 1, 4, 2)]
    assert sum(done) == 9
    assert not (tmp_path / "parts.h5").exists()
    summary = extract(wavs, tmp_path / "parts.h5")
    assert (summary.done, summary.skipped) == (0, 9)
    assert same(tmp_path / "whole.h5", tmp_path / "parts.h5")
    assert not (tmp_path / "parts.h5.parts").exists()
    with pytest.raises(UsageError, match="--overwrite with --shard"):
        extract(wavs, tmp_path / "parts.h5", shard="1/4", overwrite=True)


@pytest.mark.slow
def test_processes_make_the_store_of_one_process(wavs, tmp_path):
    extract(wavs, tmp_path / "one.h5")
    extract(wavs, tmp_path / "two.h5", jobs=2)
    assert same(tmp_path / "one.h5", tmp_path / "two.h5")


def test_limit_then_all_then_nothing(wavs, tmp_path):
    extract(wavs, tmp_path / "whole.h5")
    assert extract(wavs, tmp_path / "f.h5", limit=4).done == 4
    summary = extract(wavs, tmp_path / "f.h5")
    assert (summary.done, summary.skipped) == (5, 4)
    assert same(tmp_path / "whole.h5", tmp_path / "f.h5")
    before = (tmp_path / "f.h5").stat().st_mtime_ns
    assert extract(wavs, tmp_path / "f.h5").skipped == 9
    assert (tmp_path / "f.h5").stat().st_mtime_ns == before


def test_splits_by_table_and_a_changed_table(wavs, tmp_path):
    table = tmp_path / "splits.csv"
    table.write_text("speaker,split\nanna,test\nbert b.,train\nçleo,valid\n", encoding="utf-8")
    extract(wavs, tmp_path / "f.h5", split_table=table)
    assert Store(tmp_path / "f.h5").read_column("split") == ["test"] * 3 + ["train"] * 3 + ["valid"] * 3
    first = Store(tmp_path / "f.h5").read_statistics("mel_mean")
    table.write_text("utterance,split\nanna/0_x-1.2,valid\n", encoding="utf-8")
    assert extract(wavs, tmp_path / "f.h5", split_table=table).skipped == 9  # nothing is computed again but the splits
    assert Store(tmp_path / "f.h5").read_column("split") == ["valid"] + ["train"] * 8
    assert not np.allclose(Store(tmp_path / "f.h5").read_statistics("mel_mean"), first)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("speaker,split\nanna,training\n", "'training': expected train, valid, test"),
        ("speaker\nanna\n", "split is missing"),
        ("speaker,split\nnobody,train\n", "names none of the utterances or speakers"),
        ("name,split\nanna,train\n", "neither an utterance nor a speaker"),
        ("speaker,split\nanna,valid\nbert b.,valid\nçleo,test\n", "no utterance is in the training split"),
    ],
)
def test_unusable_split_tables(wavs, tmp_path, text, fault):
    (tmp_path / "splits.csv").write_text(text, encoding="utf-8")
    with pytest.raises(FaceVCError, match=fault):
        extract(wavs, tmp_path / "f.h5", split_table=tmp_path / "splits.csv")
    assert not (tmp_path / "f.h5").exists()
    assert extract(wavs, tmp_path / "f.h5").failures == []


def test_splits_are_drawn_by_seed(wavs, tmp_path):
    drawn = set()
    for seed in range(6):
        extract(wavs, tmp_path / "f.h5", seed=seed)  # the store is kept, the draw is not
        drawn.add(tuple(Store(tmp_path / "f.h5").read_column("split")))
    assert len(drawn) == 3
    extract(wavs, tmp_path / "f.h5", valid_share=0.0)
    assert set(Store(tmp_path / "f.h5").read_column("split")) == {"train"}
    with pytest.raises(FaceVCError, match="--valid-share"):
        extract(wavs, tmp_path / "f.h5", valid_share=1.0)


def test_hard_recordings_extract_and_bad_ones_are_listed(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    soundfile.write(folder / "silence.wav", np.zeros(16000), 16000)
    soundfile.write(folder / "short.wav", buzz(0.1), 16000)
    soundfile.write(folder / "sample.wav", np.full(1, 0.5), 48000)
    soundfile.write(folder / "stereo.wav", np.stack([buzz(0.5, 48000)] * 2, 1), 48000)
    soundfile.write(folder / "low.wav", buzz(0.5, 8000), 8000)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("no sound")
    soundfile.write(folder / "none.wav", np.zeros(0), 16000)
    for mel in ("fvmvc", "hifigan"):
        summary = extract(folder, tmp_path / f"{mel}.h5", mel=mel)
        assert (summary.done, sorted(item for item, _ in summary.failures)) == (5, ["empty", "none", "text"])
        with Store(tmp_path / f"{mel}.h5") as store:
            assert (store.read_lengths("mel") >= 1).all()
            assert all(np.isfinite(store.read_frames("mel", i)).all() for i in range(5))
            assert np.isfinite(store.read_column("log_f0_mean")).all()
    with pytest.raises(FaceVCError, match="zero bytes"):
        extract(folder, tmp_path / "fast.h5", fail_fast=True)


def test_only_bad_recordings_make_no_store(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/empty.wav").touch()
    summary = extract(tmp_path / "in", tmp_path / "f.h5")
    assert (len(summary.failures), summary.output) == (1, None)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_other_settings_and_damaged_stores_are_refused(wavs, tmp_path):
    extract(wavs, tmp_path / "f.h5", limit=2)
    with pytest.raises(FaceVCError, match=r"other settings \(definition, mel, peak.*--overwrite"):
        extract(wavs, tmp_path / "f.h5", mel="hifigan")
    assert extract(wavs, tmp_path / "f.h5", mel="hifigan", overwrite=True, limit=1).done == 1
    with pytest.raises(FaceVCError, match="expected one of fvmvc, hifigan, xfavot"):
        extract(wavs, tmp_path / "f.h5", mel="other")
    whole = (tmp_path / "f.h5").read_bytes()
    (tmp_path / "f.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FaceVCError, match="truncated"):
        extract(wavs, tmp_path / "f.h5", mel="hifigan")


def test_dry_run_writes_nothing(wavs, tmp_path):
    assert extract(wavs, tmp_path / "f.h5", dry_run=True).data == {"inputs": 9}
    assert list(tmp_path.iterdir()) == []


def test_full_disk_while_merging_loses_no_work(wavs, tmp_path, monkeypatch):
    real = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == "f.h5":
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FaceVCError, match="No space left on device.*what is finished is kept"):
        extract(wavs, tmp_path / "f.h5")
    monkeypatch.undo()
    assert not (tmp_path / "f.h5").exists()
    assert extract(wavs, tmp_path / "f.h5").skipped == 9


LIMITED = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from facevc_cli.core.errors import FaceVCError
from facevc_cli.stages.extract_features import ExtractFeaturesConfig, run
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    run(ExtractFeaturesConfig(sources=(sys.argv[1],), output=Path(sys.argv[2]), jobs=1))
except FaceVCError as error:
    sys.exit(f"told: {error}")
"""


def test_a_disk_that_is_truly_too_small_is_told_in_words(wavs, tmp_path):
    """A write that the system refuses in the middle of a file, not one that a test pretends."""
    command = [sys.executable, "-c", LIMITED, str(wavs), str(tmp_path / "f.h5")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 1, found.stderr
    assert found.stderr.splitlines()[-1].startswith("told: "), found.stderr
    assert len(found.stderr.splitlines()) == 1  # none of HDF5's own complaints
    assert "could not be written" in found.stderr
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
    assert extract(wavs, tmp_path / "f.h5").done == 9


SLOW = """
import sys
from facevc_cli.corpus import store_writer
from facevc_cli.stages import extract_features as stage
real = store_writer.StoreWriter.__init__
store_writer.StoreWriter.__init__ = lambda *a, **k: real(*a, **{**k, "shard_items": 2})
stage.run(stage.ExtractFeaturesConfig(sources=(sys.argv[1],), output=stage.Path(sys.argv[2]), jobs=1))
"""


@pytest.mark.slow
def test_a_killed_process_is_resumed_from_its_parts(tmp_path):
    for i in range(30):
        recording(tmp_path / f"in/a/{i:02}.wav", 1.5)
    extract(tmp_path / "in", tmp_path / "whole.h5")
    parts = tmp_path / "f.h5.parts"
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path / "in"), str(tmp_path / "f.h5")])
    deadline = time.monotonic() + 600
    while len(list(parts.glob("part-*.h5"))) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    summary = extract(tmp_path / "in", tmp_path / "f.h5")
    assert summary.skipped >= 6
    assert summary.done + summary.skipped == 30
    assert same(tmp_path / "whole.h5", tmp_path / "f.h5")
