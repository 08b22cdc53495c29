"""Faces to choose from, as numbers, and their mixtures."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class DescribedFaces(Protocol):
    """What a set of composites has, too."""

    @property
    def descriptors(self) -> np.ndarray: ...
    @property
    def registers(self) -> np.ndarray: ...
    @property
    def ages(self) -> np.ndarray: ...
    @property
    def groups(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, eq=False)
class FaceSet:
    """n faces. descriptors: (n, 162) of the embedder fused; registers: (n,) 0 (man) to 1 (woman); ages: (n,) years.

    groups: the origin of each, as labelled by the source of the pictures; empty if there are no labels.
    """

    descriptors: np.ndarray
    registers: np.ndarray
    ages: np.ndarray
    groups: tuple[str, ...] = ()

    @classmethod
    def of(cls, faces: DescribedFaces) -> "FaceSet":
        return cls(
            np.asarray(faces.descriptors, np.float32),
            np.asarray(faces.registers, np.float64),
            np.asarray(faces.ages, np.float64),
            tuple(faces.groups),
        )

    def __len__(self) -> int:
        return len(self.descriptors)

    def select(self, chosen: np.ndarray) -> "FaceSet":
        return FaceSet(self.descriptors[chosen], self.registers[chosen], self.ages[chosen])

    def mix(self, weights: np.ndarray) -> "FaceSet":
        """Weights (k, n) of k mixtures, rows sum to 1 -> what the mixtures are taken for, before any is drawn."""
        weights = np.asarray(weights, np.float64)
        mixed = (weights @ self.descriptors).astype(np.float32)
        return FaceSet(mixed, weights @ self.registers, weights @ self.ages)
