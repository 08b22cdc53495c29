"""A model family of another package: the one in examples/family trains, resumes, converts and serves through the
commands as they are.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.commands import call
from helpers.pictures import save_grey
from helpers.plugins import install
from helpers.repository import ROOT
from helpers.sounds import recording
from helpers.stores import Stores, make_stores

from facevc_cli.conversion.converter import Converter
from facevc_cli.families.checkpoint import load_checkpoint

CODE = (ROOT / "examples" / "family" / "facevc_offsets.py").read_text(encoding="utf-8")
SMALL = (
    "model.dvector_dim=256",
    "pretrain.steps=6",
    "train.steps=6",
    "pretrain.checkpoint_every=3",
    "pretrain.workers=0",
    "train.workers=0",
)


@pytest.fixture(scope="module", autouse=True)
def family(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)  # drawing takes longer than the training
        folder = tmp_path_factory.mktemp("site")
        install(folder, patch, "facevc_offsets", CODE, "facevc.families", {"offsets": "FAMILY"})
        yield


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> Stores:
    return make_stores(tmp_path_factory.mktemp("stores"), "fvmvc", face_dim=162, voice_dim=256)


@pytest.fixture(scope="module")
def pretrained(stores, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained") / "run"
    _learn("pretrain", stores, folder, "--preset", "offsets")
    return folder


@pytest.fixture(scope="module")
def trained(stores, pretrained, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    _learn("train", stores, folder, "--faces", stores.faces, "--init", pretrained)
    return folder


def _learn(command: str, stores: Stores, folder: Path, *more: object) -> None:
    settings = [word for setting in SMALL for word in ("--set", setting)]
    given = (stores.features, "--voices", stores.voices, "-o", folder, "-d", "cpu")
    found = call(command, *given, *settings, *more)
    assert found.exit_code == 0, found.stderr


def test_without_the_package_its_checkpoints_are_refused_by_name(trained, stores, tmp_path, monkeypatch):
    monkeypatch.setattr("facevc_cli.core.plugins.entry_points", lambda group: [])
    found = call(
        "convert",
        recording(tmp_path / "s.wav"),
        "--face",
        stores.faces,
        "-o",
        tmp_path / "o.wav",
        "--checkpoint",
        trained,
    )
    assert found.exit_code != 0 and "no model family of this name is installed" in " ".join(found.stderr.split())


def test_a_preset_of_another_family_is_refused(pretrained, stores, tmp_path):
    arguments = (
        "--faces",
        stores.faces,
        "--voices",
        stores.voices,
        "--init",
        pretrained,
        "-o",
        tmp_path / "other",
        "--preset",
        "toy",
    )
    found = call("train", stores.features, *arguments)
    assert found.exit_code == 2 and "expected a preset of" in found.stderr


def test_it_trains_resumes_and_converts(pretrained, trained, stores, analyser, tmp_path):
    whole = load_checkpoint(trained)
    assert (whole.stage, whole.step, whole.config.family, whole.config.name) == ("train", 6, "offsets", "offsets")
    again = tmp_path / "again"
    _learn("pretrain", stores, again, "--preset", "offsets", "--stop-at", "3")
    assert load_checkpoint(again).step == 3
    _learn("pretrain", stores, again, "--preset", "offsets")
    first, second = (load_checkpoint(folder).model.state_dict() for folder in (pretrained, again))
    assert all(torch.equal(first[name], second[name]) for name in first)

    save_grey(tmp_path / "f.png", 90)
    save_grey(tmp_path / "g.png", 30)
    speech = recording(tmp_path / "s.wav", 1.0)
    found = call(
        "convert",
        speech,
        "--face",
        tmp_path / "f.png",
        "--face",
        tmp_path / "g.png",
        "-o",
        tmp_path / "out",
        "--checkpoint",
        trained,
        "--vocoder",
        "griffin-lim",
        "-d",
        "cpu",
    )
    assert found.exit_code == 0, found.stderr
    one, other = (soundfile.read(tmp_path / "out" / f"s__{name}.wav")[0] for name in "fg")
    assert len(one) == len(other) == 16000 and not np.array_equal(one, other)  # another face, another voice
    assert not (tmp_path / "out" / "addresses.safetensors").exists()  # there is no memory
    summary = json.loads(call("info", trained, "--json").stdout)
    assert summary["items"][0]["family"] == "offsets"


def test_what_needs_a_memory_says_so(trained, analyser, tmp_path):
    save_grey(tmp_path / "f.png", 90)
    given = (tmp_path / "f.png", "-o", tmp_path / "c.safetensors", "--checkpoint", trained, "-d", "cpu")
    found = call("voice-card", *given)
    assert found.exit_code == 1 and "has no memory of voices" in " ".join(found.stderr.split())
    assert not (tmp_path / "c.safetensors").exists()


def test_the_page_converts_with_it(trained, analyser, tmp_path):
    from facevc_cli.page.studio import Studio

    folder = tmp_path / "page"
    folder.mkdir()
    studio = Studio(lambda: Converter(trained, "griffin-lim", "cpu"), folder, max_seconds=5.0)
    save_grey(folder / "f.png", 90)
    speech = recording(folder / "s.wav", 1.0)
    studio.hear("page", {"path": str(speech), "orig_name": "s.wav"})
    studio.look("page", 0, [{"path": str(folder / "f.png"), "orig_name": "f.png"}])
    made = studio.convert("page")
    assert made.seconds == 1.0 and made.path.is_file() and not studio.pitched
