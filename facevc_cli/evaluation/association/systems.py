"""What gives scores to faces and voices: a model's places, and two controls."""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np

from facevc_cli.evaluation.association.lists import AssociationList
from facevc_cli.evaluation.association.protocols import NumberedFiles

MOST_COSINES = 30_000_000  # 120 MB
SHUFFLED, GENDER_ALONE = "shuffled", "gender alone"


@dataclass(frozen=True)
class PlacesScorer:
    """The cosine of places: faces (F, D), voices (V, D), of unit length."""

    faces: np.ndarray
    voices: np.ndarray

    def score(self, faces: np.ndarray, voices: np.ndarray) -> np.ndarray:
        if self._cosines is not None:
            return cast(np.ndarray, self._cosines[faces, voices])
        return cast(np.ndarray, np.einsum("...d,...d->...", self.faces[faces], self.voices[voices]))

    @cached_property
    def _cosines(self) -> np.ndarray | None:
        """The cosines of all faces with all voices, (F, V), if they fit into memory."""
        small = len(self.faces) * len(self.voices) <= MOST_COSINES
        return self.faces @ self.voices.T if small else None


@dataclass(frozen=True)
class EqualLabelsScorer:
    """1 if a face's person and a voice's person have the same label, 0 if not, and 1/2 if one is unknown ('')."""

    faces: np.ndarray  # (F,) texts
    voices: np.ndarray

    def score(self, faces: np.ndarray, voices: np.ndarray) -> np.ndarray:
        shown, heard = self.faces[faces], self.voices[voices]
        return np.where((shown == "") | (heard == ""), 0.5, (shown == heard).astype(float))


def shuffle_people(places: PlacesScorer, files: NumberedFiles, seed: int = 0) -> PlacesScorer:
    """The control: each voice is replaced by one of another person. What remains is chance.

    People change in a ring, so that nobody keeps their own voice.
    """
    rng = np.random.default_rng(seed)
    heard = rng.permutation(np.unique(files.voice_people))
    following = dict(zip(heard.tolist(), np.roll(heard, 1).tolist(), strict=True))
    of_person = {person: np.flatnonzero(files.voice_people == person) for person in heard.tolist()}
    taken = [int(rng.choice(of_person[following[person]])) for person in files.voice_people.tolist()]
    return PlacesScorer(places.faces, places.voices[taken])


def make_gender_control(association: AssociationList, files: NumberedFiles) -> EqualLabelsScorer | None:
    """The control that knows the gender of everyone, and nothing else. None if the table names no genders."""
    genders = np.array([association.people[person].gender for person in files.people])
    if not (genders != "").any():
        return None
    return EqualLabelsScorer(genders[files.face_people], genders[files.voice_people])
