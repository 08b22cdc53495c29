"""The order in which a training reads a store in shards: shuffled, but from few shards at a time.

An epoch is a permutation of all items. Its shards are shuffled and taken in windows of a few shards, and the items of a
window are shuffled. So a batch reads from a few open files, and no data is read to shuffle. The order depends only on
the seed: item p of it is found by arithmetic on (seed, p). A run that resumes, also on another number of processes,
goes on at position step x batch size.
"""

from dataclasses import dataclass

import numpy as np

from facevc_cli.core.errors import FaceVCError

WINDOW_SHARDS = 16  # shards that are read from at a time; with 1024 items each, an item is shuffled among 16,384
EPOCH, WINDOW, ITEM, BESIDE = range(1, 5)  # tell the streams of random numbers of one seed apart


@dataclass(frozen=True)
class _Epoch:
    """One epoch. shards: shuffled. ends: how many items the windows up to each have. copies: of each item, or None."""

    number: int
    shards: np.ndarray
    ends: np.ndarray
    copies: np.ndarray | None


class ShardOrder:
    """The order of items that are in shards.

    shards: (items,) the number of each item's shard. weights: (items,) how often each is drawn; an epoch has as many
    draws as there are items, so that an item comes floor or ceil of items x weight / sum of weights times.
    """

    def __init__(self, shards: np.ndarray, seed: int, weights: np.ndarray | None = None, window: int = WINDOW_SHARDS):
        self.seed, self.window, self.items = seed, window, len(shards)
        self._weights = None if weights is None else weights / weights.sum()
        self._order = np.argsort(shards, kind="stable")
        self._numbers, starts = np.unique(shards[self._order], return_index=True)
        self._bounds = np.append(starts, self.items)
        self._epoch: _Epoch | None = None
        self._mixed: tuple[int, int, np.ndarray] | None = None  # epoch, window, its items in their order

    def find_items(self, first: int, stop: int) -> np.ndarray:
        """Returns the items at the positions from `first` to below `stop`."""
        found = []
        while first < stop:
            number, place = divmod(first, self.items)
            epoch = self._find_epoch(number)
            window = int(np.searchsorted(epoch.ends, place, side="right"))
            begin = int(epoch.ends[window - 1]) if window else 0
            part = self._mix(epoch, window)[place - begin : place - begin + stop - first]
            found.append(part)
            first += len(part)
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def find_neighbours(self, position: int) -> np.ndarray:
        """Returns the items of the window that holds a position. Their shards are those being read."""
        number, place = divmod(position, self.items)
        epoch = self._find_epoch(number)
        return self._mix(epoch, int(np.searchsorted(epoch.ends, place, side="right")))

    def _find_epoch(self, number: int) -> _Epoch:
        if self._epoch is None or self._epoch.number != number:
            rng = np.random.default_rng([self.seed, EPOCH, number])
            shards = rng.permutation(len(self._numbers))
            copies = None if self._weights is None else self._draw_copies(self._weights, rng.random())
            counts = np.array([len(self._list_members(copies, [shard])) for shard in shards])
            ends = np.cumsum(np.add.reduceat(counts, np.arange(0, len(counts), self.window)))
            self._epoch = _Epoch(number, shards, ends, copies)
        return self._epoch

    def _draw_copies(self, weights: np.ndarray, start: float) -> np.ndarray:
        """Returns how often each item comes in an epoch: as many draws as items, at equal distances (Kitagawa 1996)."""
        sums = np.cumsum(weights) * self.items
        sums[-1] = self.items
        return np.diff(np.floor(sums + start), prepend=np.floor(start)).astype(np.int64)

    def _list_members(self, copies: np.ndarray | None, shards: np.ndarray | list[int]) -> np.ndarray:
        members = np.concatenate([self._order[self._bounds[n] : self._bounds[n + 1]] for n in shards])
        return members if copies is None else np.repeat(members, copies[members])

    def _mix(self, epoch: _Epoch, window: int) -> np.ndarray:
        if self._mixed is None or self._mixed[:2] != (epoch.number, window):
            shards = epoch.shards[window * self.window : (window + 1) * self.window]
            rng = np.random.default_rng([self.seed, WINDOW, epoch.number, window])
            self._mixed = (epoch.number, window, rng.permutation(self._list_members(epoch.copies, shards)))
        return self._mixed[2]


@dataclass(frozen=True)
class RankOrder:
    """The part of each step's batch that one process reads. All processes together read the same items, whatever their
    number.

    batch_size: of all processes together.
    """

    order: ShardOrder
    batch_size: int
    rank: int = 0
    processes: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < self.processes:
            raise FaceVCError(
                f"batch_size {self.batch_size}: {self.processes} processes need at least one item each. Raise it with "
                "--set, or use fewer processes."
            )

    def find_items(self, step: int) -> list[tuple[int, np.random.Generator]]:
        """Returns the items of a step, each with its own random numbers, which depend on its position alone."""
        first, stop = (
            step * self.batch_size + self.batch_size * rank // self.processes for rank in (self.rank, self.rank + 1)
        )
        items = self.order.find_items(first, stop)
        return [
            (int(item), np.random.default_rng([self.order.seed, ITEM, position]))
            for item, position in zip(items, range(first, stop), strict=True)
        ]

    def draw_beside(self, step: int, count: int) -> tuple[np.ndarray, np.random.Generator]:
        """Draws more items from the shards that are being read."""
        rng = np.random.default_rng([self.order.seed, BESIDE, step, self.rank])
        return rng.choice(self.order.find_neighbours(step * self.batch_size), count), rng
