"""--register, --age and the reading of a face, in conversions, voice cards, `info` and the page's studio."""

import json

import numpy as np
import pytest
from helpers.checkpoints import checkpoint
from helpers.conversions import config, table
from helpers.pictures import save_grey
from helpers.reporters import Notes
from helpers.sounds import recording

from facevc_cli.conversion.voice_reading import VoiceReading
from facevc_cli.conversion.voice_request import VoiceOptions
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.files.audio import load_audio
from facevc_cli.files.image import load_image
from facevc_cli.stages import convert, voice_card
from facevc_cli.stages.info import InfoConfig, describe
from facevc_cli.stages.info import run as run_info
from facevc_cli.stages.voice_card import VoiceCardConfig

pytestmark = pytest.mark.usefixtures("analyser", "voice_embedder")
FEMININE = VoiceOptions(register=".6", age="70")


@pytest.fixture
def inputs(tmp_path):
    recording(tmp_path / "wavs" / "one.wav", 0.3)
    save_grey(tmp_path / "faces" / "eve.png", 90)
    return tmp_path


def test_recordings_and_models_that_cannot_tell_are_refused(inputs, model, toy_model):
    with pytest.raises(UsageError, match="The voice of a recording is taken as it is. Leave out --voice"):
        convert.run(config(inputs, model, voices=(inputs / "wavs",), voice_options=FEMININE))
    with pytest.raises(UsageError, match="--register 'x'"):
        convert.run(config(inputs, model, voice_options=VoiceOptions(register="x")))
    with pytest.raises(FaceVCError, match="The model 'toy' is none"):
        convert.run(config(inputs, toy_model, voice_options=FEMININE))
    assert not (inputs / "out").exists() or not list((inputs / "out").glob("*.wav"))


def test_the_manifest_says_what_was_read_and_a_rule_makes_new_files(inputs, model):
    notes = Notes()
    convert.run(config(inputs, model), notes)
    (row,) = table(inputs / "out").values()
    assert 0.5 <= float(row["certainty"]) <= 1 and float(row["age"]) == round(float(row["age"]))
    told = [note for note in notes.notes if "--register" in note]
    assert bool(told) == (float(row["certainty"]) < 0.75)
    before = load_audio(inputs / "out" / "one__eve.wav")[0]
    assert convert.run(config(inputs, model)).skipped == 1
    assert table(inputs / "out")["one__eve.wav"]["certainty"] == row["certainty"]  # a finished row keeps it
    summary = convert.run(config(inputs, model, voice_options=FEMININE, overwrite=True))
    assert summary.done == 1
    (again,) = table(inputs / "out").values()
    assert again["register"] == row["register"] and again["key"] != row["key"]  # the reading is that of the face
    assert not np.array_equal(load_audio(inputs / "out" / "one__eve.wav")[0], before)


def test_a_doubtful_face_is_told_once_unless_the_user_decided(inputs, model, monkeypatch):
    doubtful = VoiceReading(0.55, 40.0, 0.57)
    monkeypatch.setattr("facevc_cli.conversion.converter.Converter.read_voice", lambda self, target: doubtful)
    recording(inputs / "wavs" / "two.wav", 0.3)
    notes = Notes()
    convert.run(config(inputs, model), notes)
    assert [note for note in notes.notes if "certainty of only 0.57" in note and "--register masculine" in note] != []
    assert len([note for note in notes.notes if "certainty" in note]) == 1
    quiet = Notes()
    convert.run(config(inputs, model, voice_options=VoiceOptions(register="feminine"), overwrite=True), quiet)
    assert not [note for note in quiet.notes if "certainty" in note]


def test_a_card_keeps_what_was_asked_for(inputs, tmp_path):
    model = checkpoint(tmp_path / "model", "starter", embedder="dlib")  # its voices follow no register of the face
    made = [
        voice_card.run(
            VoiceCardConfig(
                faces=(inputs / "faces" / "eve.png",),
                output=inputs / f"{register}.safetensors",
                register=register,
                checkpoint=model,
                device="cpu",
            )
        ).data
        for register in ("auto", ".4", ".6")
    ]
    registers = [float(data["register"]) for data in made]
    assert registers[1] < registers[2] and len(set(registers)) == 3


def test_info_reads_a_face(inputs, model):
    picture = inputs / "faces" / "eve.png"
    (found,) = run_info(InfoConfig(paths=(picture,), checkpoint=model, crops=inputs / "crops")).data["items"]
    assert (found["kind"], found["model"], found["faces"], found["slots"]) == ("face", "starter", 1, 8)
    assert found["box"] == {"left": 0, "top": 0, "right": 0, "bottom": 0}  # of the stand-in
    assert 0.5 <= found["certainty"] <= 1 and found["register_word"] in ("masculine", "feminine")
    assert len(found["top_slots"]) == 5 and found["pitch_hz"] > 0
    assert load_image(inputs / "crops" / "eve.png").shape == load_image(picture).shape
    json.dumps(found)
    save_grey(inputs / "faces" / "dark.png", 0)
    summary = run_info(InfoConfig(paths=(inputs / "faces" / "dark.png", picture), checkpoint=model))
    assert [item["kind"] for item in summary.data["items"]] == ["face"] and len(summary.failures) == 1
    with pytest.raises(FaceVCError, match="eve.png exists already"):
        describe(picture, crops=inputs / "crops")
