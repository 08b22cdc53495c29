"""Checkpoints: what is refused, what is kept, and that half-written ones are survived."""

import os
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from helpers.stores import TOY, have_same_weights
from safetensors.torch import load_file, save_file

from facevc_cli import load_model
from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.families.checkpoint import Checkpoint, load_checkpoint, locate, save_checkpoint
from facevc_cli.families.fvmvc.model import FaceVC
from facevc_cli.families.presets import load_config
from facevc_cli.files.hashes import hash_file


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = load_config("toy", overrides=TOY)
    checkpoint = Checkpoint(
        FaceVC(config.model), config, Frontend.standard("fvmvc"), "pretrain", 7, metrics={"loss": 1.5}
    )
    save_checkpoint(tmp_path / "ckpt", checkpoint)
    return tmp_path / "ckpt"


def _rehash(folder: Path, tensors: dict) -> None:
    save_file(tensors, folder / "model.safetensors")
    header = yaml.safe_load((folder / "config.yaml").read_text())
    header["weights_sha256"] = hash_file(folder / "model.safetensors")
    (folder / "config.yaml").write_text(yaml.safe_dump(header))


def test_nothing_there(tmp_path: Path):
    with pytest.raises(FaceVCError, match=r"expected a checkpoint.*found neither.*import-checkpoint"):
        load_checkpoint(tmp_path)


def test_damaged_weights(saved: Path):
    file = saved / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(FaceVCError, match=r"expected sha256 .*damaged or was changed. Copy it again"):
        load_checkpoint(saved)
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(FaceVCError, match=r"sha256"):
        load_checkpoint(saved)


def test_truncated_though_its_sum_was_taken_after(saved: Path):
    file = saved / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    header = yaml.safe_load((saved / "config.yaml").read_text())
    (saved / "config.yaml").write_text(yaml.safe_dump({**header, "weights_sha256": hash_file(file)}))
    with pytest.raises(FaceVCError, match=r"not a whole safetensors file.*Copy or make it again"):
        load_checkpoint(saved)


@pytest.mark.parametrize("change", ["shape", "missing", "unknown"])
def test_weights_that_do_not_fit_are_named(saved: Path, change: str):
    tensors = load_file(saved / "model.safetensors")
    name = "memory.values"
    if change == "shape":
        tensors[name] = torch.zeros(3, 3)
    elif change == "missing":
        del tensors[name]
    else:
        tensors[name := "memory.colours"] = torch.zeros(1)
    _rehash(saved, tensors)
    with pytest.raises(
        FaceVCError, match=rf"do not fit the configuration .{'wrong shape' if change == 'shape' else change}: {name}"
    ):
        load_checkpoint(saved)


@pytest.mark.parametrize("text", ["", "[", "format: 99\n", "format: 1\n", "- 1\n"])
def test_headers_that_are_none(saved: Path, text: str):
    (saved / "config.yaml").write_text(text)
    with pytest.raises(FaceVCError, match=r"config.yaml: "):
        load_checkpoint(saved)


def test_settings_of_another_version(saved: Path):
    header = yaml.safe_load((saved / "config.yaml").read_text())
    header["config"]["model"]["tempreature"] = 1.0
    (saved / "config.yaml").write_text(yaml.safe_dump(header))
    with pytest.raises(FaceVCError, match=r"no setting 'tempreature'. Did you mean 'temperature'"):
        load_checkpoint(saved)


def test_a_pickle_is_never_loaded(tmp_path: Path, saved: Path):
    torch.save({"model": 1}, saved / "model.safetensors")
    _header = yaml.safe_load((saved / "config.yaml").read_text())
    (saved / "config.yaml").write_text(
        yaml.safe_dump({**_header, "weights_sha256": hash_file(saved / "model.safetensors")})
    )
    with pytest.raises(FaceVCError, match=r"not a whole safetensors file"):
        load_checkpoint(saved)


def test_there_and_back(saved: Path):
    checkpoint = load_checkpoint(saved)
    assert (checkpoint.stage, checkpoint.step, checkpoint.metrics) == ("pretrain", 7, {"loss": 1.5})
    assert checkpoint.config == load_config("toy", overrides=TOY) and checkpoint.frontend == Frontend.standard("fvmvc")
    assert not checkpoint.model.training
    torch.manual_seed(0)
    fresh = FaceVC(checkpoint.config.model).state_dict()
    assert all(torch.equal(v, fresh[k]) for k, v in checkpoint.model.state_dict().items())
    assert isinstance(load_model(saved), FaceVC)


def test_half_precision_on_disk_is_float32_in_memory(saved: Path):
    checkpoint = load_checkpoint(saved)
    save_checkpoint(saved.with_name("half"), checkpoint, dtype=torch.float16)
    half = saved.with_name("half")
    assert (half / "model.safetensors").stat().st_size < 0.6 * (saved / "model.safetensors").stat().st_size
    loaded = load_checkpoint(half).model.state_dict()
    assert {v.dtype for k, v in loaded.items() if "num_batches" not in k} == {torch.float32}
    assert torch.allclose(loaded["memory.values"], checkpoint.model.state_dict()["memory.values"], atol=2e-3)


@pytest.mark.parametrize("moment", [1, 2])
def test_a_crash_while_saving_leaves_a_whole_checkpoint(saved: Path, monkeypatch: pytest.MonkeyPatch, moment: int):
    """The process dies before the `moment`-th rename: the old checkpoint is there, under its own name or as .old."""
    run = saved.parent / "run"
    shutil.copytree(saved, run / "checkpoints" / "last")
    real, calls = os.replace, []

    def dying(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == moment:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", dying)
    checkpoint = load_checkpoint(saved)
    checkpoint.step = 8
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(run / "checkpoints" / "last", checkpoint)
    monkeypatch.undo()
    found = load_checkpoint(run)
    assert found.step == 7 and have_same_weights(locate(run), saved)
    save_checkpoint(run / "checkpoints" / "last", checkpoint)
    assert load_checkpoint(run).step == 8
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["last"]


def test_a_full_disk_says_so_and_keeps_the_old(saved: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    checkpoint = load_checkpoint(saved)
    monkeypatch.setattr("facevc_cli.families.checkpoint.save_file", full)
    with pytest.raises(FaceVCError, match=r"could not be written.*No space left.*Free space"):
        save_checkpoint(saved, checkpoint)
    monkeypatch.undo()
    assert load_checkpoint(saved).step == 7 and [p.name for p in saved.parent.iterdir()] == ["ckpt"]


def test_a_run_gives_its_best(toy_run: Path):
    assert locate(toy_run) == toy_run / "checkpoints" / "best"
    assert locate(toy_run / "checkpoints" / "last") == toy_run / "checkpoints" / "last"
    assert load_checkpoint(toy_run).embedders == {"voice": {"embedder": "random"}}
