"""The resolver of voices: each picture looked at once, what is left out and why, whose share is how large."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.networks import FakeAnalyser, make_converter
from helpers.pictures import save_grey
from helpers.reporters import Notes

from facevc_cli.conversion.card import save_card
from facevc_cli.conversion.resolver import VoiceResolver
from facevc_cli.conversion.voice_spec import VoiceSpec
from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.pitch import PitchRule


@pytest.fixture(scope="module")
def analyser():
    return FakeAnalyser()


@pytest.fixture(scope="module")
def converter(model, analyser):
    return make_converter(model, analyser)


@pytest.fixture
def pictures(tmp_path):
    """Three usable pictures and a black one."""
    greys = {"a": 90, "b": 30, "c": 160, "dark": 0}
    for name, grey in greys.items():
        save_grey(tmp_path / f"{name}.png", grey)
    return [tmp_path / f"{name}.png" for name in greys]


def test_further_faces_in_a_picture_are_told_once(converter, analyser, pictures, monkeypatch):
    looked, told = analyser.analyse, Notes()
    monkeypatch.setattr(analyser, "analyse", lambda image: replace(looked(image), faces=2))
    resolver, face = VoiceResolver(converter, reporter=told), VoiceSpec.from_file("face", pictures[0])
    for _ in range(2):
        resolver.resolve(face)
    assert told.notes == ["a.png: 2 faces were found, and the largest is used. --on-many skip refuses such a picture."]


def test_nothing_usable_is_said_each_time_and_looked_at_once(converter, analyser, pictures):
    resolver, dark = VoiceResolver(converter), pictures[3]
    asked = analyser.asked
    face, person = VoiceSpec.from_file("face", dark), VoiceSpec.from_pictures("eve", [dark, dark.with_name("gone.png")])
    for _ in range(2):
        with pytest.raises(FaceVCError, match=rf"^{dark}: expected a face"):
            resolver.resolve(face)
        with pytest.raises(
            FaceVCError, match=rf"^person eve \(2 pictures\): none of them can be used, the first: {dark}"
        ):
            resolver.resolve(person)
        with pytest.raises(FaceVCError, match="^person eve"):
            resolver.resolve(VoiceSpec.from_mix([(person, 1), (VoiceSpec.from_file("face", pictures[0]), 1)]))
    assert analyser.asked == asked + 1  # the mix fails before its second part is looked at
    with pytest.raises(FaceVCError, match="degraded by blur=2: expected a face"):
        resolver.resolve(face.degrade("blur=2"))


def test_what_is_left_out_and_what_is_used(converter, analyser, pictures):
    notes = Notes()
    resolver = VoiceResolver(converter, reporter=notes)
    a, b, c, dark = pictures
    person = VoiceSpec.from_pictures("anna", [a, dark, b])
    asked = analyser.asked
    target = resolver.resolve(person)
    expected = converter.target_from_faces([a, b])
    torch.testing.assert_close(target.speaker, expected.speaker, rtol=0, atol=0)
    assert resolver.resolve(person) is target and analyser.asked == asked + 3 + 2
    assert list(resolver.find_left_out(person)) == [dark] and "expected a face" in str(
        resolver.find_left_out(person)[dark]
    )
    assert resolver.drop_unusable(person).files == (a, b)
    assert len(notes.notes) == 1 and "person anna (3 pictures): 1 of them cannot be used, the first: " in notes.notes[0]
    mix = VoiceSpec.from_mix([(person, 3), (VoiceSpec.from_file("face", c), 1)])
    assert resolver.weigh_files(mix) == [(a, 0.375), (b, 0.375), (c, 0.25)] and resolver.used_files(mix) == [a, b, c]
    assert list(resolver.find_left_out(mix)) == [dark]
    address = resolver.resolve(mix).address
    torch.testing.assert_close(address, 0.75 * target.address + 0.25 * converter.target_from_face(c).address)
    people = VoiceSpec.from_people([[a, b], [c], [dark]])
    assert [share for _, share in resolver.weigh_files(people)] == [0.25, 0.25, 0.5]


def test_the_pitch_is_the_resolvers(converter, pictures):
    spec = VoiceSpec.from_file("face", pictures[0])
    assert VoiceResolver(converter, pitch=PitchRule("keep")).resolve(spec).pitch == PitchRule("keep")


def test_what_is_forgotten(converter, analyser, pictures):
    """Pictures of other files and quickly made voices; a card stays, whose file may be gone."""
    resolver, (a, b, _, _) = VoiceResolver(converter), pictures
    card = a.with_name("a.safetensors")
    save_card(card, converter.make_card(converter.target_from_face(a), []))
    specs = [VoiceSpec.from_file("face", a), VoiceSpec.from_file("face", b), VoiceSpec.from_file("card", card)]
    for spec in [*specs, VoiceSpec.from_mix([(specs[0], 1), (specs[2], 1)])]:
        resolver.resolve(spec)
    card.unlink()
    b.unlink()
    resolver.keep_only([a, card])
    asked = analyser.asked
    resolver.resolve(specs[0])
    resolver.resolve(specs[2])
    assert analyser.asked == asked
    with pytest.raises(FaceVCError, match=str(b)):
        resolver.resolve(specs[1])
    resolver.keep_only([])
    with pytest.raises(FaceVCError, match="no such voice card"):
        resolver.resolve(specs[2])


def test_a_subclass_reads_files_its_own_way(converter, pictures):
    class Renamed(VoiceResolver):
        def embed_picture(self, file: Path, degradation: str) -> np.ndarray:
            raise FaceVCError(f"{self.name_file(file)}: not today")

        def name_file(self, file: Path) -> str:
            return f"my {file.stem}"

    with pytest.raises(FaceVCError, match="^my a: not today$"):
        Renamed(converter).resolve(VoiceSpec.from_file("face", pictures[0]))
