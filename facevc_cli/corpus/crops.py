"""Draws batches of random crops from a features store. A batch depends only on (seed, step), and the process's rank.

A store in shards has an order of its own (shard_order.py).

So a resumed run gets exactly the batches of an uninterrupted one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.shard_order import RankOrder
from facevc_cli.corpus.store import Store
from facevc_cli.dsp.pitch import PitchStatistics, normalise_log_f0
from facevc_cli.files.names import index_by_name

CONTENT_RATE = 50  # Hz, the teacher's frames
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Voices:
    """The d-vector (256,) and the speaker of every usable utterance, by its row in the features store."""

    rows: np.ndarray  # (n,) rows of the features store, ascending
    dvectors: np.ndarray  # (n, 256); (n, 0) without a voices store
    speakers: np.ndarray  # (n,) integers


def join_voices(features: Store, voices: Store | None, split: str) -> Voices:
    """The utterances of a split that the features store holds, and the voices store if there is one.

    FaceVCError if none is left.
    """
    named = enumerate(zip(features.ids, features.read_column("split"), strict=True))
    wanted = [i for i, (u, s) in named if s == split and (voices is None or u in voices.position)]
    if not wanted:
        raise FaceVCError(_explain_nothing_shared(features, voices, split))
    if voices is None:
        dvectors = np.zeros((len(wanted), 0), np.float32)
    else:
        dvectors = voices.read_vectors("dvector")[[voices.position[features.ids[i]] for i in wanted]]
    numbers = {name: n for n, name in enumerate(sorted(set(features.speakers)))}
    return Voices(np.array(wanted), dvectors, np.array([numbers[features.speakers[i]] for i in wanted]))


def _explain_nothing_shared(features: Store, voices: Store | None, split: str) -> str:
    if voices is None:
        return (
            f"{features.path} holds no utterance of the split {split!r}, and {len(features)} in all. Its splits come "
            "from --split of extract-features."
        )
    return (
        f"{features.path} and {voices.path} share no utterance of the split {split!r}: {len(features)} and "
        f"{len(voices)} utterances, first ids {features.ids[:2]} and {voices.ids[:2]}. Extract both from the same "
        "folder of recordings."
    )


class CropReader:
    """Reads one utterance's crop from the store. Short utterances are repeated."""

    def __init__(self, store: Store, crop_frames: int, teacher: bool):
        self.store, self.crop, self.teacher = store, crop_frames, teacher
        definition = store.settings["definition"]
        self.frame_rate = definition["rate"] / definition["hop_samples"]
        self.mean, self.std = store.read_statistics("mel_mean"), store.read_statistics("mel_std") + 1e-8
        self.level = np.stack([store.read_column("log_f0_mean"), store.read_column("log_f0_std")], axis=1).astype(
            np.float32
        )
        self.lengths = store.read_lengths("mel")
        bands = store.read_frames("mel", 0, 0, 1).shape[-1:]
        if self.mean.shape != bands or self.std.shape != bands:
            raise FaceVCError(
                f"{store.path}: its log-mels have {bands[0] if bands else 'no'} bands, its statistics the shapes "
                f"{self.mean.shape} and {self.std.shape}. Run the extracting command again."
            )

    def read_mel(self, row: int, rng: np.random.Generator) -> np.ndarray:
        """(crop, n_mels) normalised."""
        return self.read_mel_at(row, self.draw_first(row, rng))

    def draw_first(self, row: int, rng: np.random.Generator) -> int:
        """Draws the first frame of a crop."""
        return int(rng.integers(0, max(1, int(self.lengths[row]) - self.crop + 1)))

    def read_mel_at(self, row: int, first: int) -> np.ndarray:
        """(crop, n_mels) normalised, from frame `first`."""
        mel = tile_frames(self.store.read_frames("mel", row, first, first + self.crop), self.crop)
        return ((mel - self.mean) / self.std).astype(np.float32)

    def read(self, row: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """`read_at` from a drawn frame."""
        return self.read_at(row, self.draw_first(row, rng))

    def read_at(self, row: int, first: int) -> dict[str, np.ndarray]:
        """mel (crop, n_mels) normalised, lf0 (crop,) normalised, level (2,), with a teacher content (crop at 50 Hz,
        dim).
        """
        length = int(self.lengths[row])
        f0 = tile_frames(self.store.read_frames("f0", row, first, first + self.crop), self.crop)
        lf0 = normalise_log_f0(f0, PitchStatistics(*map(float, self.level[row])))
        item = {"mel": self.read_mel_at(row, first), "lf0": lf0, "level": self.level[row]}
        if self.teacher:
            start, count = (
                round(first / self.frame_rate * CONTENT_RATE),
                round(self.crop / self.frame_rate * CONTENT_RATE),
            )
            own = min(count, max(1, round(min(length, self.crop) / self.frame_rate * CONTENT_RATE)))
            total = int(self.store.read_lengths("content")[row])
            start = min(start, max(0, total - own))
            item["content"] = tile_frames(self.store.read_frames("content", row, start, start + own), count).astype(
                np.float32
            )
        return item


def tile_frames(frames: np.ndarray, count: int) -> np.ndarray:
    """(n, ...) -> (count, ...): the frames, repeated if there are too few. FaceVCError if there is none."""
    if len(frames) == 0:
        raise FaceVCError("the features store holds an utterance of no frames. Extract the features again.")
    return frames if len(frames) == count else np.resize(frames, (count, *frames.shape[1:]))


class CropBatches(Dataset):
    """`self[step]` is the batch of that step. Utterances are drawn by weight.

    With faces, each also gets one of its faces, and another speaker's voice.

    other_mel: also reads that speaker's log-mel, for a speaker encoder that needs it. more: number of additional crops
    with log-mel and d-vector only. frames: False reads only vectors, for trainings that decode nothing. partners: rows
    of the features store that are aligned with a row (corpus/aligned.py). One of them gives `aligned_mel` (crop,
    n_mels) of the same frames, `aligned_dvector` and `aligned_level`; `aligned` is 0 for utterances without any.
    references: also read `reference_mel` (crop, n_mels) of another utterance of the speaker, and with partners
    `aligned_reference_mel` of the partner's speaker. `alone` is True if there is no other one; then the crop is of the
    utterance itself, and tells too much. order: the order of a store in shards, in place of draws from all
    utterances; it holds the weights too.
    """

    def __init__(
        self,
        reader: CropReader,
        voices: Voices,
        batch_size: int,
        seed: int,
        *,
        weights: np.ndarray | None = None,
        faces: Sequence[np.ndarray] | None = None,
        face_embeddings: np.ndarray | None = None,
        other_mel: bool = False,
        frames: bool = True,
        more: int = 0,
        partners: Mapping[int, np.ndarray] | None = None,
        references: bool = False,
        rank: int = 0,
        order: RankOrder | None = None,
    ):
        self.order = order
        self.reader, self.voices, self.batch_size, self.seed, self.rank = reader, voices, batch_size, seed, rank
        self.weights = None if weights is None else weights / weights.sum()
        self.faces, self.face_embeddings, self.other_mel, self.frames, self.more = (
            faces,
            face_embeddings,
            other_mel,
            frames,
            more,
        )
        self.partners, self.references = partners, references
        self._by_speaker = np.argsort(voices.speakers, kind="stable")
        self._sorted_speakers = voices.speakers[self._by_speaker]

    def __len__(self) -> int:
        return 2**31

    def list_used_faces(self) -> np.ndarray:
        """Returns (n, face_dim): the embeddings of all faces that these batches can draw."""
        if self.faces is None or self.face_embeddings is None:
            raise FaceVCError("these batches have no faces.")
        return self.face_embeddings[np.unique(np.concatenate(list(self.faces)))]

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, step, self.rank])
        if self.order is None:
            chosen = rng.choice(len(self.voices.rows), self.batch_size, p=self.weights)
            items = [self._make_item(int(i), rng) for i in chosen]
        else:
            items = [self._make_item(i, own) for i, own in self.order.find_items(step)]
        batch = {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]}
        if self.more:
            if self.order is None:
                beside = rng.choice(len(self.voices.rows), self.more, p=self.weights)
            else:
                beside, rng = self.order.draw_beside(step, self.more)
            batch["more_mel"] = torch.from_numpy(
                np.stack([self.reader.read_mel(int(self.voices.rows[i]), rng) for i in beside])
            )
            batch["more_dvector"] = torch.from_numpy(self.voices.dvectors[beside])
        return batch

    def _make_item(self, i: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        row = int(self.voices.rows[i])
        first = self.reader.draw_first(row, rng) if self.frames else 0
        item = self.reader.read_at(row, first) if self.frames else {"level": self.reader.level[row]}
        item["dvector"] = self.voices.dvectors[i]
        if self.references:
            item["reference_mel"], item["alone"] = self._read_reference(i, rng)
        if self.partners is not None:
            partner = int(rng.choice(self.partners[row])) if row in self.partners else row
            item["aligned_mel"] = self.reader.read_mel_at(partner, first)
            place = int(np.searchsorted(self.voices.rows, partner))
            item["aligned_dvector"] = self.voices.dvectors[place]
            if self.references:
                item["aligned_reference_mel"], alone = self._read_reference(place, rng)
                item["alone"] |= alone
            item["aligned_level"] = self.reader.level[partner]
            item["aligned"] = np.array(partner != row, np.float32)
        if self.faces is not None and self.face_embeddings is not None:
            other = self._draw_other(i, rng)
            item["face"] = self.face_embeddings[rng.choice(self.faces[i])]
            item["other_face"] = self.face_embeddings[rng.choice(self.faces[other])]
            item["other_dvector"] = self.voices.dvectors[other]
            item["other_level"] = self.reader.level[self.voices.rows[other]]
            if self.other_mel:
                item["other_mel"] = self.reader.read(int(self.voices.rows[other]), rng)["mel"]
        return item

    def _read_reference(self, i: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Reads a crop of another utterance of the speaker, or of this one if it is alone: log-mel, whether alone.

        A crop of the utterance itself would tell the decoder what to say, and not only in which voice.
        """
        own = self._find_own(i)
        others = own[own != i]
        chosen = i if len(others) == 0 else int(rng.choice(others))
        return self.reader.read_mel(int(self.voices.rows[chosen]), rng), np.array(len(others) == 0)

    def _draw_other(self, i: int, rng: np.random.Generator) -> int:
        """Draws an utterance of another speaker, or of the same speaker if there is only one."""
        own = self._find_own(i)
        others = len(self.voices.rows) - len(own)
        if others == 0:
            return int(rng.integers(len(self.voices.rows)))
        place = int(rng.integers(others))  # among the others; a list of them would be long
        return place + int(np.searchsorted(own - np.arange(len(own)), place, side="right"))

    def _find_own(self, i: int) -> np.ndarray:
        """Returns the utterances of the same speaker, ascending."""
        speaker = self.voices.speakers[i]
        first, last = np.searchsorted(self._sorted_speakers, [speaker, speaker + 1])
        return self._by_speaker[first:last]


def read_utterance_weights(
    table: Sequence[Mapping[str, str]], features: Store, rows: np.ndarray, path: Path
) -> np.ndarray:
    """Returns the weights (n,) by which utterances are drawn, from a table (utterance, weight).

    The default weight is 1.
    """
    try:
        named = index_by_name((row["utterance"], float(row["weight"])) for row in table)
    except ValueError as error:
        raise FaceVCError(f"{path}: expected a number in the column weight ({error}).") from error
    weights = np.array([named.get(features.ids[i], 1.0) for i in rows])
    if not (np.isfinite(weights).all() and (weights >= 0).all() and 0 < weights.sum() < np.inf):
        raise FaceVCError(f"{path}: expected finite weights of the training utterances, 0 or more and not all 0.")
    return weights
