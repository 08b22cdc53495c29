"""What a face embedder is."""

from typing import Protocol

import numpy as np


class Embedder(Protocol):
    """weights: a text that identifies the network. Stores and models keep it, and refuse another."""

    @property
    def weights(self) -> str: ...

    def __call__(self, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """image: (H, W, 3) uint8, box: (4,) -> embedding (D,) float32, crop (side, side, 3) uint8."""
        ...
