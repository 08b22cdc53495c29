"""stages/nearest.py with a model that does not convert; tests/unit/stages/test_voice_card.py ranks by a memory."""

import pytest
from helpers.matchers import matcher_checkpoint
from helpers.networks import FakeAnalyser, FakeEmbedder, replace_face_analyser, replace_voice_embedder
from helpers.pictures import save_grey
from helpers.sounds import recording

from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.matching import Matcher
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
    voice = matcher.place_voices(matcher.embed_voice(inputs / "voices" / "v.wav")[None])[0]
    wanted = {
        name: float(matcher.place_faces(matcher.embed_face(inputs / "faces" / f"{name}.png")[None])[0] @ voice)
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
