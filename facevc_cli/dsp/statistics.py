"""Over what a conversion takes its statistics: the whole utterance, or the last pieces of a stream.

A conversion normalises in several steps: the level and the pitch of the source, its content, the bands and the level of
the result. Each step asks its `Statistics` for the frames that count, and measures those.
"""

from collections import deque
from typing import Protocol, TypeVar, cast

import numpy as np
import torch

Frames = TypeVar("Frames", np.ndarray, torch.Tensor)


class Statistics(Protocol):
    """Gathers the frames that a step measures. One object serves one source and one target."""

    @property
    def trims(self) -> bool:
        """Whether silence at both ends is left out of the analysis. A stream does not know where it ends."""

    def gather(self, step: str, frames: Frames, axis: int = 0) -> Frames:
        """Returns the frames that count now for the step named `step`. frames: the new ones, along `axis`."""


class WholeUtterance:
    """The frames are the whole utterance, so they alone count."""

    trims = True

    def gather(self, step: str, frames: Frames, axis: int = 0) -> Frames:
        return frames


class RunningStatistics:
    """The frames are a piece of a stream. They count together with the pieces before them.

    most_pieces: how many pieces count, the new one included.
    """

    trims = False

    def __init__(self, most_pieces: int):
        self.most_pieces = most_pieces
        self._pieces: dict[str, deque[np.ndarray | torch.Tensor]] = {}

    def gather(self, step: str, frames: Frames, axis: int = 0) -> Frames:
        pieces = self._pieces.setdefault(step, deque(maxlen=self.most_pieces))
        pieces.append(frames.copy() if isinstance(frames, np.ndarray) else frames.clone())  # steps may work in place
        if isinstance(frames, np.ndarray):
            return np.concatenate(cast(list[np.ndarray], list(pieces)), axis=axis)
        return torch.cat(cast(list[torch.Tensor], list(pieces)), dim=axis)


WHOLE = WholeUtterance()
