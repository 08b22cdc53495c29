"""What the encoders take of a store: embeddings, crops of faces, or parts of log-mels."""

from typing import Protocol

import numpy as np
import torch

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.crops import tile_frames
from facevc_cli.corpus.store import Store


class Items(Protocol):
    """Items of one modality. Each has one example or many. n: rows that are asked for, counted among the items."""

    def __len__(self) -> int: ...

    def select(self, rows: np.ndarray) -> "Items":
        """Returns these items alone, in this order."""

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        """Reads an example of each row by chance: (n, ...)."""

    def read_middle(self, rows: np.ndarray) -> torch.Tensor:
        """Reads the middle example of each row: (n, ...)."""

    def measure(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Returns mean and deviation, which an encoder standardises its inputs with. None: it needs none."""


class StoredVectors:
    """One vector for each item: (items, D)."""

    def __init__(self, vectors: np.ndarray):
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.vectors)

    def select(self, rows: np.ndarray) -> "StoredVectors":
        return StoredVectors(self.vectors[rows])

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        return self.read_middle(rows)

    def read_middle(self, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.vectors[rows])

    def measure(self) -> tuple[torch.Tensor, torch.Tensor]:
        vectors = torch.from_numpy(self.vectors)
        return vectors.mean(0), vectors.std(0, unbiased=False)


class StoredCrops:
    """The crops of each picture or video. FaceVCError if the store has none."""

    def __init__(self, store: Store, rows: np.ndarray | None = None):
        if "crop" not in store.frame_names:
            raise FaceVCError(
                f"{store.path}: expected a store with the faces themselves, found only their embeddings. Make it with "
                "'facevc extract-face --store-crops 128'."
            )
        self.store, self.rows = store, np.arange(len(store)) if rows is None else rows
        self.counts = store.read_lengths("crop")[self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, rows: np.ndarray) -> "StoredCrops":
        return StoredCrops(self.store, self.rows[rows])

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        return self._read(rows, rng.random(len(rows)))

    def read_middle(self, rows: np.ndarray) -> torch.Tensor:
        return self._read(rows, np.full(len(rows), 0.5))

    def measure(self) -> None:
        return None

    def _read(self, rows: np.ndarray, chances: np.ndarray) -> torch.Tensor:
        """Reads the crop of each row at a chance from 0 to below 1: (n, side, side, 3) uint8."""
        crops = []
        for row, place in zip(rows, (chances * self.counts[rows]).astype(int), strict=True):
            found = self.store.read_frames("crop", int(self.rows[row]), int(place), int(place) + 1)
            if len(found) != 1 or found.dtype != np.uint8 or found.shape[-1] != 3:
                raise FaceVCError(
                    f"{self.store.path}: expected crops (side, side, 3) of bytes in each item, found {found.shape} of "
                    f"{found.dtype} in {self.store.ids[int(self.rows[row])]!r}. Extract the faces again."
                )
            crops.append(found[0])
        return torch.from_numpy(np.stack(crops))


class StoredLogMels:
    """Parts of each utterance's log-mel. Short utterances are repeated."""

    def __init__(self, store: Store, part_frames: int, rows: np.ndarray | None = None):
        self.store, self.part_frames = store, part_frames
        self.rows = np.arange(len(store)) if rows is None else rows
        self.most = np.maximum(0, store.read_lengths("mel")[self.rows] - part_frames)  # the last first frame

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, rows: np.ndarray) -> "StoredLogMels":
        return StoredLogMels(self.store, self.part_frames, self.rows[rows])

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        return self._read(rows, rng.integers(0, self.most[rows] + 1))

    def read_middle(self, rows: np.ndarray) -> torch.Tensor:
        return self._read(rows, self.most[rows] // 2)

    def measure(self) -> tuple[torch.Tensor, torch.Tensor]:
        mean, std = (self.store.read_statistics(name) for name in ("mel_mean", "mel_std"))
        return torch.from_numpy(mean), torch.from_numpy(std)

    def _read(self, rows: np.ndarray, firsts: np.ndarray) -> torch.Tensor:
        """Reads a part of each row: raw (n, part_frames, bands) float32."""
        parts = []
        for row, first in zip(self.rows[rows].tolist(), firsts.tolist(), strict=True):
            found = self.store.read_frames("mel", row, first, first + self.part_frames)
            parts.append(tile_frames(found, self.part_frames))
        return torch.from_numpy(np.stack(parts).astype(np.float32, copy=False))
