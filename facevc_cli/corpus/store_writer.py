"""Writes a store. Items are collected in shards, which are merged into one file at the end."""

import json
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from facevc_cli import __version__
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.stopping import delay_interrupts
from facevc_cli.corpus.items_file import write_items
from facevc_cli.corpus.shard_index import ARRAYS, INDEX_SCHEMA, write_index
from facevc_cli.corpus.store import Item, Store, Value, find_newest, hash_settings
from facevc_cli.corpus.store_summary import make_summary, write_summary
from facevc_cli.files.atomic import atomic_path, remove_left
from facevc_cli.files.locks import exclusive_lock
from facevc_cli.files.steady import SteadyFile

KEPT_ITEMS = 1024  # items of a shard that stays, unless the command says otherwise
MOST_OPEN = 64  # parts open at a time while merging; the system's limit for a process is often 256
SHARD_ITEMS = 64
SHARD_BYTES = 256 << 20  # of arrays, so that crops of long videos do not fill the memory


@dataclass(frozen=True)
class PartKeeper:
    """Writes items as parts of a store. Workers on other machines have it: it is picklable and reads nothing."""

    parts: Path
    stage: str
    settings: Mapping[str, Any]
    shard_items: int = SHARD_ITEMS
    shard_bytes: int = SHARD_BYTES

    def is_full(self, items: Sequence[Item]) -> bool:
        return len(items) >= self.shard_items or sum(map(_count_bytes, items)) >= self.shard_bytes

    def write(self, items: Sequence[Item]) -> None:
        """Writes one part. FaceVCError if the disk is full."""
        rows = {n: sum(len(item.frames.get(n, ())) for item in items) for n in items[0].frames}
        path = self.parts / f"part-t{time.time_ns():020d}-{uuid.uuid4().hex[:12]}.h5"
        write_items(path, self.stage, self.settings, items, rows)


class StoreWriter:
    """Collects items in shards and merges them. Use it as a context manager. `done` holds the ids of finished items.

    keep_shards: the shards have at most so many items and stay apart. The store is then an index of them. A store that
    was begun in shards stays in shards.
    """

    def __init__(
        self,
        path: Path | str,
        stage: str,
        settings: Mapping[str, Any],
        *,
        overwrite: bool = False,
        shard_items: int = SHARD_ITEMS,
        shard_bytes: int = SHARD_BYTES,
        keep_shards: int | None = None,
    ):
        self.path, self.stage, self.settings = Path(path), stage, dict(settings)
        if self.path.is_dir():
            raise UsageError(f"--out {path}: expected a file's name, such as {self.path.name}.h5, found a folder.")
        merged, apart = (self.path.with_name(self.path.name + suffix) for suffix in (".parts", ".shards"))
        if overwrite:
            self.path.unlink(missing_ok=True)
            for folder in (merged, apart):
                shutil.rmtree(folder, ignore_errors=True)
        self.keeps_shards = keep_shards is not None or apart.is_dir()
        self.parts = apart if self.keeps_shards else merged
        most_items = (keep_shards or KEPT_ITEMS) if self.keeps_shards else shard_items
        self.keeper = PartKeeper(self.parts, stage, self.settings, most_items, shard_bytes)
        self.hash = hash_settings(settings)
        self._waiting: list[Item] = []
        self._waiting_bytes = 0
        self.done: set[str] = set()
        if self.keeps_shards:
            self._refuse_merged(merged)
        with self._merge_lock():
            for existing in self._list_files():
                self.done.update(self._open_checked(existing).ids)

    def _refuse_merged(self, parts: Path) -> None:
        found = parts if parts.is_dir() and any(parts.iterdir()) else None
        if self.path.is_file():
            with Store(self.path, self.stage) as store:
                found = self.path if store.shard_numbers is None else found
        if found is not None:
            raise FaceVCError(
                f"{found}: --keep-shards cannot continue a store that was begun without it. Leave the option out, "
                "choose another output, or pass --overwrite to begin anew."
            )

    def _list_files(self) -> list[Path]:
        """Lists the files that hold finished items: the store, unless it is an index, and the parts."""
        home = [] if self.keeps_shards or not self.path.is_file() else [self.path]
        return [*home, *self._list_finished_parts()]

    @property
    def is_complete(self) -> bool:
        """Whether the store holds all finished items."""
        if not self.keeps_shards:
            return not self.parts.exists()
        if not self.path.is_file():
            return False
        with Store(self.path) as store:
            listed = {store.path.parent / name for name in store.shard_files}
        return listed == set(self._list_finished_parts())

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with suppress(FaceVCError) if kind is not None else nullcontext(), delay_interrupts():
            self.flush()  # also after Ctrl-C: these items are finished work; a full disk was reported before

    def add(self, item: Item) -> None:
        """Keeps an item. Every `shard_items` items, or `shard_bytes` bytes, are written to disk."""
        self._waiting.append(item)
        self._waiting_bytes += _count_bytes(item)
        self.done.add(item.id)
        if len(self._waiting) >= self.keeper.shard_items or self._waiting_bytes >= self.keeper.shard_bytes:
            self.flush()

    def flush(self) -> None:
        """Writes the current shard."""
        if self._waiting:
            self.keeper.write(self._waiting)
            self._waiting, self._waiting_bytes = [], 0

    def merge(
        self,
        order: Sequence[str],
        columns: Mapping[str, Mapping[str, Value]] | None = None,
        statistics: Mapping[str, np.ndarray] | None = None,
        attributes: Mapping[str, Value] | None = None,
    ) -> None:
        """Writes the store: first the finished items of `order`, then all others. Then it removes the merged parts.

        columns: name -> {id: value}, computed over all items. statistics: name -> array. attributes: name -> value.
        Items without these columns, which another process has just finished, stay in their parts for the next merge.
        """
        self.flush()
        with self._merge_lock():
            self._merge(order, columns or {}, statistics or {}, attributes or {})

    def _merge(
        self,
        order: Sequence[str],
        columns: Mapping[str, Mapping[str, Value]],
        statistics: Mapping[str, np.ndarray],
        attributes: Mapping[str, Value],
    ) -> None:
        known = [set(values) for values in columns.values()]
        sources = [source for source in self.list_readers() if all(names.issuperset(source.ids) for names in known)]
        if not sources:
            return
        home = find_newest(sources)
        ids = [i for i in dict.fromkeys(order) if i in home] + sorted(set(home) - set(order))
        if self.keeps_shards:
            self._write_index(sources, home, ids, columns, statistics, attributes)
            return
        rows = {n: sum(int(home[i][0].read_lengths(n)[home[i][1]]) for i in ids) for n in sources[0].frame_names}
        items = (_add_columns(item, columns) for item in _read(home[i] for i in ids))
        write_items(self.path, self.stage, self.settings, items, rows, statistics, attributes)
        for source in sources:
            source.close()
            if source.path != self.path:  # other processes may still write parts, so only the merged ones are removed
                source.path.unlink(missing_ok=True)
        remove_left([self.path.parent])
        if self._is_shared():
            return
        with suppress(OSError):  # not empty if another process has just written a part
            remove_left([self.parts])
            self.parts.rmdir()

    def _write_index(
        self,
        sources: Sequence[Store],
        home: Mapping[str, tuple[Store, int]],
        ids: Sequence[str],
        columns: Mapping[str, Mapping[str, Value]],
        statistics: Mapping[str, np.ndarray],
        attributes: Mapping[str, Value],
    ) -> None:
        """Writes the index. Then it removes the shards whose items were all made again."""
        used = {home[i][0].path for i in ids}
        shards = [source for source in sources if source.path in used]
        number = {source.path: n for n, source in enumerate(shards)}
        places = [(i, number[home[i][0].path], home[i][1]) for i in ids]
        with delay_interrupts(), atomic_path(self.path) as temporary, SteadyFile(temporary) as disk:
            with h5py.File(disk, "w") as file:
                file.attrs.update(schema=INDEX_SCHEMA, stage=self.stage, version=__version__, settings_hash=self.hash)
                file.attrs["settings"] = json.dumps(self.settings, sort_keys=True, default=str)
                file.attrs.update(attributes)
                file.attrs["content_sha256"] = write_index(file, self.path, shards, places, columns)
                for name, array in statistics.items():
                    file[f"statistics/{name}"] = array
                write_summary(file, self._summarise(file, shards, places, columns, statistics))
                disk.check()
            disk.sync()
        for source in sources:
            source.close()
            if source.path not in used:
                source.path.unlink(missing_ok=True)
        remove_left([self.path.parent, *([] if self._is_shared() else [self.parts])])

    def _is_shared(self) -> bool:
        """Whether another process works on a part of the inputs, so that it may write its next shard at any time."""
        return any(self.path.parent.glob(f".{escape(self.path.name)}.*-of-*.lock"))

    def _summarise(
        self,
        file: h5py.File,
        shards: Sequence[Store],
        places: Sequence[tuple[str, int, int]],
        columns: Mapping[str, Mapping[str, Value]],
        statistics: Mapping[str, np.ndarray],
    ) -> dict[str, Any]:
        """Describes the items of an index that was just written into `file`."""
        looked_at: dict[str, Any] = {name: [by_id[i] for i, _, _ in places] for name, by_id in columns.items()}
        if "index/seconds" in file:
            looked_at["seconds"] = file["index/seconds"][:]
        frames = {name: int(file[f"index/length/{name}"][:].sum()) for name in shards[0].frame_names}
        with shards[0] as first:
            vectors = {n: [len(places), *first.read_vectors(n).shape[1:]] for n in first.vector_names}
        speakers = [shards[n].speakers[row] for _, n, row in places]
        kept = json.loads(file.attrs["shard_columns"])
        names = [*columns, *(n for n in file["index"] if n not in (*ARRAYS, *columns)), *kept]
        return make_summary(speakers, looked_at, frames, vectors, statistics, names)

    def list_readers(self) -> list[Store]:
        """Returns the store (if any) and the parts, to compute statistics before merging.

        They are closed, and reading opens them, because there may be more of them than a process may open.
        """
        self.flush()
        stores = []
        for path in self._list_files():
            stores.append(Store(path))
            stores[-1].close()
        return stores

    def _merge_lock(self) -> AbstractContextManager[None]:
        """Locks the parts, so that only one process merges."""
        return exclusive_lock(self.path.with_name(f".{self.path.name}.merge.lock"), str(self.path), wait=True)

    def _list_finished_parts(self) -> list[Path]:
        """Lists the parts, the oldest first.

        Parts of earlier versions have no time in their names and are sorted first.
        """
        return sorted(self.parts.glob("part-*.h5")) if self.parts.is_dir() else []

    def _open_checked(self, existing: Path) -> Store:
        store = Store(existing, self.stage)
        if store.attributes["settings_hash"] != self.hash:
            changed = sorted(
                k for k in {*store.settings, *self.settings} if store.settings.get(k) != self.settings.get(k)
            )
            raise FaceVCError(
                f"{existing} was made with other settings ({', '.join(changed)}: "
                f"{', '.join(f'{store.settings.get(k)!r} there, {self.settings.get(k)!r} now' for k in changed)}). "
                "Choose another output, or pass --overwrite to make it again."
            )
        store.close()
        return store


def _read(places: Iterable[tuple[Store, int]]) -> Iterator[Item]:
    """Yields items from many stores, and keeps only a few of them open."""
    opened: dict[Path, Store] = {}
    for store, index in places:
        if store.path not in opened and len(opened) >= MOST_OPEN:
            opened.pop(next(iter(opened))).close()
        opened[store.path] = store
        yield store.read_item(index)


def _count_bytes(item: Item) -> int:
    return sum(array.nbytes for array in item.frames.values())


def _add_columns(item: Item, columns: Mapping[str, Mapping[str, Value]]) -> Item:
    for name, values in columns.items():
        item.columns[name] = values[item.id]
    return item
