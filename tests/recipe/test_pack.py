"""recipes/starter/local/pack.py: what comes out is what went in, within the steps that it states, and trains."""

import json
import runpy
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers.recipes import run_script
from helpers.repository import RECIPES
from helpers.stores import TEACHER_DIM, Stores, make_stores, pretrain

from facevc_cli.corpus.store import Store

SCRIPT = RECIPES / "starter" / "local" / "pack.py"
pytestmark = pytest.mark.usefixtures("no_plots")


def run_pack(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_script(SCRIPT, *arguments, check=False)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The recipe's folder with its stores and a teacher, and the pack that is made from it."""
    folder = tmp_path_factory.mktemp("pack")
    out, pack = folder / "out", folder / "pack"
    make_stores(out, "hifigan", teacher_dim=TEACHER_DIM)
    (out / "weights.csv").write_text("utterance,weight\nanna/a_1,2\n")
    (out / "whisper-base").mkdir()
    (out / "whisper-base" / "model.bin").write_bytes(bytes(range(256)))
    run = run_pack(out, pack)
    assert run.returncode == 0, run.stderr
    return out, pack


def test_features_are_kept_within_their_steps(packed: tuple[Path, Path], tmp_path: Path):
    out, pack = packed
    run = run_pack("--unpack", pack, tmp_path)
    assert run.returncode == 0, run.stderr
    before, after = (Store(folder / "features.h5", "extract-features") for folder in (out, tmp_path))
    assert after.ids == before.ids and after.speakers == before.speakers and after.settings == before.settings
    assert after.attributes["settings_hash"] == before.attributes["settings_hash"]
    for name in before.columns:
        assert after.read_column(name) == before.read_column(name)
    assert np.array_equal(after.read_statistics("mel_mean"), before.read_statistics("mel_mean"))
    mel, content = (np.concatenate([before.read_frames(name, i) for i in range(5)]) for name in ("mel", "content"))
    for name, limit in (("mel", np.ptp(mel, axis=0).max() / 255), ("f0", 0.05), ("content", np.ptp(content) / 100)):
        for i in range(5):
            found, expected = after.read_frames(name, i), before.read_frames(name, i)
            assert found.dtype == expected.dtype and found.shape == expected.shape
            assert np.abs(found.astype(np.float32) - expected.astype(np.float32)).max() <= limit * 1.01


def test_other_files_come_back_as_they_were(packed: tuple[Path, Path], tmp_path: Path):
    out, pack = packed
    assert run_pack("--unpack", pack, tmp_path).returncode == 0
    for name in ("voices.h5", "faces.h5", "weights.csv", "whisper-base/model.bin"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()
    assert not (tmp_path / "aligned.csv").exists()


def test_large_files_are_kept_in_pieces(packed: tuple[Path, Path], tmp_path: Path):
    out, _ = packed
    copy_in_pieces = runpy.run_path(str(SCRIPT))["copy_in_pieces"]
    copy_in_pieces.__globals__["LARGEST"] = 100
    copy_in_pieces(out / "whisper-base" / "model.bin", tmp_path, "model.bin")
    pieces = sorted(tmp_path.glob("model.bin*"))
    assert [piece.name for piece in pieces] == ["model.bin.000", "model.bin.001", "model.bin.002"]
    assert b"".join(piece.read_bytes() for piece in pieces) == bytes(range(256))


def test_a_damaged_file_is_named(packed: tuple[Path, Path], tmp_path: Path):
    _, pack = packed
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in pack.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "weights.csv").write_text("other")
    run = run_pack("--unpack", copy, tmp_path / "out")
    assert run.returncode == 1 and "weights.csv: the file is missing or damaged" in run.stderr
    assert set(json.loads((copy / "index.json").read_text())) >= {"codes.npz", "features-000.npz", "model.bin"}


def test_a_pack_trains(packed: tuple[Path, Path], tmp_path: Path):
    _, pack = packed
    assert run_pack("--unpack", pack, tmp_path / "out").returncode == 0
    stores = Stores(*(tmp_path / "out" / name for name in ("features.h5", "voices.h5", "faces.h5")))
    recorder = pretrain(stores, tmp_path / "run", "starter", stop_at=2)
    assert list(recorder.losses) == ["step 1", "step 2"]
