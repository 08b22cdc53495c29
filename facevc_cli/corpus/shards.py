"""Reads the shards of a store that has an index. Shards are opened when they are read, and only a few at a time."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from facevc_cli.corpus.shard_index import CheckedIndex
from facevc_cli.corpus.store_check import make_damage_error, report_damage
from facevc_cli.files.names import normalise_name

if TYPE_CHECKING:
    from facevc_cli.corpus.store import Store

MOST_OPEN = 64  # shard files at a time; the system's limit for a process is often 256


class Shards:
    """The shards of one index. It can be passed to worker processes.

    open_store: opens a shard as a store of its own, with all checks. Each shard is checked when it is first read.
    """

    def __init__(self, index: CheckedIndex, open_store: "Callable[[Path], Store]"):
        self.index, self._open_store = index, open_store
        self._files: OrderedDict[int, h5py.File] = OrderedDict()
        self._datasets: dict[tuple[int, str], h5py.Dataset] = {}  # looking one up costs more than a crop's read
        self._paths: dict[int, Path] = {}  # of the shards that were opened
        self._checked = np.zeros(len(index.shard_files), bool)
        # the items in the order of their shards, and where each shard begins among them
        self._order = np.argsort(index.shard, kind="stable")
        self._bounds = np.searchsorted(index.shard[self._order], np.arange(len(index.shard_files) + 1))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": OrderedDict(), "_datasets": {}}

    @property
    def open_files(self) -> int:
        return len(self._files)

    def close(self) -> None:
        for number in list(self._files):
            self._close(number)

    def find_items(self, shard: int) -> np.ndarray:
        """Returns the places, in the whole store, of the items that a shard holds."""
        return self._order[self._bounds[shard] : self._bounds[shard + 1]]

    def read_rows(self, name: str, item: int, first: int, stop: int) -> np.ndarray:
        """Reads rows [first, stop) of frames/<name> of the item's shard, in a single contiguous read."""
        number = int(self.index.shard[item])
        file = self._open(number)
        with report_damage(self._paths[number], f"frames/{name}"):
            if (number, name) not in self._datasets:
                self._datasets[number, name] = file["frames"][name]
            return self._datasets[number, name][first:stop]

    def read_vector(self, name: str, item: int) -> np.ndarray:
        number = int(self.index.shard[item])
        file = self._open(number)
        with report_damage(self._paths[number], f"vectors/{name}"):
            return file["vectors"][name][int(self.index.row[item])]

    def read_vectors(self, name: str) -> np.ndarray:
        """Reads the vectors of all items, (items, ...). Each shard is read once."""
        parts = []
        for number in range(len(self.index.shard_files)):
            file = self._open(number)
            with report_damage(self._paths[number], f"vectors/{name}"):
                parts.append(file["vectors"][name][:][self.index.row[self.find_items(number)]])
        with report_damage(self.index.path, f"vectors/{name}"):
            return np.concatenate(parts)[np.argsort(self._order)]

    def read_texts(self, name: str) -> list[str]:
        """Reads a text column that only the shards hold. It is empty for shards that lack it."""
        found = np.full(len(self.index.ids), "", object)
        for number in range(len(self.index.shard_files)):
            with self._open_store(self.index.find_shard(number)) as store:
                if name in store.columns:
                    items = self.find_items(number)
                    found[items] = np.array(store.read_column(name), object)[self.index.row[items]]
        return found.tolist()

    def _open(self, number: int) -> h5py.File:
        if number in self._files:
            self._files.move_to_end(number)
            return self._files[number]
        path = self._paths[number] = self.index.find_shard(number)
        if not self._checked[number]:
            self._check(number, path)
            self._checked[number] = True
        if len(self._files) >= MOST_OPEN:
            self._close(next(iter(self._files)))
        with report_damage(path, "the file"):
            self._files[number] = h5py.File(path, "r")
        return self._files[number]

    def _close(self, number: int) -> None:
        self._files.pop(number).close()
        for key in [key for key in self._datasets if key[0] == number]:
            del self._datasets[key]

    def _check(self, number: int, path: Path) -> None:
        """Checks that the shard is the one that the index was made from. FaceVCError if it is not."""
        index = self.index
        with self._open_store(path) as store:
            found = (store.attributes["stage"], store.attributes["settings_hash"], len(store), store.content_sha256)
            wanted = (
                index.attributes["stage"],
                index.attributes["settings_hash"],
                int(index.shard_items[number]),
                index.shard_hashes[number],
            )
            for what, a, b in zip(("stage", "settings_hash", "items", "content_sha256"), wanted, found, strict=True):
                if a != b:
                    raise make_damage_error(path, what, f"{a}, as {index.path} says", str(b))
            items = self.find_items(number)
            rows = index.row[items]
            if [normalise_name(store.ids[row]) for row in rows] != [index.ids[item] for item in items]:
                raise make_damage_error(path, "index/id", f"the ids that {index.path} says", "others")
            for name, (offsets, lengths) in index.extents.items():
                if name not in store.frame_names:
                    raise make_damage_error(path, f"frames/{name}", f"what {index.path} says", "none")
                own = store.find_extent(name)
                if np.any(own[0][rows] != offsets[items]) or np.any(own[1][rows] != lengths[items]):
                    raise make_damage_error(path, f"index/offset/{name}", f"what {index.path} says", "others")
