"""Samples on their way between two threads, and when they were captured."""

from collections import deque

import numpy as np


class SampleFifo:
    """A ring of samples between one thread that writes and one that reads. Neither waits for the other.

    Each side changes only its own position, so no lock is needed. written, read: samples since the beginning; dropped
    samples count as read. What does not fit is refused, so that a reader that hangs costs no memory.
    """

    def __init__(self, capacity: int):
        self._ring = np.zeros(capacity, np.float32)
        self.written = self.read = 0

    def __len__(self) -> int:
        return self.written - self.read

    def write(self, samples: np.ndarray) -> int:
        """Takes as many of the samples (n,) as fit, and returns how many."""
        count = min(len(samples), len(self._ring) - len(self))
        self._put(self.written, samples[:count])
        self.written += count
        return count

    def take(self, count: int) -> np.ndarray:
        """Reads `count` samples, or all if there are fewer."""
        found = self._look(self.read, min(count, len(self)))
        self.read += len(found)
        return found

    def drop(self, count: int, fade: int, search: int = 0) -> int:
        """Leaves out the next samples, with a crossfade to those behind them. Returns how many were left out.

        The gap has `count` to `count + search` samples. Of these lengths, the one is taken at which both sides of the
        crossfade are most alike, so that a vowel goes on in step. Nothing happens if fewer than `count + fade` wait.
        """
        if count <= 0 or len(self) < count + fade:
            return 0
        search = min(search, len(self) - count - fade)
        before, behind = self._look(self.read, fade), self._look(self.read + count, fade + search)
        gap = count + _find_alike(before, behind)
        weight = make_fade(fade)
        kept = behind[gap - count : gap - count + fade]
        self._put(self.read + gap, before * (1 - weight) + kept * weight)
        self.read += gap
        return gap

    def _look(self, position: int, count: int) -> np.ndarray:
        return self._ring.take(np.arange(position, position + count), mode="wrap")

    def _put(self, position: int, samples: np.ndarray) -> None:
        start = position % len(self._ring)
        first = min(len(samples), len(self._ring) - start)
        self._ring[start : start + first] = samples[:first]
        self._ring[: len(samples) - first] = samples[first:]


class Timeline:
    """When the sound at each position of a stream was captured, in seconds. One thread marks and one asks."""

    def __init__(self, rate: float):
        self.rate = rate
        self._marks: deque[tuple[int, float]] = deque()

    def mark(self, position: int, captured_s: float) -> None:
        """From this position on the sound is that of `captured_s`. Positions must grow."""
        self._marks.append((position, captured_s))

    def find(self, position: int) -> float | None:
        """When the sound at this position was captured. Earlier marks are forgotten. None if there is no mark."""
        while len(self._marks) > 1 and self._marks[1][0] <= position:
            self._marks.popleft()
        if not self._marks:
            return None
        marked, captured_s = self._marks[0]
        return captured_s + (position - marked) / self.rate


def make_fade(count: int) -> np.ndarray:
    """(count,) float32 that rises from 0 to 1 as a cosine does."""
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(count, dtype=np.float32) + 0.5) / max(1, count))).astype(np.float32)


def _find_alike(before: np.ndarray, behind: np.ndarray) -> int:
    """Finds where in `behind` the sound is most like `before`: the largest normalised correlation."""
    if len(behind) == len(before) or not np.any(before):
        return 0
    products = np.correlate(behind, before, "valid")
    energy = np.convolve(np.square(behind), np.ones(len(before), np.float32), "valid")
    return int(np.argmax(products / np.sqrt(energy + 1e-6)))
