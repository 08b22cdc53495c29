"""Voice specs: what they say of themselves, and the keys of results, which must stay what earlier versions wrote."""

from pathlib import Path

import pytest

from facevc_cli.batch.jobs import Naming, make_job_keys
from facevc_cli.batch.utterance import RecordingFile
from facevc_cli.conversion.voice_spec import VoiceSpec, is_card, refuse_cards
from facevc_cli.core.errors import FaceVCError

CONTENTS = {"s.wav": b"speech", "f.png": b"face", "g.png": b"other", "v.wav": b"voice", "c.safetensors": b"card"}


def spec_of(name: str, folder: Path) -> VoiceSpec:
    """One of each kind, in `folder`."""
    f, g, voice, card = (folder / file for file in ("f.png", "g.png", "v.wav", "c.safetensors"))
    face, person = VoiceSpec.from_file("face", f), VoiceSpec.from_pictures("anna", [f, g])
    recording, kept = VoiceSpec.from_file("voice", voice), VoiceSpec.from_file("card", card)
    specs = {"face": face, "recording": recording, "card": kept, "person": person}
    specs |= {"people": VoiceSpec.from_people([[f], [f, g]]), "mix": VoiceSpec.from_mix([(face, 3), (kept, 1)])}
    return (specs | {"mix of a person": VoiceSpec.from_mix([(person, 1), (recording, 1)])})[name]


def test_a_card_is_no_picture():
    assert is_card(Path("a.SAFETENSORS")) and not is_card(Path("a.png"))
    refuse_cards([Path("a.png"), Path("b.png")], "expected pictures", "Take it away.")
    with pytest.raises(FaceVCError) as told:
        refuse_cards(
            [Path("x/a.png"), Path("x/c.safetensors")],
            "expected pictures",
            "Take it away.",
            lambda file: f"<{file.name}>",
        )
    assert str(told.value) == (
        "expected pictures, found <c.safetensors> and 1 more: a card holds a voice, which cannot be averaged with "
        "pictures. Take it away."
    )


@pytest.mark.parametrize(
    ("name", "key", "blurred_key", "text"),
    [
        ("face", "fb6cdff428eecead", "3f52115afb0deee8", "face f.png"),
        ("recording", "58f7ac3a2be09264", "58f7ac3a2be09264", "voice v.wav"),
        ("card", "3a319b0ccfd8e1eb", "3a319b0ccfd8e1eb", "card c.safetensors"),
        ("person", "f097ea712ce9e53b", "94f06b36442ee561", "person anna (2 pictures)"),
        ("people", "781e4639b7fa4c86", "91b9f7e5ca326c92", "mean of 3 faces"),
        ("mix", "2851590e64cb32f2", "8138681a73649f14", "mix of f.png 0.75 and c.safetensors 0.25"),
        (
            "mix of a person",
            "928aa676b42bb7d8",
            "6240e3cfba796b1b",
            "mix of person anna (2 pictures) 0.50 and v.wav 0.50",
        ),
    ],
)
def test_keys_and_texts_stay_what_they_were(name, key, blurred_key, text, tmp_path):
    """Of what 0.1.0 made: another key would make everybody's finished folders anew."""
    (tmp_path / "model").mkdir()
    for file, content in {**CONTENTS, "model/model.safetensors": b"weights", "model/config.yaml": b"config"}.items():
        (tmp_path / file).write_bytes(content)
    spec = spec_of(name, tmp_path)
    degraded = spec.degrade("blur=2")
    naming = Naming(tmp_path / "out")
    jobs = [naming.make_job(RecordingFile(tmp_path / "s.wav", "s"), one, "x") for one in (spec, degraded)]
    keys = make_job_keys(jobs, tmp_path / "model", None, None, "largest")
    assert [keys[job] for job in jobs] == [key, blurred_key]
    assert str(spec) == text and str(degraded) == (text if degraded == spec else f"{text} (blur=2)")
    assert (degraded == spec) is not spec.has_pictures and hash(spec) == hash(spec_of(name, tmp_path))


def test_a_spec_names_its_files_as_asked():
    person = VoiceSpec.from_pictures("anna", [Path("1.png"), Path("2.png")])
    mix = VoiceSpec.from_mix([(VoiceSpec.from_file("face", Path("3.png")), 2), (person, 6)])
    assert mix.describe(lambda file: f"my {file.name}") == "mix of my 3.png 0.25 and person anna (2 pictures) 0.75"
    assert mix.files == (Path("3.png"), Path("1.png"), Path("2.png")) and mix.file is None
    assert person.leave_out([Path("1.png")]).files == (Path("2.png"),) and person.leave_out(person.files).people == ()
