"""imagining/score.py with models whose places are known."""

import numpy as np
import pytest
from helpers.checkpoints import checkpoint
from helpers.matchers import matcher_checkpoint

from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.matching import Matcher
from facevc_cli.imagining.face_set import FaceSet
from facevc_cli.imagining.score import LEAST_CHANCE, MATCH_WEIGHT, FitScorer, explain_unusable
from facevc_cli.imagining.voice import VoiceDescription

DVECTOR = np.linspace(0.01, 1, 256).astype(np.float32)


def make_faces(registers, ages) -> FaceSet:
    descriptors = np.random.default_rng(0).normal(0, 0.1, (len(ages), 162)).astype(np.float32)
    return FaceSet(descriptors, np.array(registers, float), np.array(ages, float))


def describe(feminine=0.9, age=40.0, log_f0=5.3) -> VoiceDescription:
    return VoiceDescription(DVECTOR, log_f0, feminine, age)


def test_without_a_model_register_and_age_decide():
    faces = make_faces([1, 0, 0.5, 1], [40, 40, 40, 61])
    found = FitScorer(None).score(faces, describe())
    assert found.register == pytest.approx(np.log([0.9, 0.1, 0.5, 0.9]))
    assert found.age == pytest.approx([0, 0, 0, -2.0])  # two deviations of 10.5 years
    assert not found.pitch.any() and not found.match.any()
    assert found.describe(3) == {"register": -0.1054, "age": -2.0, "pitch": 0.0, "match": 0.0, "total": -2.1054}


def test_no_face_is_impossible():
    found = FitScorer(None).score(make_faces([0], [30]), describe(feminine=1.0))
    assert found.register == pytest.approx([np.log(LEAST_CHANCE)])


def test_a_mixture_is_between_its_parts():
    faces = make_faces([1, 0], [20, 60])
    mixed = faces.mix(np.array([[0.25, 0.75]]))
    assert (mixed.registers[0], mixed.ages[0]) == pytest.approx((0.25, 50))
    assert mixed.descriptors[0] == pytest.approx(faces.descriptors[0] * 0.25 + faces.descriptors[1] * 0.75, abs=1e-6)


def test_a_model_of_places_adds_their_cosine(tmp_path):
    matcher = Matcher(matcher_checkpoint(tmp_path), "cpu")
    faces = make_faces([1, 1, 1], [40, 40, 40])
    found = FitScorer(matcher).score(faces, describe())
    cosines = matcher.place_faces(faces.descriptors) @ matcher.place_voices(DVECTOR[None])[0]
    assert found.match == pytest.approx(MATCH_WEIGHT * cosines, abs=1e-5) and found.match.std() > 0
    assert not found.pitch.any()  # it predicts none


def test_a_memory_compares_the_pitch_too(model):
    matcher = Matcher(model, "cpu")
    faces = make_faces([1, 1, 1], [40, 40, 40])
    high, low = (FitScorer(matcher).score(faces, describe(log_f0=f)) for f in (20.0, 5.0))
    assert (high.pitch < low.pitch).all()
    assert not FitScorer(matcher).score(faces, describe(log_f0=None)).pitch.any()


def test_a_model_of_other_faces_is_not_asked(tmp_path):
    from facevc_cli.families.checkpoint import load_checkpoint, save_checkpoint

    made = load_checkpoint(checkpoint(tmp_path / "a", "starter"))
    made.embedders["face"] = {**made.embedders["face"], "embedder": "facenet"}
    save_checkpoint(tmp_path / "b", made)
    matcher = Matcher(tmp_path / "b", "cpu")
    assert "knows faces by the embedder 'facenet'" in explain_unusable(matcher)
    assert not FitScorer(matcher).score(make_faces([1], [40]), describe()).match.any()
    made.embedders = {"face": {"embedder": "dlib"}, "voice": {"embedder": "ecapa"}}
    save_checkpoint(tmp_path / "c", made)
    with pytest.raises(FaceVCError, match="voices embedded by 'ecapa'"):
        Matcher(tmp_path / "c", "cpu")
