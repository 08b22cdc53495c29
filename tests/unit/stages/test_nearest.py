"""stages/nearest.py with a model that does not convert; tests/unit/stages/test_voice_card.py ranks by a memory."""

import numpy as np
import pytest
from helpers.matchers import matcher_checkpoint, network_checkpoint
from helpers.networks import FakeAnalyser, FakeEmbedder, replace_face_analyser, replace_voice_embedder
from helpers.pictures import save_grey
from helpers.sounds import recording

from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.dsp.mel import MEL_DEFINITIONS, compute_log_mel
from facevc_cli.families.matching import Matcher
from facevc_cli.families.reading import FaceReader, VoiceReader, cut_parts
from facevc_cli.files.audio import load_audio, save_audio
from facevc_cli.stages import nearest
from facevc_cli.stages.nearest import NearestConfig, run


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    replace_face_analyser(monkeypatch, FakeAnalyser())
    replace_voice_embedder(monkeypatch, FakeEmbedder())
    for name, grey in (("ann", 40), ("bea", 90), ("carl", 160)):
        save_grey(tmp_path / "faces" / f"{name}.png", grey)
    recording(tmp_path / "voices" / "v.wav", 0.3)
    matcher_checkpoint(tmp_path / "matcher")
    return tmp_path


def test_a_card_is_refused(inputs):
    (inputs / "faces" / "card.safetensors").write_bytes(b"")
    voice, checkpoint = inputs / "voices" / "v.wav", inputs / "matcher"
    summary = run(NearestConfig(candidates=(inputs / "faces",), voice=voice, checkpoint=checkpoint))
    assert [item for item, _ in summary.failures] == ["card"]
    assert "fits only the model that made it" in summary.failures[0][1]
    with pytest.raises(FaceVCError, match="fits only the model"):
        run(
            NearestConfig(
                candidates=(inputs / "voices",),
                face=inputs / "faces" / "card.safetensors",
                checkpoint=inputs / "matcher",
            )
        )


def test_scores_are_cosines_of_places(inputs):
    matcher, checkpoint = Matcher(inputs / "matcher", "cpu"), inputs / "matcher"
    voice = matcher.place_voices(matcher.read_voice(inputs / "voices" / "v.wav")[None])[0]
    wanted = {
        name: float(matcher.place_faces(matcher.read_face(inputs / "faces" / f"{name}.png")[None])[0] @ voice)
        for name in ("ann", "bea", "carl")
    }
    config = NearestConfig(candidates=(inputs / "faces",), voice=inputs / "voices" / "v.wav", checkpoint=checkpoint)
    found = run(config).data["ranking"]
    assert [one["id"] for one in found] == sorted(wanted, key=lambda name: -wanted[name])
    assert [one["score"] for one in found] == pytest.approx(sorted(wanted.values(), reverse=True), abs=1e-4)
    (back,) = run(
        NearestConfig(candidates=(inputs / "voices",), face=inputs / "faces" / "bea.png", checkpoint=checkpoint)
    ).data["ranking"]
    assert back["score"] == pytest.approx(wanted["bea"], abs=1e-4)


def test_a_model_that_takes_crops_and_log_mels(inputs, monkeypatch):
    """Pictures are cut as the store of crops was, and recordings are heard with the front-end of the features."""
    made = []
    monkeypatch.setattr(
        "facevc_cli.faces.analyser.FaceAnalyser", lambda *given, **how: made.append(how) or FakeAnalyser()
    )
    checkpoint = network_checkpoint(inputs / "networks", crop_px=32)
    matcher = Matcher(checkpoint, "cpu", "skip")
    crop, parts = matcher.read_face(inputs / "faces" / "ann.png"), matcher.read_voice(inputs / "voices" / "v.wav")
    assert made == [{"on_many": "skip"}]
    assert crop.shape == (32, 32, 3) and crop.dtype == np.uint8
    assert parts.shape == (4, 300, 80) and parts.dtype == np.float32  # four parts of 3 s, of a recording of .3 s
    wav = load_audio(inputs / "voices" / "v.wav", 16000)[0]
    mel = compute_log_mel(Frontend.standard("fvmvc").prepare(wav), MEL_DEFINITIONS["fvmvc"])
    np.testing.assert_array_equal(parts[0][: len(mel)], mel)
    wanted = float(matcher.place_faces(crop[None])[0] @ matcher.place_voices(parts[None])[0])
    config = NearestConfig(candidates=(inputs / "faces",), voice=inputs / "voices" / "v.wav", checkpoint=checkpoint)
    scores = {one["id"]: one["score"] for one in run(config).data["ranking"]}
    assert scores["ann"] == pytest.approx(wanted, abs=1e-4) and len(scores) == 3
    save_audio(inputs / "voices" / "silent.wav", np.zeros(8000, np.float32), 16000)
    with pytest.raises(FaceVCError, match="silent.wav: no voice can be heard"):
        matcher.read_voice(inputs / "voices" / "silent.wav")


def test_crops_of_an_unknown_size(tmp_path):
    with pytest.raises(FaceVCError, match="expected the size of the faces' crops"):
        FaceReader.make({"detector": "dlib"}, True, "here")
    with pytest.raises(FaceVCError, match="voices embedded by 'other'"):
        VoiceReader.make({"embedder": "other"}, False, "here")


def test_parts_are_spread_evenly():
    frames = np.arange(10)
    assert cut_parts(frames, 3, 4).tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert cut_parts(frames[:3], 2, 4).tolist() == [[0, 1, 2, 0]] * 2


def test_without_a_checkpoint_the_bundled_matcher_ranks_unless_there_are_cards(inputs, monkeypatch):
    loaded = []
    monkeypatch.setattr(nearest, "find_bundled_matcher", lambda: inputs / "matcher")
    monkeypatch.setattr(nearest, "Matcher", lambda folder, *rest: loaded.append(folder) or Matcher(folder, *rest))
    run(NearestConfig(candidates=(inputs / "faces",), voice=inputs / "voices" / "v.wav"))
    assert loaded == [inputs / "matcher"]

    class Stop(Exception):
        pass

    def refuse(folder, *_, **__):
        assert folder is None  # the bundled model that makes cards
        raise Stop

    monkeypatch.setattr(nearest, "Converter", refuse)
    (inputs / "faces" / "card.safetensors").write_bytes(b"")
    with pytest.raises(Stop):
        run(NearestConfig(candidates=(inputs / "faces",), voice=inputs / "voices" / "v.wav"))
    assert len(loaded) == 1
