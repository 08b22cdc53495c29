"""Voice cards: what they hold, what is refused, and that they speak and mix as the pictures do.

And `nearest`, which ranks by them too.
"""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.checkpoints import checkpoint
from helpers.conversions import config
from helpers.networks import make_embedding, replace_face_analyser, replace_voice_embedder
from helpers.pictures import save_grey
from helpers.sounds import recording
from safetensors import safe_open
from safetensors.numpy import save_file

from facevc_cli.conversion.card import describe_address, load_card, save_card
from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SilentReporter
from facevc_cli.faces.analyser import FaceObservation
from facevc_cli.files.audio import load_audio, save_audio
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.image import save_image
from facevc_cli.stages import convert, nearest, voice_card
from facevc_cli.stages.nearest import NearestConfig, locate_voice
from facevc_cli.stages.voice_card import VoiceCardConfig, describe_voice

pytestmark = pytest.mark.usefixtures("analyser")


@pytest.fixture
def inputs(tmp_path):
    recording(tmp_path / "s.wav", 0.3)
    for name, value in {"faces/bob": 160, "faces/eve": 40, "anna/1": 90, "anna/2": 91}.items():
        save_grey(tmp_path / f"{name}.png", value)
    return tmp_path


@pytest.fixture
def make(inputs, model):
    def card(*faces, to="card.safetensors", **changes):
        given = {"checkpoint": model, "device": "cpu", **changes}
        return voice_card.run(VoiceCardConfig(faces=tuple(faces), output=inputs / to, **given))

    return card


@pytest.fixture
def speak(inputs, model):
    def convert_to(name, **changes):
        given = {"sources": (inputs / "s.wav",), "faces": (), "output": inputs / name, "watermark": False, **changes}
        return convert.run(config(inputs, model, **given))

    return convert_to


# what is refused


def test_cards_that_cannot_be_made(inputs, make):
    bob = inputs / "faces" / "bob.png"
    save_image(inputs / "dark.png", np.zeros((40, 40, 3), np.uint8))
    (inputs / "there.safetensors").write_bytes(b"mine")
    for faces, changes, kind, reason in (
        ((), {}, UsageError, "either pictures of one person or a mix"),
        ((bob,), {"mix": "a=1 b=1"}, UsageError, "either"),
        ((bob,), {"to": "card.wav"}, UsageError, r"ends in \.safetensors"),
        ((bob,), {"temperature": 0.0}, UsageError, "--temperature"),
        ((inputs / "nowhere.png",), {}, FaceVCError, "no such file"),
        ((inputs / "there.safetensors",), {}, UsageError, "is a voice card already"),
        ((inputs / "dark.png",), {}, FaceVCError, "expected a face"),
        ((bob,), {"to": "there.safetensors"}, FaceVCError, "--overwrite"),
        ((), {"mix": f"{bob}=1"}, UsageError, "at least two"),
        ((bob,), {"to": "s.wav/card.safetensors"}, FaceVCError, r"s\.wav could not be written.*Choose another output"),
    ):
        with pytest.raises(kind, match=reason):
            make(*faces, **changes)
    assert not (inputs / "card.safetensors").exists() and (inputs / "there.safetensors").read_bytes() == b"mine"


def damaged(card, path):
    """Every way in which a card is none -> the files."""
    whole = card.read_bytes()
    with safe_open(card, "np") as file:
        texts, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    (path / "cut.safetensors").write_bytes(whole[:-9])
    (path / "empty.safetensors").write_bytes(b"")
    (path / "text.safetensors").write_text("a card")
    save_file({"speaker": tensors["speaker"]}, path / "half.safetensors", texts)
    save_file({**tensors, "speaker": np.full(256, np.nan, np.float32)}, path / "nan.safetensors", texts)
    save_file({**tensors, "address": tensors["address"] * 2}, path / "double.safetensors", texts)
    save_file({**tensors, "address": tensors["address"][None]}, path / "square.safetensors", texts)
    save_file(tensors, path / "temperature.safetensors", {**texts, "temperature": "warm"})
    save_file(tensors, path / "origin.safetensors", {**texts, "origin": "{"})
    save_file(tensors, path / "frozen.safetensors", {**texts, "temperature": "nan"})
    save_file(tensors, path / "undated.safetensors", {name: text for name, text in texts.items() if name != "made"})
    return sorted(path.glob("*.safetensors"))


def test_damaged_cards(inputs, make, tmp_path):
    make(inputs / "faces" / "bob.png")
    (tmp_path / "bad").mkdir()
    files = damaged(inputs / "card.safetensors", tmp_path / "bad")
    assert len(files) == 11
    for file in files:
        with pytest.raises(FaceVCError, match="expected a voice card.*Make it again") as raised:
            load_card(file)
        assert str(file) in str(raised.value) and "\n" not in str(raised.value)


def test_what_never_was_a_card(tmp_path):
    (tmp_path / "folder.safetensors").mkdir()
    save_file(
        {"b": np.zeros(3), "a": np.zeros(1), "d": np.zeros(1), "c": np.zeros(1)}, tmp_path / "weights.safetensors"
    )
    save_file({}, tmp_path / "none.safetensors", {"kind": "a diary"})
    for name, said in (
        ("weights", r"of another kind \(4 tensors: a, b, c, \.\.\.\)"),
        ("none", r"another kind \(without tensors\)"),
        ("absent", "no such voice card"),
        ("folder", "damaged file or another kind"),
    ):
        with pytest.raises(FaceVCError, match=said):
            load_card(tmp_path / f"{name}.safetensors")


def test_facts_of_an_address_by_hand():
    found = describe_address(np.array([0.125, 0.5, 0, 0.25, 0, 0.125, 0], np.float32))
    assert (found["address_entropy_bits"], found["slots"]) == (1.75, 7)
    assert [(one["slot"], one["share"]) for one in found["top_slots"]] == [
        (1, 0.5),
        (3, 0.25),
        (0, 0.125),
        (5, 0.125),
        (2, 0.0),
    ]
    assert describe_address(np.array([1.0])) == {
        "address_entropy_bits": 0.0,
        "slots": 1,
        "top_slots": [{"slot": 0, "share": 1.0}],
    }


def test_a_card_of_a_later_format(inputs, make):
    make(inputs / "faces" / "bob.png")
    with safe_open(inputs / "card.safetensors", "np") as file:
        texts, tensors = file.metadata(), {name: file.get_tensor(name) for name in ("speaker", "address")}
    save_file(tensors, inputs / "later.safetensors", {**texts, "format": "2"})
    with pytest.raises(FaceVCError, match="found format 2. Update facevc"):
        load_card(inputs / "later.safetensors")


def test_another_models_card_is_refused_by_name(inputs, make, speak, tmp_path):
    other = checkpoint(tmp_path / "other", "starter", seed=1)
    make(inputs / "faces" / "bob.png", checkpoint=other)
    card = load_card(inputs / "card.safetensors")
    summary = speak("out", faces=(inputs / "card.safetensors",))
    ((item, reason),) = summary.failures
    assert (
        item == "s__card.wav"
        and f"recalled by the model 'starter' with the weights {card.weights_sha256}" in reason
        and "--checkpoint" in reason
    )
    assert speak("there", faces=(inputs / "card.safetensors",), checkpoint=other).done == 1


# what it holds and does


def test_what_a_card_holds(inputs, make, model):
    bob = inputs / "faces" / "bob.png"
    summary = make(bob, temperature=0.5)
    card = load_card(inputs / "card.safetensors")
    converter = Converter(model, "griffin-lim", "cpu")
    target = converter.target_from_face(bob, 0.5)
    np.testing.assert_allclose(card.speaker, target.speaker[0], rtol=1e-6)
    np.testing.assert_allclose(card.address, target.address[0], rtol=1e-6)
    assert card.origin == ({"file": "bob.png", "sha256": hash_file(bob), "share": "1.0000"},)
    assert (card.model, card.temperature) == ("starter", 0.5) and card.weights_sha256 == hash_file(
        model / "model.safetensors"
    )[:16]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", card.made) and card.facevc
    whole = (inputs / "card.safetensors").read_bytes()
    assert str(inputs).encode() not in whole and len(whole) < 4096  # neither folders nor a picture
    assert (inputs / "card.safetensors").stat().st_mode & 0o777 == 0o644
    assert summary.data["pitch_hz"] == pytest.approx(np.exp(float(converter.find_log_f0(target))), abs=0.1)
    save_card(inputs / "again.safetensors", card)
    again = load_card(inputs / "again.safetensors")
    assert np.array_equal(again.speaker, card.speaker) and np.array_equal(again.address, card.address)
    assert replace(again, speaker=card.speaker, address=card.address) == card


def test_what_was_recalled_by_hand(model):
    converter = Converter(model, "griffin-lim", "cpu")
    target = replace(
        converter.target_from_embedding(make_embedding(converter)),
        address=torch.tensor([[0.5, 0.25, 0, 0.25, 0, 0, 0, 0]]),
    )
    found = describe_voice(converter, target)
    assert found["address_entropy_bits"] == 1.5 and found["slots"] == 8 and len(found["top_slots"]) == 5
    assert found["top_slots"][0] == {"slot": 0, "share": 0.5} and {one["slot"] for one in found["top_slots"][1:3]} == {
        1,
        3,
    }


def test_a_model_that_predicts_no_pitch(inputs, make, tmp_path):
    assert make(inputs / "faces" / "bob.png", checkpoint=checkpoint(tmp_path / "toy")).data["pitch_hz"] is None


def test_several_pictures_and_those_left_out(inputs, make, model, analyser):
    save_image(inputs / "anna" / "dark.png", np.zeros((40, 40, 3), np.uint8))
    make(inputs / "anna")
    card = load_card(inputs / "card.safetensors")
    assert [(part["file"], part["share"]) for part in card.origin] == [("1.png", "0.5000"), ("2.png", "0.5000")]
    both = Converter(model, "griffin-lim", "cpu").target_from_faces(
        [inputs / "anna" / "1.png", inputs / "anna" / "2.png"]
    )
    np.testing.assert_allclose(card.speaker, both.speaker[0], rtol=1e-5)


def test_a_card_speaks_as_its_picture_without_face_networks(inputs, make, speak, monkeypatch):
    bob = inputs / "faces" / "bob.png"
    make(bob, to="faces/bobcard.safetensors")
    assert speak("out", faces=(inputs / "faces",)).done == 3  # a card among pictures
    spoken = {name: load_audio(inputs / "out" / f"s__{name}.wav")[0] for name in ("bob", "bobcard", "eve")}
    np.testing.assert_allclose(spoken["bobcard"], spoken["bob"], atol=5e-5)
    assert np.abs(spoken["eve"] - spoken["bob"]).max() > 2e-4
    monkeypatch.setattr("facevc_cli.faces.analyser.make_analyser", None)  # to load face networks would be a TypeError
    assert speak("alone", faces=(inputs / "faces" / "bobcard.safetensors",)).done == 1


def test_cards_mix_as_pictures_do(inputs, make, model):
    bob, eve = inputs / "faces" / "bob.png", inputs / "faces" / "eve.png"
    make(bob, to="bob.safetensors")
    make(to="mixed.safetensors", mix=f"{inputs / 'bob.safetensors'}=.7 {eve}=.3")
    card = load_card(inputs / "mixed.safetensors")
    assert [(part["file"], part["share"]) for part in card.origin] == [
        ("bob.safetensors", "0.7000"),
        ("eve.png", "0.3000"),
    ]
    converter = Converter(model, "griffin-lim", "cpu")
    mixed = converter.target_from_mix([converter.target_from_face(bob), converter.target_from_face(eve)], [0.7, 0.3])
    np.testing.assert_allclose(card.address, mixed.address[0], rtol=1e-4, atol=1e-7)
    assert torch.equal(
        converter.target_from_face(inputs / "mixed.safetensors").speaker, converter.target_from_card(card).speaker
    )


# nearest


class ByGrey:
    """A picture's grey chooses its embedding, so that a test knows which voice is recalled for which."""

    def __init__(self, embeddings):
        self.embeddings = embeddings

    def analyse(self, image):
        return FaceObservation(np.zeros(4, np.float32), 1.0, 1, self.embeddings[int(image[0, 0, 0])], image)


@pytest.fixture
def ranking(inputs, model, monkeypatch):
    """Faces 40, 90, 160 whose recalled voices are those of the slots 0, 1, 2; recordings named after slots, too."""
    converter = Converter(model, "griffin-lim", "cpu")
    greys, memory = {40: 0, 90: 1, 160: 2}, converter.model.memory

    monkeypatch.setattr(nearest, "Converter", lambda *_, **__: converter)
    replace_face_analyser(monkeypatch, ByGrey({grey: np.full(162, slot, np.float32) for grey, slot in greys.items()}))
    sharp = torch.full((1, len(memory.values)), -50.0)

    def recall(given, temperature=None):
        address = sharp.clone()
        address[0, int(given[0, 0])] = 0
        address = address.softmax(-1)
        return memory.recall(address.log()), address

    monkeypatch.setattr(converter.model, "recall_face", recall)
    embedder = type(
        "Embedder",
        (),
        {"embed": lambda self, wav: memory.values[round(float(np.abs(wav).max()) * 10)].detach().numpy()},
    )()
    replace_voice_embedder(monkeypatch, embedder)
    memory.temperature = 0.01  # an untrained memory's slots lie close
    for slot in range(3):
        wav = np.zeros(4000, np.float32)
        wav[::50] = slot / 10 + 0.02
        save_audio(inputs / "voices" / f"slot{slot}.wav", wav, 16000)
    return lambda *candidates, **changes: nearest.run(
        NearestConfig(candidates=candidates, checkpoint=model, device="cpu", **changes), SilentReporter()
    )


def test_nearest_faces_and_voices(inputs, ranking):
    save_grey(inputs / "faces" / "mid.png", 90)
    found = ranking(inputs / "faces", voice=inputs / "voices" / "slot2.wav").data["ranking"]
    assert (
        [one["rank"] for one in found] == [1, 2, 3] and found[0]["id"] == "bob" and found[0]["file"].endswith("bob.png")
    )
    assert found[0]["score"] > 0.95 and found[0]["score"] >= found[1]["score"] >= found[2]["score"]
    for name, slot in {"eve": 0, "mid": 1, "bob": 2}.items():
        (best,) = ranking(inputs / "voices", face=inputs / "faces" / f"{name}.png", top=1).data["ranking"]
        assert best["id"] == f"slot{slot}"


def test_nearest_takes_cards_and_lists_what_cannot_be_used(inputs, ranking, make):
    make(inputs / "faces" / "bob.png", to="faces/card.safetensors")
    (inputs / "faces" / "bad.safetensors").write_bytes(b"")
    summary = ranking(inputs / "faces", voice=inputs / "voices" / "slot1.wav")
    assert [item for item, _ in summary.failures] == ["bad"] and {one["id"] for one in summary.data["ranking"]} == {
        "bob",
        "eve",
        "card",
    }
    assert len(ranking(inputs / "voices", face=inputs / "faces" / "card.safetensors").data["ranking"]) == 3
    json.dumps(summary.data)


def test_what_nearest_refuses(inputs, ranking):
    voice, face = inputs / "voices" / "slot0.wav", inputs / "faces" / "bob.png"
    for changes, kind, reason in (
        ({}, UsageError, "either --voice"),
        ({"voice": voice, "face": face}, UsageError, "either --voice"),
        ({"face": inputs / "faces"}, UsageError, "expected one file"),
        ({"voice": inputs / "none.wav"}, FaceVCError, "no such file"),
        ({"face": face}, FaceVCError, "nothing to do"),
    ):
        with pytest.raises(kind, match=reason):
            ranking(inputs / "faces", **changes)


def test_a_place_is_seen_from_the_middle_of_the_slots(model):
    converter = Converter(model, "griffin-lim", "cpu")
    values = torch.nn.functional.normalize(converter.model.memory.values.detach(), dim=-1)
    target = converter.target_from_embedding(make_embedding(converter))
    seen = target.speaker[0] - values.mean(0)
    torch.testing.assert_close(locate_voice(converter, target), seen / seen.norm(), rtol=1e-4, atol=1e-5)
