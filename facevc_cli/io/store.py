"""HDF5 stores between the stages: one row an item, per-frame arrays of all items in one contiguous dataset each.

Layout of a store (schema 1):

    attributes       schema, stage, version, settings (JSON), settings_hash, and whatever the stage adds
    index/id, index/speaker, index/<column>             one value an item
    index/offset/<frames>, index/length/<frames>        where the item's rows lie in frames/<frames>
    frames/<name>    (sum of lengths, ...)              contiguous, so that a crop is one read
    vectors/<name>   (items, ...)
    statistics/<name>                                   what the stage computed over all items

Writing is crash-safe: items gather in memory, each full shard is written to `<store>.parts/` under a temporary name and
renamed, and the store itself is merged from the parts at the end. A killed run loses the shard in hand; the next run, or
another machine's `--shard`, goes on from the parts.
"""

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from facevc_cli import __version__
from facevc_cli.errors import FaceVCError
from facevc_cli.io.atomic import atomic_path, remove_left
from facevc_cli.io.locks import exclusive_lock
from facevc_cli.io.names import normalise_name
from facevc_cli.io.steady import SteadyFile
from facevc_cli.io.store_check import SCHEMA, CheckedStore, check_heaps, damage_told
from facevc_cli.runtime.stopping import shielded

MOST_OPEN = 64  # parts open at a time while merging; the system's limit for a process is often 256
Value = str | int | float | bool


@dataclass
class Item:
    """What a stage found out about one utterance, image or clip."""

    id: str
    speaker: str
    frames: dict[str, np.ndarray] = field(default_factory=dict)
    vectors: dict[str, np.ndarray] = field(default_factory=dict)
    columns: dict[str, Value] = field(default_factory=dict)


def newest(stores: Sequence["Store"]) -> dict[str, tuple["Store", int]]:
    """Where each item is, by id: in the last of the stores that hold it."""
    return {identifier: (store, i) for store in stores for i, identifier in enumerate(store.ids)}


def settings_hash(settings: Mapping[str, Any]) -> str:
    """Sixteen hex digits that differ where any setting differs."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]


class Store:
    """A finished store, read lazily; safe to hand to worker processes. FaceVCError where it is not what was expected."""

    def __init__(self, path: Path | str, stage: str | None = None):
        self.path = Path(path)
        self._file: h5py.File | None = None
        if _is_file(self.path):
            check_heaps(self.path)
        file = self._open()
        try:
            self._checked = CheckedStore(file, self.path)
        except BaseException:
            self.close()
            raise
        self.attributes, self.settings = self._checked.attributes, self._checked.settings
        if stage is not None and self.attributes["stage"] != stage:
            found = self.attributes["stage"]
            self.close()
            raise FaceVCError(f"{self.path}: expected a store made by {stage}, found one made by {found}. Pass the right file.")
        self.ids = list(map(normalise_name, self._checked.ids))  # earlier versions kept accents as the disk had them
        self.speakers = list(map(normalise_name, self._checked.speakers))
        self.position = {identifier: i for i, identifier in enumerate(self.ids)}
        self._columns: dict[str, list[Any]] = {}
        self._datasets: dict[str, h5py.Dataset] = {}  # looking one up costs more than a crop's read
        self._extents = self._checked.extents

    def __len__(self) -> int:
        return len(self.ids)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_datasets": {}}

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self._datasets = {}

    def _open(self) -> h5py.File:
        if self._file is None:
            if not _is_file(self.path):
                raise FaceVCError(f"{self.path}: no such store. Run the extracting command that makes it, or check the path.")
            try:
                self._file = h5py.File(self.path, "r")
            except OSError as error:
                raise FaceVCError(
                    f"{self.path}: expected an HDF5 store, found a file that HDF5 cannot open ({error}): it is truncated or of another "
                    "kind. Name a store; where this was one, delete it and run the extracting command again."
                ) from error
        return self._file

    @property
    def columns(self) -> list[str]:
        return [n for n in self._open()["index"] if n not in ("id", "speaker", "offset", "length")]

    @property
    def frame_names(self) -> list[str]:
        return list(self._extents)

    @property
    def vector_names(self) -> list[str]:
        return list(self._open().get("vectors", {}))

    def column(self, name: str) -> list[Any]:
        """One value an item; strings as str."""
        if name not in self.columns:
            raise FaceVCError(f"{self.path}: expected a column {name!r}, found {', '.join(self.columns) or 'none'}.")
        if name not in self._columns:
            dataset = self._open()["index"][name]
            text = h5py.check_string_dtype(dataset.dtype) is not None
            with damage_told(self.path, f"index/{name}"):
                self._columns[name] = self._checked.texts(dataset, f"index/{name}") if text else dataset[:].tolist()
        return self._columns[name]

    def length(self, name: str) -> np.ndarray:
        """(items,) frames of each item."""
        return self._frames_of(name)[1]

    def frames(self, name: str, item: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Rows [start, stop) of one item's frames: a single contiguous read."""
        offsets, lengths = self._frames_of(name)
        stop = int(lengths[item]) if stop is None else min(stop, int(lengths[item]))
        first = int(offsets[item])
        with damage_told(self.path, f"frames/{name}"):
            if name not in self._datasets:
                self._datasets[name] = self._open()["frames"][name]
            return self._datasets[name][first + start : first + stop]

    def vectors(self, name: str) -> np.ndarray:
        """(items, ...) all rows."""
        if name not in self.vector_names:
            raise FaceVCError(f"{self.path}: expected vectors {name!r}, found {', '.join(self.vector_names) or 'none'}.")
        with damage_told(self.path, f"vectors/{name}"):
            return self._open()["vectors"][name][:]

    @property
    def statistics_names(self) -> list[str]:
        return list(self._open().get("statistics", {}))

    def statistics(self, name: str) -> np.ndarray:
        file = self._open()
        if "statistics" not in file or name not in file["statistics"]:
            raise FaceVCError(f"{self.path}: expected the statistics {name!r}, found none. Run the extracting command again.")
        with damage_told(self.path, f"statistics/{name}"):
            found = np.asarray(file["statistics"][name][()])
            if not np.isfinite(found).all():
                raise ValueError("values that are not finite")
            return found

    def _frames_of(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        if name not in self._extents:
            raise FaceVCError(f"{self.path}: expected frames {name!r}, found {', '.join(self._extents) or 'none'}.")
        return self._extents[name]

    def _vector(self, name: str, index: int) -> np.ndarray:
        with damage_told(self.path, f"vectors/{name}"):
            return self._open()["vectors"][name][index]

    def item(self, index: int) -> Item:
        """Everything about one item, as it was added."""
        return Item(
            self.ids[index],
            self.speakers[index],
            {n: self.frames(n, index) for n in self.frame_names},
            {n: self._vector(n, index) for n in self.vector_names},
            {n: self.column(n)[index] for n in self.columns},
        )


class StoreWriter:
    """Gathers items into shards and merges them; use as a context manager. `done` holds the ids that need no work."""

    def __init__(self, path: Path | str, stage: str, settings: Mapping[str, Any], *, overwrite: bool = False, shard_items: int = 64):
        self.path, self.stage, self.settings, self.shard_items = Path(path), stage, dict(settings), shard_items
        self.parts = self.path.with_name(self.path.name + ".parts")
        self.hash = settings_hash(settings)
        self._waiting: list[Item] = []
        self.done: set[str] = set()
        if overwrite:
            self.path.unlink(missing_ok=True)
            shutil.rmtree(self.parts, ignore_errors=True)
        with self._merge_lock():
            for existing in [self.path, *self._finished_parts()]:
                if existing.is_file():
                    self.done.update(self._checked(existing).ids)

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with suppress(FaceVCError) if kind is not None else nullcontext(), shielded():
            self.flush()  # also after Ctrl-C: what is in hand is finished work; where the disk is full, that was told

    def add(self, item: Item) -> None:
        """Keeps an item; every `shard_items` items go to disk."""
        self._waiting.append(item)
        self.done.add(item.id)
        if len(self._waiting) >= self.shard_items:
            self.flush()

    def flush(self) -> None:
        """Writes the shard in hand."""
        if self._waiting:
            rows = {n: sum(len(item.frames.get(n, ())) for item in self._waiting) for n in self._waiting[0].frames}
            self._write(self.parts / f"part-t{time.time_ns():020d}-{uuid.uuid4().hex[:12]}.h5", self._waiting, rows)
            self._waiting = []

    def merge(
        self,
        order: Sequence[str],
        columns: Mapping[str, Mapping[str, Value]] | None = None,
        statistics: Mapping[str, np.ndarray] | None = None,
        attributes: Mapping[str, Value] | None = None,
    ) -> None:
        """Writes the store: the items of `order` that are done, then any other; the parts that went into it are removed.

        columns: name -> {id: value}, computed over all items; statistics: name -> array; attributes: name -> value. Items whose column is not
        given, which another process has finished meanwhile, stay in their parts for the next merge.
        """
        self.flush()
        with self._merge_lock():
            self._merge(order, columns or {}, statistics or {}, attributes or {})

    def _merge(
        self, order: Sequence[str], columns: Mapping[str, Mapping[str, Value]], statistics: Mapping[str, np.ndarray], attributes: Mapping[str, Value]
    ) -> None:
        known = [set(values) for values in columns.values()]
        sources = [source for source in self.readers() if all(names.issuperset(source.ids) for names in known)]
        if not sources:
            return
        home = newest(sources)
        ids = [i for i in dict.fromkeys(order) if i in home] + sorted(set(home) - set(order))
        rows = {n: sum(int(home[i][0].length(n)[home[i][1]]) for i in ids) for n in sources[0].frame_names}
        items = (_with(item, columns) for item in _read(home[i] for i in ids))
        self._write(self.path, items, rows, statistics, attributes)
        for source in sources:
            source.close()
            if source.path != self.path:  # other processes go on writing parts: only those that were merged go
                source.path.unlink(missing_ok=True)
        if any(self.path.parent.glob(f".{escape(self.path.name)}.*-of-*.lock")):
            return  # a shard is at work and may put its next part here at any time
        with suppress(OSError):  # not empty where another process has written a part meanwhile
            remove_left([self.parts])
            self.parts.rmdir()

    def readers(self) -> list[Store]:
        """The store (if any) and the parts, to compute statistics from before merging. They come closed, for there may be more of
        them than a process may open; reading opens them."""
        self.flush()
        stores = []
        for path in (p for p in [self.path, *self._finished_parts()] if p.is_file()):
            stores.append(Store(path))
            stores[-1].close()
        return stores

    def _merge_lock(self) -> AbstractContextManager[None]:
        """While one process merges, no other looks for parts."""
        return exclusive_lock(self.path.with_name(f".{self.path.name}.merge.lock"), str(self.path), wait=True)

    def _finished_parts(self) -> list[Path]:
        """The oldest first; those of earlier versions, which have no time in their names, sort before all others."""
        return sorted(self.parts.glob("part-*.h5")) if self.parts.is_dir() else []

    def _checked(self, existing: Path) -> Store:
        store = Store(existing, self.stage)
        if store.attributes["settings_hash"] != self.hash:
            changed = sorted(k for k in {*store.settings, *self.settings} if store.settings.get(k) != self.settings.get(k))
            raise FaceVCError(
                f"{existing} was made with other settings ({', '.join(changed)}: "
                f"{', '.join(f'{store.settings.get(k)!r} there, {self.settings.get(k)!r} now' for k in changed)}). "
                "Choose another output, or pass --overwrite to make it anew."
            )
        store.close()
        return store

    def _write(
        self,
        path: Path,
        items: Iterable[Item],
        rows: Mapping[str, int],
        statistics: Mapping[str, np.ndarray] | None = None,
        attributes: Mapping[str, Value] | None = None,
    ) -> None:
        with shielded(), atomic_path(path) as temporary, SteadyFile(temporary) as disk:  # HDF5 must not be interrupted
            with h5py.File(disk, "w") as file:
                file.attrs.update(schema=SCHEMA, stage=self.stage, version=__version__, settings_hash=self.hash)
                file.attrs["settings"] = json.dumps(self.settings, sort_keys=True, default=str)
                file.attrs.update(attributes or {})
                writer = _ItemsWriter(file, rows)
                for item in items:
                    writer.add(item)
                    disk.check()
                writer.finish()
                for name, array in (statistics or {}).items():
                    file[f"statistics/{name}"] = array
            disk.sync()


class _ItemsWriter:
    """Streams items into an open file: frames go to contiguous datasets of known size, the index is written at the end."""

    def __init__(self, file: h5py.File, rows: Mapping[str, int]):
        self.file, self.rows = file, rows
        self.index: dict[str, list[Value]] = {"id": [], "speaker": []}
        self.offsets: dict[str, list[int]] = {}
        self.lengths: dict[str, list[int]] = {}
        self.vectors: dict[str, list[np.ndarray]] = {}
        self.count = 0

    def add(self, item: Item) -> None:
        self.index["id"].append(item.id)
        self.index["speaker"].append(item.speaker)
        for name, value in item.columns.items():
            column = self.index.setdefault(name, [])
            column.extend([_empty_like(value)] * (self.count - len(column)))
            column.append(value)
        for name, array in item.frames.items():
            self._write_frames(name, array)
        for name, array in item.vectors.items():
            self.vectors.setdefault(name, []).append(array)
        self.count += 1

    def _write_frames(self, name: str, array: np.ndarray) -> None:
        offsets, lengths = self.offsets.setdefault(name, []), self.lengths.setdefault(name, [])
        first = offsets[-1] + lengths[-1] if offsets else 0
        offsets.append(first)
        lengths.append(len(array))
        path = f"frames/{name}"
        if path not in self.file:
            self.file.create_dataset(path, shape=(self.rows.get(name, 0), *array.shape[1:]), dtype=array.dtype)
        self.file[path][first : first + len(array)] = array

    def finish(self) -> None:
        text = h5py.string_dtype("utf-8")
        for name, values in self.index.items():
            values.extend([_empty_like(values[0])] * (self.count - len(values)) if values else [])
            self.file[f"index/{name}"] = np.array(values, dtype=text) if any(isinstance(v, str) for v in values) else np.array(values)
        for name in self.offsets:
            if len(self.offsets[name]) != self.count:
                absent = self.count - len(self.offsets[name])
                raise FaceVCError(f"frames {name!r} are missing from {absent} items; every item must have them.")
            self.file[f"index/offset/{name}"] = np.array(self.offsets[name], dtype=np.int64)
            self.file[f"index/length/{name}"] = np.array(self.lengths[name], dtype=np.int64)
        for name, rows in self.vectors.items():
            if len(rows) != self.count:
                raise FaceVCError(f"vectors {name!r} are missing from {self.count - len(rows)} items; every item must have them.")
            self.file[f"vectors/{name}"] = np.stack(rows)


def _read(places: Iterable[tuple[Store, int]]) -> Iterator[Item]:
    """Items out of many stores, of which few are open at a time."""
    opened: dict[Path, Store] = {}
    for store, index in places:
        if store.path not in opened and len(opened) >= MOST_OPEN:
            opened.pop(next(iter(opened))).close()
        opened[store.path] = store
        yield store.item(index)


def _empty_like(value: Value) -> Value:
    return type(value)()


def _with(item: Item, columns: Mapping[str, Mapping[str, Value]]) -> Item:
    for name, values in columns.items():
        item.columns[name] = values[item.id]
    return item


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False
