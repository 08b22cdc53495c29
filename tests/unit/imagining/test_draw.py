"""imagining/draw.py: drawn voices have the traits that were drawn, and are d-vectors."""

import numpy as np
import pytest
import torch
from helpers.checkpoints import checkpoint

from facevc_cli.conversion.converter import Converter
from facevc_cli.core.errors import FaceVCError
from facevc_cli.imagining.draw import MOST_REGISTER_SPREAD, OLDEST_YEARS, YOUNGEST_YEARS, VoiceDrawer, draw_register


def test_a_model_without_d_vectors_is_refused(tmp_path):
    converter = Converter(checkpoint(tmp_path), "griffin-lim", "cpu")
    with pytest.raises(FaceVCError, match="no memory of d-vectors"):
        VoiceDrawer(converter)


@pytest.fixture(scope="module")
def drawer():
    """The bundled model's: it has as many voices as a drawn one needs."""
    return VoiceDrawer(Converter(None, "griffin-lim", "cpu"))


def test_registers_take_turns():
    for seed in range(4):
        registers = [draw_register(seed, number) for number in range(1, 7)]
        assert sorted(registers[:2]) == [0, 1] and registers[2:4] == registers[:2] == registers[4:]


def test_voices_have_the_drawn_traits(drawer):
    slope, offset = drawer.reader.age_line
    for number in range(1, 9):
        drawn = drawer.draw(5, number)
        heard = drawer.reader.read(drawn.target.speaker[0])
        assert YOUNGEST_YEARS <= drawn.age_years <= OLDEST_YEARS
        assert abs(heard.register - drawn.feminine) < MOST_REGISTER_SPREAD + 0.02
        assert heard.age_years == pytest.approx(slope * drawn.age_years + offset, abs=0.5)


def test_a_voice_is_a_d_vector_with_an_address(drawer):
    voice, address = drawer.draw(0, 1).target.speaker, drawer.draw(0, 1).target.address
    assert voice.shape == (1, 256) and float(voice.min()) >= 0 and float(voice.norm()) == pytest.approx(1)
    assert float(address.sum()) == pytest.approx(1, abs=1e-4)


def test_the_same_seed_gives_the_same_voice_and_others_differ(drawer):
    first, again, other = (drawer.draw(seed, 1).target.speaker for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_voices_differ_about_as_people_do(drawer):
    """Real speakers: a mean cosine of .61, with a deviation of .08. The memory's mixtures: .82."""
    voices = np.stack([drawer.draw(7, number).target.speaker[0].numpy() for number in range(1, 41)])
    cosines = (voices @ voices.T)[np.triu_indices(40, 1)]
    assert 0.55 < cosines.mean() < 0.75 and 0.05 < cosines.std() < 0.11
