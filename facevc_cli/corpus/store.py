"""HDF5 stores between the stages: one row per item, and one contiguous dataset for each per-frame array of all items.

Layout of a store (schema 1):

| place | content |
| --- | --- |
| attributes | schema, stage, version, settings (JSON), settings_hash, content_sha256, and attributes of the stage |
| index/id, index/speaker, index/<column> | one value per item |
| index/offset/<frames>, index/length/<frames> | first row, and number of rows, of each item in frames/<frames> |
| frames/<name> | (sum of lengths, ...), contiguous, so that a crop is one read |
| vectors/<name> | (items, ...) |
| statistics/<name> | statistics over all items |

Writing is crash-safe. Items are collected in memory. Each full shard is written to `<store>.parts/` under a temporary
name, then renamed. At the end the store is merged from the parts. A killed run loses only its last shard. The next run,
or another machine's `--shard`, continues from the parts. With `--keep-shards` the parts stay, and the store is an index
of them (shard_index.py).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.shard_index import CheckedIndex, is_index, split_texts
from facevc_cli.corpus.shards import Shards
from facevc_cli.corpus.store_check import CheckedStore, check_heaps, report_damage
from facevc_cli.files.names import normalise_name

Value = str | int | float | bool


@dataclass
class Item:
    """The data that a stage extracted from one utterance, image or clip."""

    id: str
    speaker: str
    frames: dict[str, np.ndarray] = field(default_factory=dict)
    vectors: dict[str, np.ndarray] = field(default_factory=dict)
    columns: dict[str, Value] = field(default_factory=dict)


def find_newest(stores: Sequence["Store"]) -> dict[str, tuple["Store", int]]:
    """Returns the position of each item by id, in the last store that has it."""
    return {identifier: (store, i) for store in stores for i, identifier in enumerate(store.ids)}


def hash_settings(settings: Mapping[str, Any]) -> str:
    """Returns sixteen hex digits that differ if any setting differs."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]


class Store:
    """A finished store: one file, or an index and its shards, which read as one.

    It reads data when needed, and can be passed to worker processes. FaceVCError if the file is not as expected.
    """

    def __init__(self, path: Path | str, stage: str | None = None):
        self.path = Path(path)
        self._file: h5py.File | None = None
        if _is_file(self.path):
            check_heaps(self.path)
        self._shards: Shards | None = None
        file = self._open()
        try:
            if is_index(file, self.path):
                self._checked: CheckedStore = (index := CheckedIndex(file, self.path))
                self._shards = Shards(index, Store)
            else:
                self._checked = CheckedStore(file, self.path)
        except BaseException:
            self.close()
            raise
        self.attributes, self.settings = self._checked.attributes, self._checked.settings
        if stage is not None and self.attributes["stage"] != stage:
            found = self.attributes["stage"]
            self.close()
            raise FaceVCError(
                f"{self.path}: expected a store made by {stage}, found one made by {found}. Pass the right file."
            )
        self.ids = list(map(normalise_name, self._checked.ids))  # earlier versions kept accents as the disk had them
        self.speakers = list(map(normalise_name, self._checked.speakers))
        self.position = {identifier: i for i, identifier in enumerate(self.ids)}
        self._columns: dict[str, list[Any]] = {}
        self._datasets: dict[str, h5py.Dataset] = {}  # looking one up costs more than a crop's read
        self._extents = self._checked.extents

    @property
    def content_sha256(self) -> str:
        """The hash of all items in their order. Empty in stores of earlier versions."""
        return str(self.attributes.get("content_sha256", ""))

    def __len__(self) -> int:
        return len(self.ids)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_datasets": {}}

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._shards is not None:
            self._shards.close()
        if self._file is not None:
            self._file.close()
            self._file = None
            self._datasets = {}

    def _open(self) -> h5py.File:
        if self._file is None:
            if not _is_file(self.path):
                raise FaceVCError(
                    f"{self.path}: no such store. Run the extracting command that makes it, or check the path."
                )
            try:
                self._file = h5py.File(self.path, "r")
            except OSError as error:
                raise FaceVCError(
                    f"{self.path}: expected an HDF5 store, found a file that HDF5 cannot open ({error}): it is "
                    "truncated or of another kind. Name a store. If this was one, delete it and run the extracting "
                    "command again."
                ) from error
        return self._file

    @property
    def shard_numbers(self) -> np.ndarray | None:
        """(items,) the number of the shard that holds each item. None if the store is one file."""
        return None if self._shards is None else self._shards.index.shard

    @property
    def shard_files(self) -> list[str]:
        """The paths of the shards, relative to the store's folder. Empty if the store is one file."""
        return [] if self._shards is None else self._shards.index.shard_files

    @property
    def columns(self) -> list[str]:
        if self._shards is not None:
            return self._shards.index.columns
        return [n for n in self._open()["index"] if n not in ("id", "speaker", "offset", "length")]

    @property
    def frame_names(self) -> list[str]:
        return list(self._extents)

    @property
    def vector_names(self) -> list[str]:
        if self._shards is not None:
            return self._shards.index.vector_names
        return list(self._open().get("vectors", {}))

    def read_column(self, name: str) -> list[Any]:
        """Reads one value per item; texts as str."""
        if name not in self.columns:
            raise FaceVCError(f"{self.path}: expected a column {name!r}, found {', '.join(self.columns) or 'none'}.")
        if name not in self._columns and self._shards is not None:
            self._columns[name] = self._read_shard_column(self._shards, name)
        if name not in self._columns:
            dataset = self._open()["index"][name]
            text = h5py.check_string_dtype(dataset.dtype) is not None
            with report_damage(self.path, f"index/{name}"):
                self._columns[name] = (
                    self._checked.read_texts(dataset, f"index/{name}") if text else dataset[:].tolist()
                )
        return self._columns[name]

    def _read_shard_column(self, shards: Shards, name: str) -> list[Any]:
        if name in shards.index.shard_columns:
            return shards.read_texts(name)
        with report_damage(self.path, name):
            if name in shards.index.number_columns:
                return self._open()["index"][name][:].tolist()
            found = split_texts(self._open()["texts"][name][:])
            if len(found) != len(self):
                raise ValueError(f"{len(found)} texts of {len(self)} items")
            return found

    def read_lengths(self, name: str) -> np.ndarray:
        """Returns the number of frames of each item, (items,)."""
        return self.find_extent(name)[1]

    def read_frames(self, name: str, item: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Reads rows [start, stop) of one item's frames, in a single contiguous read."""
        offsets, lengths = self.find_extent(name)
        stop = int(lengths[item]) if stop is None else min(stop, int(lengths[item]))
        first = int(offsets[item])
        if self._shards is not None:
            return self._shards.read_rows(name, item, first + start, first + stop)
        with report_damage(self.path, f"frames/{name}"):
            if name not in self._datasets:
                self._datasets[name] = self._open()["frames"][name]
            return self._datasets[name][first + start : first + stop]

    def read_vectors(self, name: str) -> np.ndarray:
        """Reads the vectors of all items, (items, ...)."""
        if name not in self.vector_names:
            raise FaceVCError(
                f"{self.path}: expected vectors {name!r}, found {', '.join(self.vector_names) or 'none'}."
            )
        if self._shards is not None:
            return self._shards.read_vectors(name)
        with report_damage(self.path, f"vectors/{name}"):
            return self._open()["vectors"][name][:]

    @property
    def statistics_names(self) -> list[str]:
        return list(self._open().get("statistics", {}))

    def read_statistics(self, name: str) -> np.ndarray:
        file = self._open()
        if "statistics" not in file or name not in file["statistics"]:
            raise FaceVCError(
                f"{self.path}: expected the statistics {name!r}, found none. Run the extracting command again."
            )
        with report_damage(self.path, f"statistics/{name}"):
            found = np.asarray(file["statistics"][name][()])
            if not np.isfinite(found).all():
                raise ValueError("values that are not finite")
            return found

    def find_extent(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns the first row, and the number of rows, of each item in frames/<name> of its file: (items,) each."""
        if name not in self._extents:
            raise FaceVCError(f"{self.path}: expected frames {name!r}, found {', '.join(self._extents) or 'none'}.")
        return self._extents[name]

    def _read_vector(self, name: str, index: int) -> np.ndarray:
        if self._shards is not None:
            return self._shards.read_vector(name, index)
        with report_damage(self.path, f"vectors/{name}"):
            return self._open()["vectors"][name][index]

    def read_item(self, index: int) -> Item:
        """Reads one item as it was added."""
        return Item(
            self.ids[index],
            self.speakers[index],
            {n: self.read_frames(n, index) for n in self.frame_names},
            {n: self._read_vector(n, index) for n in self.vector_names},
            {n: self.read_column(n)[index] for n in self.columns},
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False
