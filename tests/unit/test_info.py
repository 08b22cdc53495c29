"""stages/info.py and its command: what is there, said truly."""

import json
import subprocess
import sys

import numpy as np
import yaml
from stores import Stores
from tiny import checkpoint as tiny_checkpoint

from facevc_cli import __version__
from facevc_cli.io.checkpoint import load_checkpoint
from facevc_cli.io.store import Item, StoreWriter
from facevc_cli.stages.info import OPTIONAL, InfoConfig, describe, run


def test_installation():
    found = run(InfoConfig()).data["installation"]
    assert (found["facevc"], found["packages"]["numpy"]) == (__version__, np.__version__)
    assert found["device"].split(":")[0] in ("cpu", "cuda", "mps")
    assert found["found"].keys() == OPTIONAL.keys()
    assert found["presets"] == ["fvmvc", "starter", "toy"]


def test_installation_without_the_optional_packages(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert all(text.startswith("not installed") for text in run(InfoConfig()).data["installation"]["found"].values())


def test_store(tmp_path):
    with StoreWriter(tmp_path / "f.h5", "extract-features", {"mel": "fvmvc"}) as writer:
        for i, (speaker, split) in enumerate([("a", "train"), ("a", "train"), ("b", "valid")]):
            frames = {"mel": np.zeros((10 + i, 4), np.float32)}
            writer.add(Item(f"{speaker}/{i}", speaker, frames, {"v": np.zeros(2)}, {"seconds": 1200.0, "split": split}))
        writer.merge([], statistics={"mel_mean": np.array([1.0, 2.0])})
    found = describe(tmp_path / "f.h5")
    assert (found["kind"], found["stage"], found["items"], found["speakers"]) == ("store", "extract-features", 3, 2)
    assert (found["frames"], found["vectors"], found["hours"]) == ({"mel": 33}, {"v": [3, 2]}, 1.0)
    assert found["splits"] == {"train": 2, "valid": 1}
    assert found["statistics"]["mel_mean"] == {"shape": [2], "least": 1.0, "mean": 1.5, "most": 2.0}


def test_checkpoint_and_run(tmp_path, toy_run, toy_stores: Stores):
    folder = tiny_checkpoint(tmp_path / "model")
    found = describe(folder)
    model = load_checkpoint(folder).model
    assert (found["kind"], found["stage"], found["preset"]) == ("checkpoint", "train", "toy")
    assert found["parameters"]["all"] == sum(p.numel() for p in model.parameters())
    assert found["embedders"]["face"]["embedder"] == "dlib"
    found = describe(toy_run)
    assert (found["kind"], found["stage"], found["step"], found["starts"]) == ("run", "pretrain", load_checkpoint(toy_run).step, 1)
    assert found["losses"]["last"]["step"] == "4"
    assert describe(toy_stores.voices)["vectors"] == {"dvector": [5, 16]}


def test_what_is_neither_is_listed_and_the_rest_described(tmp_path):
    (tmp_path / "x.wav").write_text("x")
    folder = tiny_checkpoint(tmp_path / "model")
    summary = run(InfoConfig((tmp_path / "x.wav", tmp_path / "absent", tmp_path, folder)))
    assert [len(summary.failures), summary.done] == [3, 1]
    assert "expected an HDF5 store" in summary.failures[0][1]


def facevc(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "facevc_cli", "info", *arguments], capture_output=True, text=True, check=False)


def test_command_writes_data_to_stdout(tmp_path):
    folder = str(tiny_checkpoint(tmp_path / "model"))
    told = facevc(folder, str(tmp_path / "absent"))
    assert told.returncode == 1
    assert yaml.safe_load(told.stdout)["stage"] == "train"
    assert "absent" in told.stderr
    told = facevc(folder, "--json")
    assert told.returncode == 0
    assert json.loads(told.stdout)["items"][0]["path"] == folder
