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
    validation: PairBatches | None  # None if no pair is held out


def read_pairs(request: TrainingRequest) -> PairInputs:
    """Joins the stores, and holds some speakers and some faces out. FaceVCError names what does not fit."""
    faces, voices, config = request.faces, request.get_voices(), request.config
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
    apart = config.train.validation_share
    held_voices = [is_held_out(speaker, apart) for speaker in voices.speakers]
    held_faces = np.array([is_held_out(person, apart) for person in faces.speakers])

    def select(held_out: bool) -> Pairs | None:
        """Selects the pairs whose face and whose voice are both held out, or both not."""
        kept = {row: found[held_faces[found] == held_out] for row, found in joined.items()}
        own = [row for row, found in kept.items() if len(found) and held_voices[row] == held_out]
        if not own or not weights[own].sum() > 0:
            return None
        used = np.unique(np.concatenate([kept[row] for row in own]))
        return Pairs(
            dvectors[own],
            embeddings[used],
            [np.searchsorted(used, kept[row]) for row in own],
            np.array([numbers[voices.speakers[row]] for row in own]),
            weights[own],
        )

    training, validation = select(False), select(True)
    if training is None or len(set(training.people.tolist())) < 2:
        raise FaceVCError(
            f"{voices.path} and {faces.path}: expected at least 2 people with faces and voices to learn from, found "
            f"{0 if training is None else 1} ({len(set(voices.speakers))} speakers; train.validation_share {apart} of "
            "the speakers and of the faces only validate). Pass stores with more people, --pairs with more rows, or a "
            "smaller --set train.validation_share."
        )
    share = -(-config.train.batch_size // request.processes)
    if validation is not None and len(set(validation.people.tolist())) < 2:
        validation = None
    return PairInputs(
        PairBatches(training, share, request.seed, request.rank),
        None if validation is None else PairBatches(validation, share, VALIDATION_SEED, request.rank),
    )


def is_held_out(person: str, share: float) -> bool:
    """Whether a person is among the share that only validates. It depends on the name alone."""
    return int(hashlib.sha256(person.encode()).hexdigest()[:8], 16) < share * 2**32


def _read_vectors(store: Store, name: str, what: str, setting: str, wanted: int) -> np.ndarray:
    found = np.ascontiguousarray(store.read_vectors(name), dtype=np.float32)
    if found.shape[1] != wanted:
        raise FaceVCError(
            f"{store.path}: its {what} have {found.shape[1]} numbers, but the configuration says {setting} {wanted}. "
            f"Pass --set {setting}={found.shape[1]}, or extract again with the extractor that the model was made for."
        )
    return found
