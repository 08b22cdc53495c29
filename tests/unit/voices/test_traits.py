"""Register and age of a d-vector: the arithmetic by hand, and the packaged weights on the bundled voices."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.audio import load_audio
from facevc_cli.voices import traits
from facevc_cli.voices.dvector import VOICE_RATE, VoiceEmbedder
from facevc_cli.voices.traits import TraitReader, load_trait_reader

EXAMPLES = Path(__file__).parents[3] / "examples"


def make_reader() -> TraitReader:
    """A reader whose register is twice the first number plus .5, and whose age is 10 times the second plus 40."""
    weight = torch.zeros(2, 256)
    weight[0, 0], weight[1, 1] = 2.0, 10.0
    return TraitReader(weight, torch.tensor([0.5, 40.0]), (0.5, 20.0), 4.0)


@pytest.fixture
def copied_assets(tmp_path, monkeypatch):
    """The reader looks for its files in a copy of the package's folder."""
    package = Path(traits.__file__).parents[1]
    (tmp_path / "assets").mkdir()
    for suffix in (".safetensors", ".json"):
        shutil.copy(package / traits.ASSET.replace(".safetensors", suffix), tmp_path / "assets")
    (tmp_path / "voices").mkdir()
    monkeypatch.setattr(traits, "__file__", str(tmp_path / "voices" / "traits.py"))
    load_trait_reader.cache_clear()
    yield tmp_path / "assets"
    load_trait_reader.cache_clear()


def test_weights_that_do_not_fit_their_card_are_refused(copied_assets):
    card = copied_assets / "voice_traits.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"sha256": "0" * 64}))
    with pytest.raises(FaceVCError, match="expected sha256 0000"):
        load_trait_reader()


def test_readings_by_hand():
    dvectors = torch.zeros(2, 256)
    dvectors[0, :2] = torch.tensor([0.6, -0.8])
    dvectors[1, 1] = 3.0  # its length does not count
    read = make_reader().read_all(dvectors)
    assert torch.allclose(read, torch.tensor([[1.7, 32.0], [0.5, 50.0]]), atol=1e-5)
    found = make_reader().read(dvectors[0])
    assert found.register == pytest.approx(1.7) and found.age_years == pytest.approx(32.0)


@pytest.mark.parametrize(("register", "certainty"), [(0.5, 0.5), (1.0, 0.8808), (0.0, 0.8808), (1.5, 0.9820)])
def test_certainty_grows_with_the_distance_from_the_middle(register, certainty):
    assert make_reader().find_certainty(register) == pytest.approx(certainty, abs=1e-4)  # 1 / (1 + exp(-4 |r - .5|))


@pytest.mark.parametrize(("age", "group"), [(34.9, "young"), (35.1, "middle"), (44.9, "middle"), (45.1, "old")])
def test_the_border_between_ages_is_what_voices_of_that_age_read(age, group):
    assert make_reader().find_age_group(age) == group  # .5 x 30 + 20 = 35, .5 x 50 + 20 = 45


def test_the_bundled_voices_are_read_right():
    reader, embedder = load_trait_reader(), VoiceEmbedder()
    for name, feminine in (("speech_woman.flac", True), ("speech_man.flac", False)):
        wav, _ = load_audio(EXAMPLES / name, VOICE_RATE)
        read = reader.read(torch.from_numpy(embedder.embed(wav)))
        assert (read.register > 0.6) if feminine else (read.register < 0.1)
        assert 15 < read.age_years < 70
