"""Reads the inputs of the training: faces and voices of the same person, as batches for training and validation."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.crops import Batch, read_utterance_weights
from facevc_cli.corpus.pairing import pair_faces
from facevc_cli.corpus.store import Store
from facevc_cli.families.base import TrainingRequest
from facevc_cli.families.cmpc.config import Config
from facevc_cli.files.tables import read_table

VALIDATION_SEED = 999_983  # draws the same validation batches in every run


@dataclass(frozen=True)
class Pairs:
    """Voices with the faces of their people. V: voices, F: faces."""

    dvectors: np.ndarray  # (V, 256)
    embeddings: np.ndarray  # (F, face_dim)
    faces: list[np.ndarray]  # per voice, the rows of its faces in `embeddings`, at least one
    people: np.ndarray  # (V,) integers
    weights: np.ndarray  # (V,) how often each voice is drawn


class PairBatches(Dataset):
    """`self[step]` is the batch of that step: people, with one voice and one face of each.

    It draws people without replacement while there are enough of them. A batch depends only on (seed, step).
    """

    def __init__(self, pairs: Pairs, batch_size: int, seed: int, rank: int = 0):
        self.pairs, self.batch_size, self.seed, self.rank = pairs, batch_size, seed, rank
        numbers = np.unique(pairs.people, return_inverse=True)[1]
        weights = np.bincount(numbers, pairs.weights)
        drawn = np.flatnonzero(weights > 0)
        self.voices_of = [np.flatnonzero(numbers == person) for person in drawn]
        self.summed_weights = [np.cumsum(pairs.weights[voices]) for voices in self.voices_of]
        self.shares = weights[drawn] / weights[drawn].sum()

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, step, self.rank])
        enough = self.batch_size <= len(self.voices_of)
        people = rng.choice(len(self.voices_of), self.batch_size, replace=not enough, p=self.shares)
        chances = rng.random((2, self.batch_size))
        voices = np.array([self._choose_voice(*drawn) for drawn in zip(people, chances[0], strict=True)])
        faces_of = [self.pairs.faces[voice] for voice in voices]
        faces = np.array([found[int(at * len(found))] for found, at in zip(faces_of, chances[1], strict=True)])
        return {
            "face": torch.from_numpy(self.pairs.embeddings[faces]),
            "dvector": torch.from_numpy(self.pairs.dvectors[voices]),
            "person": torch.from_numpy(self.pairs.people[voices]),
            "face_item": torch.from_numpy(faces),
            "voice_item": torch.from_numpy(voices),
        }

    def _choose_voice(self, person: int, chance: float) -> int:
        """Returns the person's voice at a chance from 0 to below 1. A voice of weight 0 is never chosen."""
        sums = self.summed_weights[person]
        return int(self.voices_of[person][np.searchsorted(sums, chance * sums[-1], side="right")])


@dataclass(frozen=True)
class PairInputs:
    training: PairBatches
    validation: PairBatches | None  # None if no speaker is held out


def read_pairs(request: TrainingRequest) -> PairInputs:
    """Joins the stores, and holds some speakers out with their faces. FaceVCError names what does not fit."""
    faces, voices, config = request.faces, request.voices, request.config
    if faces is None:
        raise FaceVCError("this training needs a store of faces.")
    dvectors = _read_vectors(voices, "dvector", "d-vectors", "model.dvector_dim", config.model.dvector_dim)
    embeddings = _read_vectors(faces, "embedding", "face embeddings", "model.face_dim", config.model.face_dim)
    table = read_table(request.pairs, ("face",)) if request.pairs else None
    rows = np.arange(len(voices))
    joined = pair_faces(voices, rows, faces, table)
    weights = np.ones(len(voices))
    if request.sampling_weights is not None:
        listed = read_table(request.sampling_weights, ("utterance", "weight"))
        weights = read_utterance_weights(listed, voices, rows, request.sampling_weights)
    numbers = {name: n for n, name in enumerate(sorted(set(voices.speakers)))}
    held_out = [is_held_out(speaker, config.train.validation_share) for speaker in voices.speakers]

    def select(chosen: list[int], banned: set[int]) -> Pairs | None:
        """Selects these voices, and their faces but the banned ones."""
        kept = {row: [int(face) for face in joined[row] if int(face) not in banned] for row in chosen}
        kept = {row: found for row, found in kept.items() if found}
        if not kept or not weights[list(kept)].sum() > 0:
            return None
        used = sorted({face for found in kept.values() for face in found})
        place = {face: i for i, face in enumerate(used)}
        own = list(kept)
        return Pairs(
            dvectors[own],
            embeddings[used],
            [np.array([place[face] for face in found]) for found in kept.values()],
            np.array([numbers[voices.speakers[row]] for row in own]),
            weights[own],
        )

    training = select([row for row in joined if not held_out[row]], set())
    _check_people(training, voices, config)
    trained_on = {int(face) for row in joined if not held_out[row] for face in joined[row]}
    validation = select([row for row in joined if held_out[row]], trained_on)
    share = -(-config.train.batch_size // request.processes)
    few = validation is None or len(set(validation.people.tolist())) < 2
    return PairInputs(
        PairBatches(training, share, request.seed, request.rank),  # type: ignore[arg-type]  # checked above
        None if few else PairBatches(validation, share, VALIDATION_SEED, request.rank),  # type: ignore[arg-type]
    )


def is_held_out(speaker: str, share: float) -> bool:
    """Whether a speaker is among the share that only validates. It depends on the name alone."""
    return int(hashlib.sha256(speaker.encode()).hexdigest()[:8], 16) < share * 2**32


def _read_vectors(store: Store, name: str, what: str, setting: str, wanted: int) -> np.ndarray:
    found = np.ascontiguousarray(store.read_vectors(name), dtype=np.float32)
    if found.shape[1] != wanted:
        raise FaceVCError(
            f"{store.path}: its {what} have {found.shape[1]} numbers, but the configuration says {setting} {wanted}. "
            f"Pass --set {setting}={found.shape[1]}, or extract again with the extractor that the model was made for."
        )
    return found


def _check_people(training: Pairs | None, voices: Store, config: Config) -> None:
    people = 0 if training is None else len(set(training.people.tolist()))
    if people < 2:
        raise FaceVCError(
            f"{voices.path}: expected at least 2 people with faces to learn from, found {people} "
            f"({len(set(voices.speakers))} speakers; train.validation_share {config.train.validation_share} of them "
            "only validate). Pass stores with more people, --pairs with more rows, or a smaller "
            "--set train.validation_share."
        )
