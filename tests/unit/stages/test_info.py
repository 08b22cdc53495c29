"""stages/info.py and its command: what is there, said truly."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import torch
import yaml
from helpers.checkpoints import checkpoint as tiny_checkpoint
from helpers.networks import make_embedding
from helpers.sounds import recording
from helpers.stores import Stores
from safetensors.numpy import save_file

from facevc_cli import __version__
from facevc_cli.conversion.card import save_card
from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import OPTIONAL
from facevc_cli.corpus.store import Item
from facevc_cli.corpus.store_writer import StoreWriter
from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.files.audio import save_audio
from facevc_cli.stages.info import InfoConfig, describe, run
from facevc_cli.voices.traits import TraitReader


def test_installation():
    found = run(InfoConfig()).data["installation"]
    assert (found["facevc"], found["packages"]["numpy"]) == (__version__, np.__version__)
    assert found["device"].split(":")[0] in ("cpu", "cuda", "mps")
    assert found["found"].keys() == {package.distribution for package in OPTIONAL}
    assert found["presets"] == ["cmpc", "cmpc-resnet", "fvmvc", "starter", "toy", "xfavot", "xfavot-64"]


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
    assert found["embedders"]["face"]["embedder"] == "fused"
    found = describe(toy_run)
    assert (found["kind"], found["stage"], found["step"], found["starts"]) == (
        "run",
        "pretrain",
        load_checkpoint(toy_run).step,
        1,
    )
    assert found["losses"]["last"]["step"] == "4"
    assert describe(toy_stores.voices)["vectors"] == {"dvector": [5, 16]}


def test_what_is_neither_is_listed_and_the_rest_described(tmp_path):
    (tmp_path / "x.h5").write_text("x")
    (tmp_path / "notes.txt").write_text("x")
    folder = tiny_checkpoint(tmp_path / "model")
    summary = run(InfoConfig(paths=(tmp_path / "x.h5", tmp_path / "absent", tmp_path, folder, tmp_path / "notes.txt")))
    assert [len(summary.failures), summary.done] == [4, 1]
    assert "expected an HDF5 store" in summary.failures[0][1]
    assert "a picture or a recording, found another kind of file" in summary.failures[3][1]


# voice cards


@pytest.fixture
def card(model, tmp_path):
    """Of a model of eight slots, with an address made by hand."""
    converter = Converter(model, "griffin-lim", "cpu")
    made = converter.make_card(
        converter.target_from_embedding(make_embedding(converter)),
        [{"file": "anna.jpg", "sha256": "ab", "share": "1.0000"}],
        0.5,
    )
    address = np.array([0.125, 0.5, 0, 0.25, 0, 0.125, 0, 0], np.float32)
    save_card(tmp_path / "anna.safetensors", replace(made, address=address))
    return tmp_path / "anna.safetensors"


def test_a_voice_card(card, model):
    summary = run(InfoConfig(paths=(card,), checkpoint=model))
    (found,) = summary.data["items"]
    converter = Converter(model, "griffin-lim", "cpu")
    assert (found["kind"], found["model"], found["model_here"], found["temperature"]) == (
        "voice card",
        "starter",
        True,
        0.5,
    )
    assert found["weights_sha256"] == converter.checkpoint.weights_sha256[:16] and found["facevc"] == __version__
    assert found["origin"] == [{"file": "anna.jpg", "sha256": "ab", "share": "1.0000"}]
    assert found["made"] == date.today().isoformat()
    assert (found["address_entropy_bits"], found["slots"]) == (1.75, 8)
    assert (
        found["top_slots"][:4] == [{"slot": s, "share": p} for s, p in ((1, 0.5), (3, 0.25), (0, 0.125), (5, 0.125))]
        and len(found["top_slots"]) == 5
    )
    assert (
        found["pitch_hz"] == pytest.approx(math.exp(converter.find_log_f0(converter.target_from_card(card))), abs=0.05)
        and "note" not in found
    )


def test_a_card_of_a_model_that_is_not_here_or_predicts_no_pitch(card, tmp_path, monkeypatch):
    found = describe(
        card, lambda: Converter(tiny_checkpoint(tmp_path / "other", "starter", seed=1), "griffin-lim", "cpu")
    )
    assert (
        (found["model_here"], found["pitch_hz"]) == (False, None)
        and "--checkpoint" in found["note"]
        and found["slots"] == 8
    )
    monkeypatch.setattr(
        "facevc_cli.stages.info.find_bundled_checkpoint", lambda: (_ for _ in ()).throw(FaceVCError("none"))
    )
    assert describe(card)["model_here"] is False  # an installation without a model
    toy = Converter(tiny_checkpoint(tmp_path / "toy"), "griffin-lim", "cpu")
    save_card(tmp_path / "toy.safetensors", toy.make_card(toy.target_from_embedding(make_embedding(toy)), []))
    found = describe(tmp_path / "toy.safetensors", lambda: toy)
    assert (found["model_here"], found["pitch_hz"], found["note"]) == (True, None, "this model predicts no pitch")


def test_the_model_is_loaded_once_and_for_cards_alone(card, model, tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr(
        "facevc_cli.stages.info.Converter",
        lambda checkpoint, *rest: (loaded.append(checkpoint), Converter(checkpoint, *rest))[1],
    )
    shutil.copy(card, tmp_path / "again.safetensors")
    assert run(InfoConfig(paths=(model,), checkpoint=model)).done == 1 and loaded == []
    assert run(InfoConfig(paths=(card, tmp_path / "again.safetensors"), checkpoint=model)).done == 2 and loaded == [
        model
    ]


def test_what_is_no_card_is_said_in_one_error(card, model, tmp_path):
    whole = card.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-9])
    (tmp_path / "text.safetensors").write_text("a card")
    save_file({"weight": np.zeros(3), "bias": np.zeros(1)}, tmp_path / "foreign.safetensors", {"format": "pt"})
    named = [tmp_path / f"{name}.safetensors" for name in ("cut", "text", "foreign", "absent")]
    summary = run(InfoConfig(paths=(*named, model / "model.safetensors", card), checkpoint=model))
    assert summary.done == 1 and len(summary.failures) == 5
    for (item, reason), said in zip(
        summary.failures,
        (
            "damaged file",
            "damaged file",
            "another kind (2 tensors: bias, weight)",
            "no such voice card",
            "Name its folder",
        ),
        strict=True,
    ):
        assert said in reason and reason.startswith(item) and "\n" not in reason


def test_a_recording(tmp_path, monkeypatch):
    """By hand: the register is .5 + .7 .6 = .92, the age 40 - .8 30 = 16, and 16 < .5 30 + 20."""
    weight = torch.zeros(2, 256)
    weight[0, 0], weight[1, 1] = 0.7, 30.0
    reader = TraitReader(weight, torch.tensor([0.5, 40.0]), (0.5, 20.0), 4.0)
    monkeypatch.setattr("facevc_cli.conversion.voice_description.load_trait_reader", lambda: reader)
    heard = []

    class Ear:
        def embed(self, wav):
            heard.append(len(wav))
            if not np.any(wav):
                raise FaceVCError("the recording is silent")
            return np.array([0.6, -0.8, *[0] * 254], np.float32)

    path = recording(tmp_path / "v.wav", 0.5)
    found = describe(path, embedder=Ear)
    assert heard == [8000]
    assert found == {
        "path": str(path),
        "kind": "voice",
        "seconds": 0.5,
        "register": 0.92,
        "register_word": "feminine",
        "certainty": 0.84,
        "age_group": "young",
    }
    reader = replace(reader, register_evidence=1.0)
    monkeypatch.setattr("facevc_cli.conversion.voice_description.load_trait_reader", lambda: reader)
    assert "between the registers" in describe(path, embedder=Ear)["note"]
    save_audio(tmp_path / "silent.wav", np.zeros(8000, np.float32), 16000)
    with pytest.raises(FaceVCError, match=r"silent.wav: the recording is silent"):
        describe(tmp_path / "silent.wav", embedder=Ear)


def facevc(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "facevc_cli", "info", *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_command_writes_data_to_stdout(tmp_path, card, model):
    folder = str(tiny_checkpoint(tmp_path / "model"))
    told = facevc(folder, str(tmp_path / "absent"))
    assert told.returncode == 1
    assert yaml.safe_load(told.stdout)["stage"] == "train"
    assert "absent" in told.stderr
    told = facevc(folder, "--json")
    assert told.returncode == 0
    assert json.loads(told.stdout)["items"][0]["path"] == folder
    told = facevc(str(card), "--checkpoint", str(model))
    assert told.returncode == 0 and yaml.safe_load(told.stdout)["origin"][0]["file"] == "anna.jpg"
    assert facevc(str(card), "--checkpoint", str(tmp_path / "nowhere")).returncode == 1
