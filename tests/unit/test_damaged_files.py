"""Files that a disk, a download or an editor damaged: each reader says so in one error, whatever the damage."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.damage import mutate
from helpers.stores import TOY

from facevc_cli.conversion.card import VoiceCard, load_card, save_card
from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.evaluation.cache import Cache
from facevc_cli.families.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from facevc_cli.families.fvmvc.model import FaceVC
from facevc_cli.families.fvmvc.published import convert_published, read_published
from facevc_cli.families.presets import load_config
from facevc_cli.files.arrays import read_npy
from facevc_cli.files.tables import read_table, write_table
from facevc_cli.manifest.contract import COLUMNS
from facevc_cli.manifest.manifest import Addresses, Manifest, read_addresses
from facevc_cli.training.loop import read_progress
from facevc_cli.training.weights import read_tensors

TRIES = 60


def survive(path: Path, read: Callable[[], object], first_seed: int = 0) -> int:
    """Reads `path` damaged in sixty ways; how often it was refused.

    Anything but a result or a FaceVCError fails the test.
    """
    whole, refused = path.read_bytes(), 0
    for seed in range(first_seed, first_seed + TRIES):
        path.write_bytes(mutate(whole, seed))
        try:
            read()
        except FaceVCError as error:
            assert len(str(error)) < 1500, seed
            refused += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    path.write_bytes(whole)
    read()  # whole again, it is read
    return refused


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = load_config("toy", overrides=TOY)
    metrics = {"step": 7, "best_loss": 1.5, "validation": {"loss": 1.5}}
    embedders = {
        "voice": {"embedder": "resemblyzer", "rate": 16000},
        "face": {"detector": "dlib", "embedder": "fused", "on_many": "largest"},
    }
    save_checkpoint(
        tmp_path / "ckpt",
        Checkpoint(FaceVC(config.model), config, Frontend.standard("fvmvc"), "train", 7, embedders, metrics),
    )
    return tmp_path / "ckpt"


def test_settings(tmp_path: Path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "model:\n  slots: 5\n  decoder: {channels: 32}\npretrain:\n  optimiser: {learning_rate: 1e-4, betas: [0.9, "
        "0.99]}\n  steps: 100\n"
    )
    assert survive(path, lambda: load_config("toy", path)) > TRIES // 2


@pytest.mark.parametrize("name", ["config.yaml", "metrics.json", "model.safetensors"])
def test_checkpoints(saved: Path, name: str):
    assert survive(saved / name, lambda: load_checkpoint(saved)) > TRIES // 2


def test_progress_of_a_run(saved: Path):
    assert survive(saved / "metrics.json", lambda: read_progress(saved / "metrics.json"), first_seed=1000) > TRIES // 2


def test_safetensors(saved: Path):
    survive(saved / "model.safetensors", lambda: read_tensors(saved / "model.safetensors"), first_seed=2000)


def test_voice_cards(tmp_path: Path):
    card = VoiceCard(
        np.ones(8, np.float32),
        np.full(4, 0.25, np.float32),
        "toy",
        "0" * 16,
        1.0,
        ({"file": "a.jpg", "share": "1"},),
        "2026-01-01",
        "0.1.0",
    )
    save_card(tmp_path / "a.safetensors", card)
    assert survive(tmp_path / "a.safetensors", lambda: load_card(tmp_path / "a.safetensors")) > TRIES // 3


def test_addresses(tmp_path: Path):
    addresses = Addresses(tmp_path, np.ones((4, 8)))
    addresses.put(tmp_path / "faces" / "a.jpg", np.full(4, 0.25))
    addresses.save()
    assert read_addresses(tmp_path / "addresses.safetensors")[0] == ["faces/a.jpg"]
    survive(tmp_path / "addresses.safetensors", lambda: read_addresses(tmp_path / "addresses.safetensors"))


def test_statistics(tmp_path: Path):
    np.save(tmp_path / "s.npy", np.ones((2, 80), np.float32))
    survive(tmp_path / "s.npy", lambda: read_npy(tmp_path / "s.npy"))


@pytest.mark.parametrize(
    "shape", ["(2, 1099511627776)", "(1099511627776, 1099511627776)", "(-2, 80)", "(2, 80, 80)", "(True, 80)"]
)
def test_statistics_whose_header_lies(tmp_path: Path, shape: str):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    (tmp_path / "s.npy").write_bytes(
        b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(2 * 80 * 4)
    )
    with pytest.raises(FaceVCError, match="not a .npy array of numbers"):
        read_npy(tmp_path / "s.npy")


def test_manifests(tmp_path: Path):
    row = dict.fromkeys(COLUMNS, "") | {
        "converted": "a__b.wav",
        "status": "done",
        "key": "0123456789abcdef",
        "source": "../a.wav",
        "seconds": "1.5",
    }
    write_table(tmp_path / "manifest.csv", [row, row | {"converted": "a__c.wav"}])
    assert survive(tmp_path / "manifest.csv", lambda: Manifest(tmp_path)) > TRIES // 3


def test_published_checkpoints(tmp_path: Path):
    scope = {"conv.weight": torch.zeros(8, 4, 3)}
    torch.save({"encoder": scope, "encoder_spk": {}, "decoder": {}, "step": 3}, tmp_path / "p.pt")
    assert survive_published(tmp_path / "p.pt") > TRIES // 3


def survive_published(path: Path) -> int:
    def read() -> None:
        try:
            convert_published(read_published(path))
        except FaceVCError as error:
            if "lacks encoder_spk" not in str(error):  # which the small one does when whole
                raise

    return survive(path, read)


def test_a_judges_memory_is_begun_anew(tmp_path: Path):
    cache = Cache(tmp_path / "c.npz")
    cache.put("a", np.ones(3, np.float32))
    cache.save()
    assert survive(tmp_path / "c.npz", lambda: Cache(tmp_path / "c.npz").get("a")) == 0
    assert Cache(tmp_path / "c.npz").get("a").tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("metrics", "fault"),
    [
        ("[" * 100_000, "not JSON: nested too deep"),
        ("[]", "expected JSON that holds a dict"),
        ('{"best_loss": 1.0, "validation": {}}', "step: expected a count of steps, found None"),
        ('{"step": true, "best_loss": 1.0, "validation": {}}', "step: expected a count of steps, found True"),
        ('{"step": 1, "best_loss": "low", "validation": {}}', "best_loss: expected a number or null, found 'low'"),
        ('{"step": 1, "best_loss": null, "validation": [1]}', "validation: expected numbers by name"),
        ('{"step": ' + "9" * 5000 + "}", "not JSON: Exceeds the limit"),
    ],
)
def test_metrics_that_say_something_else(saved: Path, metrics: str, fault: str):
    (saved / "metrics.json").write_text(metrics)
    with pytest.raises(FaceVCError, match=fault):
        read_progress(saved / "metrics.json")


def test_a_nul_in_a_table_names_the_line(tmp_path: Path):
    (tmp_path / "t.csv").write_bytes(b"source,face\na.wav,b.jpg\na\x00.wav,b.jpg\n")
    with pytest.raises(FaceVCError, match="line 3 holds a zero byte"):
        read_table(tmp_path / "t.csv")


def test_names_that_are_not_utf8_are_refused_by_tables_and_kept_by_json(tmp_path: Path):
    from facevc_cli.files.atomic import write_text

    with pytest.raises(FaceVCError, match=r"no UTF-8 text .*'bad\\udcff'.* Rename"):
        write_table(tmp_path / "t.csv", [{"a": "bad\udcff"}])
    assert not list(tmp_path.iterdir())
    write_text(tmp_path / "m.json", json.dumps({"a": "bad\udcff"}, ensure_ascii=False))
    assert json.loads((tmp_path / "m.json").read_bytes()) == {"a": "bad\udcff"}


def test_an_old_manifest_with_absolute_paths_is_read_and_made_relative(tmp_path: Path):
    home, out = tmp_path / "somebody", tmp_path / "somebody" / "out"
    out.mkdir(parents=True)
    row = dict.fromkeys(COLUMNS, "") | {
        "converted": str(home / "a.wav"),
        "status": "done",
        "key": "k",
        "source": str(home / "a.wav"),
        "references": f"{home}/r1.wav|{home}/r2.wav",
    }
    write_table(out / "manifest.csv", [row])
    manifest = Manifest(out)
    manifest.save(always=True)
    (found,) = read_table(out / "manifest.csv")
    assert (found["converted"], found["source"], found["references"]) == ("../a.wav", "../a.wav", "../r1.wav|../r2.wav")
    assert os.sep not in found["face"]
