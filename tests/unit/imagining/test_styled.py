"""imagining/styled.py and pairs.py: faces that a model of styles makes for voices, and pairs of nobody."""

import numpy as np
import pytest
import torch
from helpers.checkpoints import checkpoint
from helpers.composites import make_composites
from helpers.portraits import FakeJudge, replace_portraits
from helpers.reporters import Notes
from helpers.sounds import recording
from helpers.speech_engines import replace_engine
from helpers.styles import replace_face_finders, restyle_by_hand, style_checkpoint
from PIL import Image

from facevc_cli.conversion.card import load_card
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.styles import Stylist
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.files.image import load_image
from facevc_cli.files.tables import read_table
from facevc_cli.imagining.face_set import FaceSet
from facevc_cli.imagining.plan import PortraitSettings
from facevc_cli.imagining.styled import StyledDrawer, StyledImaginer, StyledVoice, make_imaginer, rank_composites
from facevc_cli.imagining.voice import VoiceDescription
from facevc_cli.provenance.pictures import read_picture_mark
from facevc_cli.stages import imagine, sample


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return style_checkpoint(tmp_path_factory.mktemp("styles") / "model")


@pytest.fixture
def stylist(model, monkeypatch):
    replace_face_finders(monkeypatch)
    return Stylist(Converter(model, "griffin-lim", "cpu"))


def test_a_model_that_can_do_neither_is_refused(tmp_path):
    other = checkpoint(tmp_path / "toy", faces=False)
    with pytest.raises(FaceVCError, match="has no styles"):
        Stylist(Converter(other, "griffin-lim", "cpu"))
    with pytest.raises(FaceVCError, match=r"log-mels|never trained on faces"):
        make_imaginer(other, "cpu", composites=make_composites())


def test_nothing_can_be_asked_of_a_style(stylist):
    voice = StyledVoice(torch.zeros(1, 5), 1.0)
    assert voice.ask_for(None, None) is voice
    for asked in ((0.0, None), (None, 40.0)):
        with pytest.raises(UsageError, match="takes both from the voice"):
            voice.ask_for(*asked)


def test_composites_of_the_nearest_register_and_age_come_first():
    faces = FaceSet.of(make_composites())  # men of 20 and 30 years, women of 40 and 50
    assert list(rank_composites(faces, 1.0, 50.0)) == [3, 2, 1, 0]
    assert list(rank_composites(faces, 0.0, 45.0)) == [1, 0, 2, 3]
    assert list(rank_composites(faces, 1.0, None)) == [2, 3, 0, 1]


def test_a_portrait_is_a_composite_in_the_voices_style(stylist):
    composites, judge = make_composites(), FakeJudge(refused=1)
    imaginer = StyledImaginer(stylist, composites=composites, judge=judge)
    voice = StyledVoice(stylist.draw(1.0, np.random.default_rng(3)), 1.0)
    portraits = list(imaginer.imagine_numbered(voice, [0, 1, 4], size_px=16))
    assert [p.parts for p in portraits] == [[(2, 1.0)], [(3, 1.0)], [(2, 1.0)]]
    assert np.array_equal(portraits[1].picture, restyle_by_hand(stylist.model, composites.pictures[3], voice.style))
    assert set(portraits[0].judged.describe().values()) == {""}  # no face was seen
    assert portraits[1].judged.fits_register and -1 <= portraits[1].scores["total"] <= 1
    assert next(imaginer.imagine_numbered(voice, [0])).picture.shape == (64, 64, 3)
    steps = imaginer.draw_steps(portraits[1], 16)
    assert len(steps) == 6 and np.abs(steps[-1].astype(int) - portraits[1].picture).max() <= 1
    own = stylist.read_crop(portraits[1].crop)
    assert np.array_equal(steps[0], stylist.restyle(portraits[1].crop, own))


def test_a_drawn_style_is_of_its_register_and_number(stylist):
    drawer = StyledDrawer(stylist)
    first, second = drawer.draw(4, 1), drawer.draw(4, 2)
    assert {first.feminine, second.feminine} == {0.0, 1.0} and first.age_years is None
    noise = torch.from_numpy(np.random.default_rng((4, 1)).standard_normal(3).astype(np.float32))[None]
    with torch.no_grad():
        wanted = stylist.model.mapping(noise, torch.tensor([int(first.feminine)]))
    assert torch.allclose(first.target.speaker, wanted, atol=1e-6)
    assert torch.equal(first.target.speaker, drawer.draw(4, 1).target.speaker)
    man, woman = stylist.draw(0.0), stylist.draw(1.0)
    imaginer = StyledImaginer(stylist, composites=make_composites())
    assert (imaginer.guess_feminine(0.9 * man + 0.1 * woman), imaginer.guess_feminine(woman)) == (0.0, 1.0)


def test_imagine_with_a_model_of_styles(model, stylist, tmp_path, monkeypatch):
    composites, judge = replace_portraits(monkeypatch)
    monkeypatch.setattr("facevc_cli.imagining.styled.PictureJudge", lambda: judge)
    heard = VoiceDescription(np.ones(256, np.float32), 5.0, 1.0, 48.0)
    monkeypatch.setattr("facevc_cli.imagining.imaginer.Imaginer.listen", lambda self, voice: heard)
    monkeypatch.setattr("facevc_cli.imagining.imaginer.Imaginer.__init__", lambda self, *_, **__: None)
    speech = recording(tmp_path / "s.wav", 1.0)

    def run(**changes):
        given = {"voices": (speech,), "output": tmp_path / "out", "checkpoint": model, "device": "cpu"}
        return imagine.run(imagine.ImagineConfig(**given | changes), Notes())

    with pytest.raises(UsageError, match="--register and --age: a model of styles"):
        run(settings=PortraitSettings(register="feminine"))
    assert run(samples=2, with_steps=True).done == 2
    style = stylist.converter.target_from_voice(speech).speaker
    large = Image.fromarray(restyle_by_hand(stylist.model, composites.pictures[3], style))
    wanted = np.asarray(large.resize((64, 64), Image.Resampling.LANCZOS))
    assert np.array_equal(load_image(tmp_path / "out" / "s__01.png"), wanted)
    rows = read_table(tmp_path / "out" / "portraits.csv")
    assert [(row["feminine"], row["age"], row["parts"]) for row in rows] == [
        ("1.000", "48", "3=1.000"),
        ("1.000", "48", "2=1.000"),
    ]
    assert read_picture_mark(tmp_path / "out" / "s__02.png").made == "imagined"
    assert run(samples=2, with_steps=True).skipped == 2


def test_pairs_of_a_model_of_styles_are_cards_faces_and_lines(model, stylist, tmp_path, monkeypatch):
    _, judge = replace_portraits(monkeypatch)
    monkeypatch.setattr("facevc_cli.imagining.styled.PictureJudge", lambda: judge)
    replace_engine(monkeypatch)
    config = sample.SampleConfig(
        output=tmp_path, count=2, seed=4, checkpoint=model, device="cpu", vocoder="griffin-lim", text="Hi, you."
    )
    assert sample.run(config, Notes()).done == 2
    card = load_card(tmp_path / "4-001.safetensors")
    drawn = StyledDrawer(stylist).draw(4, 1)
    assert np.allclose(card.speaker, drawn.target.speaker[0], atol=1e-6) and card.address.tolist() == [1.0]
    assert torch.equal(stylist.read_voice(tmp_path / "4-001.safetensors")[0], torch.from_numpy(card.speaker))
    rows = read_table(tmp_path / "portraits.csv")
    assert {row["feminine"] for row in rows} == {"0.000", "1.000"} and {row["age"] for row in rows} == {""}
    assert (tmp_path / "4-002.wav").is_file() and (tmp_path / "index.html").is_file()
    assert read_picture_mark(tmp_path / "4-002.png").made == "sampled"
    assert sample.run(config, Notes()).skipped == 2
    other = Converter(style_checkpoint(tmp_path / "other", seed=1), "griffin-lim", "cpu")
    with pytest.raises(FaceVCError, match="A card works only with its own model"):
        other.target_from_card(tmp_path / "4-001.safetensors")
