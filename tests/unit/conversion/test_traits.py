"""What a user asks of a recalled voice: values of the options, and the move of the address."""

import math
from dataclasses import replace

import pytest
import torch
from helpers.checkpoints import checkpoint
from helpers.networks import make_converter

from facevc_cli.conversion.traits import (
    AUTO_TRAITS,
    TraitRule,
    check_traits,
    follow_face,
    steer_address,
    steer_target,
)
from facevc_cli.conversion.voice import Target
from facevc_cli.conversion.voice_reading import VoiceReading, read_target
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.faces.reading import FaceReading
from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.voices.traits import TraitReader, VoiceTraits


class FourVoices:
    """A memory of four voices, whose recall is the weighted mean: two registers times two ages."""

    values = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])

    def get_slot_values(self):
        return self.values

    def recall_address(self, log_address):
        return log_address.exp() @ self.values


class PlainReader(TraitReader):
    """Register: the first number. Age: 20 and 40 times the second. Voices of an age read half of it, plus 20."""

    def __init__(self):
        super().__init__(torch.zeros(2, 2), torch.zeros(2), (0.5, 20.0), 4.0)

    def read_all(self, dvectors):
        return torch.stack([dvectors[:, 0], 20 + 40 * dvectors[:, 1]], 1)


def steer(rule: TraitRule, shares: list[float]) -> list[float]:
    return steer_address(FourVoices(), PlainReader(), torch.tensor([shares]).log(), rule)[0].exp().tolist()


@pytest.mark.parametrize("register", ["woman", "-0.1", "1.01", "nan", ""])
def test_wrong_registers(register):
    with pytest.raises(UsageError, match=r"--register .*: expected auto, masculine, feminine, or a number from 0"):
        TraitRule.parse(register, "auto")


@pytest.mark.parametrize("age", ["old", "14", "91", "inf", "-3"])
def test_wrong_ages(age):
    with pytest.raises(UsageError, match=r"--age .*: expected auto, or an age from 15 to 90 years"):
        TraitRule.parse("auto", age)


def test_a_recordings_voice_and_a_model_that_cannot_tell(tmp_path):
    model = load_checkpoint(checkpoint(tmp_path / "starter", "starter"), "cpu").model
    rule = TraitRule(register=1.0)
    with pytest.raises(FaceVCError, match="The voice of a recording is taken as it is"):
        steer_target(model, Target(torch.zeros(1, 256)), rule, "starter")
    other = load_checkpoint(checkpoint(tmp_path / "toy", "toy"), "cpu").model
    with pytest.raises(FaceVCError, match="The model 'toy' is none"):
        check_traits(other, rule, "toy")
    check_traits(other, AUTO_TRAITS, "toy")


def test_values_of_the_options():
    assert TraitRule.parse("auto", "auto") == AUTO_TRAITS
    assert TraitRule.parse(" Feminine", "60") == TraitRule(1.0, 60.0)
    assert TraitRule.parse(".25", "AUTO").settings == ("register 0.25",)
    assert TraitRule.parse("masculine", "20").settings == ("register 0", "age 20")


def test_a_word_leaves_a_voice_beyond_it_alone_and_a_number_does_not():
    assert TraitRule(register=1.0).choose_register(1.3) == 1.3
    assert TraitRule(register=1.0).choose_register(0.2) == 1.0
    assert TraitRule(register=0.0).choose_register(-0.3) == -0.3
    assert TraitRule(register=0.9).choose_register(1.3) == 0.9


def test_auto_changes_nothing():
    log_address = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    assert steer_address(FourVoices(), PlainReader(), log_address, AUTO_TRAITS) is log_address


def test_the_register_moves_alone():
    # Register and age are independent in this address, so the nearest address with another register has the same
    # ages: shares (.7, .3) of the ages times (.25, .75) of the registers.
    moved = steer(TraitRule(register=0.75), [0.42, 0.28, 0.18, 0.12])
    assert moved == pytest.approx([0.175, 0.525, 0.075, 0.225], abs=2e-3)


def test_the_age_moves_by_what_voices_of_the_ages_differ():
    # It reads 20 + 40 x .3 = 32 years. Asked for 60, it moves by .5 x 28 = 14 years, to a share of .65.
    moved = steer(TraitRule(age_years=60.0), [0.42, 0.28, 0.18, 0.12])
    assert moved[2] + moved[3] == pytest.approx(0.65, abs=2e-3)
    assert moved[1] + moved[3] == pytest.approx(0.4, abs=2e-3)  # the register is kept


def test_what_no_mix_of_the_voices_reaches_ends_at_the_nearest():
    moved = steer(TraitRule(register=0.5, age_years=90.0), [0.7, 0.28, 0.01, 0.01])
    assert moved[2] + moved[3] > 0.85
    assert math.fsum(moved) == pytest.approx(1)


def test_certainty_by_hand(tmp_path, monkeypatch):
    model = load_checkpoint(checkpoint(tmp_path / "starter", "starter"), "cpu").model
    target = Target(torch.zeros(1, 256), address=torch.full((1, 8), 0.125))
    heard = VoiceTraits(0.75, 41.0)
    monkeypatch.setattr(TraitReader, "read", lambda self, dvector: heard)
    reading = read_target(model, target, evidence=6.0)
    assert reading.certainty == pytest.approx(1 / (1 + math.exp(-1.5)))  # .818
    assert reading.word == "feminine" and not reading.is_doubtful
    assert reading.describe() == {"register": "0.75", "age": "41", "certainty": "0.82"}
    # a face that was read itself says how certain it is, also that the voice is the wrong one
    assert read_target(model, replace(target, face=FaceReading(0.9, 30.0)), 6.0).certainty == pytest.approx(0.9)
    wrong = read_target(model, replace(target, face=FaceReading(0.3, 30.0)), 6.0)
    assert wrong.certainty == pytest.approx(0.3) and wrong.is_doubtful
    heard = VoiceTraits(0.4, 41.0)
    doubtful = read_target(model, target, 6.0)
    assert doubtful.certainty == pytest.approx(1 / (1 + math.exp(-0.6)))  # .646
    assert doubtful.is_doubtful and "--register feminine" in doubtful.advise("a.jpg")
    assert read_target(model, Target(torch.zeros(1, 256)), 6.0) is None  # a recording's voice


def test_a_voice_follows_the_face_that_was_read(tmp_path):
    converter = make_converter(checkpoint(tmp_path / "starter", "starter"))
    target = converter.target_from_embedding(
        torch.randn(converter.model.config.face_dim, generator=torch.Generator().manual_seed(0)).numpy()
    )
    before = converter.read_voice(target)
    assert follow_face(converter.model, target, None) is target
    same = float(before.register > 0.5)
    agreeing = converter.read_voice(follow_face(converter.model, target, FaceReading(same, before.age_years)))
    assert agreeing.register == pytest.approx(before.register, abs=0.02)  # the same register is left as it is
    other = converter.read_voice(follow_face(converter.model, target, FaceReading(1 - same, before.age_years)))
    assert abs(other.register - (1 - same)) < abs(before.register - (1 - same))
    older = converter.read_voice(follow_face(converter.model, target, FaceReading(same, 90.0)))
    younger = converter.read_voice(follow_face(converter.model, target, FaceReading(same, 15.0)))
    assert younger.age_years < older.age_years


def test_sliders_that_were_not_moved_are_auto():
    reading = VoiceReading(1.23, 7.4, 0.98)
    assert (reading.slider_register, reading.slider_age) == (1.0, 15.0)
    assert TraitRule.from_sliders(reading, 1.0, 15.0) == AUTO_TRAITS
    assert TraitRule.from_sliders(reading, 0.95, 15.0) == TraitRule(register=0.95)
    assert TraitRule.from_sliders(None, 0.3, 50.0) == AUTO_TRAITS


def test_a_target_keeps_what_belongs_to_it(tmp_path):
    converter = make_converter(checkpoint(tmp_path / "starter", "starter"))
    target = converter.target_from_embedding(
        torch.randn(converter.model.config.face_dim, generator=torch.Generator().manual_seed(0)).numpy()
    )
    before = converter.read_voice(target)
    asked = before.register + 0.05
    moved = converter.apply_trait_rule(target, TraitRule(register=asked))
    assert moved.pitch == target.pitch and moved.address is not None
    assert float(moved.address.sum()) == pytest.approx(1, abs=1e-5)
    assert float(moved.speaker.norm()) == pytest.approx(1, abs=1e-5)  # this preset recalls unit vectors
    assert abs(converter.read_voice(moved).register - asked) <= abs(before.register - asked)
    recalled = converter.model.recall_address(moved.address.log())
    assert torch.allclose(moved.speaker, recalled, atol=1e-5)
