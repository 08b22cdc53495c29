"""Scores faces for a voice: how well register, age and pitch agree, and what a model says of the pair.

A score is a sum of logarithms of probabilities, and the model's cosine in the same unit. The cosine alone is not
enough: among composites it ranks men first for some women's voices. So the register weighs more than any cosine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import cast

import numpy as np
import torch

from facevc_cli.faces.reading import DLIB_DIM
from facevc_cli.families.base import Capability, MemoryModel
from facevc_cli.families.matching import Matcher
from facevc_cli.imagining.face_set import FaceSet
from facevc_cli.imagining.voice import VoiceDescription

AGE_SPREAD_YEARS = 10.5  # deviation of speakers' ages from what is read in their voices
PITCH_SPREAD = 0.25  # of ln F0, between people of one register
LEAST_CHANCE = 0.005  # no face is impossible: a label may be wrong
MATCH_WEIGHT = 2.0  # per unit of the cosine
# numbers of the embedder fused that each embedder's model takes
TAKEN: Mapping[str, slice] = MappingProxyType({"fused": slice(None), "dlib": slice(DLIB_DIM)})
TERMS = ("register", "age", "pitch", "match")


@dataclass(frozen=True, eq=False)
class FitScores:
    """The terms of n faces, each (n,): how much each raises the score. 0 for what could not be compared."""

    register: np.ndarray
    age: np.ndarray
    pitch: np.ndarray
    match: np.ndarray

    @cached_property
    def total(self) -> np.ndarray:
        return self.register + self.age + self.pitch + self.match

    def describe(self, i: int) -> dict[str, float]:
        """Returns the terms of one face and their sum."""
        return {name: round(float(getattr(self, name)[i]), 4) for name in (*TERMS, "total")}


class FitScorer:
    """Scores faces with a model that compares faces and voices. None: register and age alone are compared."""

    def __init__(self, matcher: Matcher | None):
        self.matcher = matcher if matcher is not None and not explain_unusable(matcher) else None

    def score(self, faces: FaceSet, voice: VoiceDescription) -> FitScores:
        chance = voice.feminine * faces.registers + (1 - voice.feminine) * (1 - faces.registers)
        age = -0.5 * ((faces.ages - voice.age_years) / AGE_SPREAD_YEARS) ** 2
        return FitScores(
            np.log(np.maximum(chance, LEAST_CHANCE)), age, self._score_pitch(faces, voice), self._match(faces, voice)
        )

    def _match(self, faces: FaceSet, voice: VoiceDescription) -> np.ndarray:
        if self.matcher is None:
            return np.zeros(len(faces))
        placed = self.matcher.place_faces(self._take(faces))
        return MATCH_WEIGHT * (placed @ self.matcher.place_voices(voice.dvector[None])[0]).astype(np.float64)

    def _score_pitch(self, faces: FaceSet, voice: VoiceDescription) -> np.ndarray:
        """Compares with the pitch that the model would give each face, if it predicts one."""
        if self.matcher is None or voice.log_f0 is None or not _predicts_pitch(self.matcher):
            return np.zeros(len(faces))
        model = cast(MemoryModel, self.matcher.checkpoint.model)
        with torch.inference_mode():
            address = model.recall_face(torch.from_numpy(self._take(faces)).to(self.matcher.device))[1]
            log_f0 = model.predict_pitch_at(cast(torch.Tensor, address).log())[0].float().cpu().numpy()
        return cast(np.ndarray, -0.5 * ((log_f0.astype(np.float64) - voice.log_f0) / PITCH_SPREAD) ** 2)

    def _take(self, faces: FaceSet) -> np.ndarray:
        settings = dict(cast(Matcher, self.matcher).face_reader.settings)
        return np.ascontiguousarray(faces.descriptors[:, TAKEN[settings["embedder"]]])


def explain_unusable(matcher: Matcher) -> str:
    """Says why a model cannot compare composites with voices. Empty if it can."""
    name, embedder = matcher.checkpoint.config.name, dict(matcher.face_reader.settings).get("embedder")
    if matcher.face_reader.reads_crops or embedder not in TAKEN:
        kind = "their crops" if matcher.face_reader.reads_crops else f"the embedder {embedder!r}"
        return (
            f"the model {name!r} knows faces by {kind}, but composites are described by {' and '.join(sorted(TAKEN))}"
        )
    if matcher.voice_reader.frontend is not None:
        return f"the model {name!r} knows voices by log-mels, not by d-vectors"
    return ""


def _predicts_pitch(matcher: Matcher) -> bool:
    return {Capability.MEMORY, Capability.PITCH} <= matcher.checkpoint.model.capabilities
