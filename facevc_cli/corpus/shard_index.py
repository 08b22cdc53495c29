"""The index of a store in shards: a small HDF5 file that lists the shards, and where each item is in them.

Layout of an index (schema 2). The shards are stores of their own (schema 1).

| place | content |
| --- | --- |
| attributes | as of a store; vector_names and shard_columns: JSON lists of names that only the shards hold |
| texts/id, texts/speaker, texts/<column> | (bytes,) uint8: the values in UTF-8, with a zero byte between them |
| index/<column> | (items,) numbers |
| index/shard, index/row | (items,) the number of the item's shard, and its place in there |
| index/offset/<frames>, index/length/<frames> | (items,) the item's rows in frames/<frames> of its shard |
| shards/file, shards/content_sha256 | (bytes,) uint8, as texts: relative paths, and hashes of the content |
| shards/items | (shards,) how many items each shard holds |
| statistics/<name> | as of a store |

Texts are in one array each, because HDF5 needs seconds for a million texts.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.origins import COLUMNS
from facevc_cli.corpus.store_check import NUMBERS, CheckedStore, make_damage_error, report_damage
from facevc_cli.files.inputs import join_inside

INDEX_SCHEMA = 2
ARRAYS = ("shard", "row", "offset", "length")  # of the group index; its other entries are columns
NAMES = ("vector_names", "shard_columns")
MOST_NAME = 1024  # characters of a shard's path


def is_index(file: h5py.File, path: Path) -> bool:
    """Whether an open file says that it is an index."""
    with report_damage(path, "its attributes"):
        if "schema" not in file.attrs or file.attrs.get_id("schema").get_storage_size() > 8:
            return False
        return bool(file.attrs["schema"] == INDEX_SCHEMA)


class CheckedIndex(CheckedStore):
    """The parts of an index that are read on opening. FaceVCError if it is damaged, or names a file elsewhere."""

    schema = INDEX_SCHEMA

    def _read_body(self, file: h5py.File) -> None:
        with report_damage(self.path, "its groups"):
            groups = self._find_groups(file, ("texts", "index", "shards", "statistics"))
            for name in ("texts", "index", "shards"):
                if name not in groups:
                    raise make_damage_error(self.path, name, "a group", "none")
        self.vector_names, self.shard_columns = (self._read_names(name) for name in NAMES)
        with report_damage(self.path, "texts"):
            names = self._list_names(groups["texts"], "texts")
            found = {name: self._find_dataset(groups["texts"], name, f"texts/{name}") for name in names}
            for name in ("id", "speaker"):
                if name not in found:
                    raise make_damage_error(self.path, f"texts/{name}", "one text per item", "none")
            self.ids = self._split(found["id"], "texts/id", None)
            self.speakers = self._split(found["speaker"], "texts/speaker", len(self.ids))
            self.text_columns = [name for name in found if name not in ("id", "speaker")]
            if len(set(self.ids)) < len(self.ids):
                raise make_damage_error(self.path, "texts/id", "ids that differ", "one of them twice")
        with report_damage(self.path, "shards"):
            self._read_shards(groups["shards"])
        with report_damage(self.path, "index"):
            self._read_places(groups["index"])
        with report_damage(self.path, "statistics"):
            if "statistics" in groups:
                self._check_arrays("statistics", groups["statistics"], {})

    def _read_names(self, attribute: str) -> list[str]:
        try:
            found = json.loads(str(self.attributes.get(attribute, "null")))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise make_damage_error(self.path, f"attribute {attribute!r}", "a JSON list of names", "something else")
        return found

    @property
    def columns(self) -> list[str]:
        return [*self.text_columns, *self.number_columns, *self.shard_columns]

    def _split(self, dataset: h5py.Dataset, where: str, count: int | None) -> list[str]:
        if dataset.dtype != np.uint8 or dataset.ndim != 1:
            raise make_damage_error(self.path, where, "bytes", f"an array of {dataset.shape} of {dataset.dtype}")
        with report_damage(self.path, where):
            found = split_texts(dataset[:])
        if count is not None and len(found) != count:
            raise make_damage_error(self.path, where, f"{count} texts", str(len(found)))
        return found

    def _read_shards(self, group: h5py.Group) -> None:
        names = self._list_names(group, "shards")
        found = {name: self._find_dataset(group, name, f"shards/{name}") for name in names}
        for name in ("file", "items", "content_sha256"):
            if name not in found:
                raise make_damage_error(self.path, f"shards/{name}", "one value per shard", "none")
        self.shard_files = self._split(found["file"], "shards/file", None)
        self.shard_hashes = self._split(found["content_sha256"], "shards/content_sha256", len(self.shard_files))
        self.shard_items = self._read_integers(found["items"], "shards/items", len(self.shard_files), 2**31)
        for name in self.shard_files:
            if not 0 < len(name) <= MOST_NAME or name.startswith("/") or "\\" in name or ".." in name.split("/"):
                raise make_damage_error(
                    self.path, "shards/file", "paths of files below the index's folder", f"{name[:80]!r}"
                )

    def _read_places(self, group: h5py.Group) -> None:
        names = self._list_names(group, "index")
        nested = {n: self._group(group, n, f"index/{n}") for n in ("offset", "length") if n in names}
        found = {name: self._find_dataset(group, name, f"index/{name}") for name in names if name not in nested}
        for name, dataset in found.items():
            if dataset.shape != (len(self.ids),) or dataset.dtype.kind not in NUMBERS:
                raise make_damage_error(
                    self.path, f"index/{name}", f"{len(self.ids)} numbers", f"{dataset.shape} of {dataset.dtype}"
                )
        for name in ("shard", "row"):
            if name not in found:
                raise make_damage_error(self.path, f"index/{name}", "one integer per item", "none")
        self.shard = self._read_integers(found["shard"], "index/shard", len(self.ids), len(self.shard_files) - 1)
        self.row = self._read_integers(found["row"], "index/row", len(self.ids), 2**31)
        if np.any(self.row >= self.shard_items[self.shard]):
            raise make_damage_error(self.path, "index/row", "places inside the shards", "larger ones")
        self.number_columns = [name for name in found if name not in ARRAYS]
        lengths = self._list_names(nested["length"], "index/length") if "length" in nested else []
        for name in lengths:
            parts = []
            for part in ("offset", "length"):
                where = f"index/{part}/{name}"
                if part not in nested or name not in self._list_names(nested[part], f"index/{part}"):
                    raise make_damage_error(self.path, where, "one integer per item", "none")
                dataset = self._find_dataset(nested[part], name, where)
                parts.append(self._read_integers(dataset, where, len(self.ids), 2**62))
            self.extents[name] = (parts[0], parts[1])

    def _read_integers(self, dataset: h5py.Dataset, where: str, count: int, most: int) -> np.ndarray:
        if dataset.shape != (count,) or dataset.dtype.kind not in "iu":
            raise make_damage_error(self.path, where, f"{count} integers", f"{dataset.shape} of {dataset.dtype}")
        values = dataset[:].astype(np.int64)
        if count and (values.min() < 0 or values.max() > most):
            raise make_damage_error(self.path, where, f"0 to {most}", f"{values.min()} to {values.max()}")
        return values

    def find_shard(self, number: int) -> Path:
        """Returns the path of a shard. FaceVCError if it leads out of the index's folder, for example by a link."""
        return join_inside(self.path.parent, self.shard_files[number])


def join_texts(values: Sequence[str]) -> np.ndarray:
    """(bytes,) uint8: the texts in UTF-8, with a zero byte after each. No id or path can hold a zero byte."""
    return np.frombuffer("".join(f"{value}\0" for value in values).encode(), np.uint8)


def split_texts(found: np.ndarray) -> list[str]:
    """Reverses `join_texts`. ValueError if the bytes are not UTF-8 or do not end with a zero byte."""
    text = found.tobytes().decode()
    if text and not text.endswith("\0"):
        raise ValueError("the last text has no end")
    return text.split("\0")[:-1]


def write_index(
    file: h5py.File,
    path: Path,
    shards: Sequence[Any],
    places: Sequence[tuple[str, int, int]],
    added: Mapping[str, Mapping[str, Any]],
) -> str:
    """Writes texts, index and shards into an open file. Returns the hash of the content.

    shards: the open stores. places: (id, number of its shard, place in there), in the store's order. added: column ->
    {id: value}, of columns that the shards do not hold.

    The hash is of ids, added columns, and the shards' own hashes, so that no shard must be read.
    """
    ids = [identifier for identifier, _, _ in places]
    shard, row = (np.array([place[i] for place in places], np.int64) for i in (1, 2))
    file["texts/id"] = join_texts(ids)
    file["texts/speaker"] = join_texts([shards[n].speakers[i] for n, i in zip(shard, row, strict=True)])
    digest = hashlib.sha256()
    for identifier, n, i in places:
        digest.update(f"{identifier}\0{shards[n].content_sha256}\0{i}\0".encode())
    for name, by_id in sorted(added.items()):
        values = [by_id[identifier] for identifier in ids]
        digest.update(json.dumps([name, values], default=float).encode())
        _write_column(file, name, values)
    file["index/shard"], file["index/row"] = shard.astype(np.int32), row.astype(np.int32)
    order = np.argsort(shard, kind="stable")
    kept = _write_shard_columns(file, shards, shard[order], row[order], order, set(added))
    for name in shards[0].frame_names:
        for part, which in (("offset", 0), ("length", 1)):
            arrays = [one.find_extent(name)[which] for one in shards]
            starts = np.cumsum([0, *map(len, arrays)])[:-1]
            file[f"index/{part}/{name}"] = np.concatenate(arrays)[starts[shard] + row].astype(np.int64)
    file["shards/file"] = join_texts([one.path.relative_to(path.parent).as_posix() for one in shards])
    file["shards/content_sha256"] = join_texts([one.content_sha256 for one in shards])
    file["shards/items"] = np.array([len(one) for one in shards], np.int64)
    file.attrs["vector_names"] = json.dumps(shards[0].vector_names)
    file.attrs["shard_columns"] = json.dumps(kept)
    return digest.hexdigest()


def _write_column(file: h5py.File, name: str, values: Any) -> None:
    if any(isinstance(value, str) for value in values):
        if any("\0" in str(value) for value in values):
            raise FaceVCError(f"the column {name} holds a zero byte, which no index can hold. Correct the table.")
        file[f"texts/{name}"] = join_texts([str(value) for value in values])
    else:
        file[f"index/{name}"] = np.asarray(values)


def _write_shard_columns(
    file: h5py.File,
    shards: Sequence[Any],
    shard: np.ndarray,
    row: np.ndarray,
    order: np.ndarray,
    added: Set[str],
) -> list[str]:
    """Copies the columns of numbers into the index. Returns the names of the text columns, which stay in the shards.

    shard, row: of the items, sorted by shard. order: their places in the store. Each shard is opened once.
    """
    texts = set(COLUMNS)
    values: dict[str, np.ndarray] = {}
    bounds = np.searchsorted(shard, np.arange(len(shards) + 1))
    for number, store in enumerate(shards):
        rows, places = row[bounds[number] : bounds[number + 1]], order[bounds[number] : bounds[number + 1]]
        for name in [name for name in store.columns if name not in added and name not in texts]:
            found = store.read_column(name)
            if found and isinstance(found[0], str):
                texts.add(name)
                continue
            array = np.asarray(found)
            if name not in values or not np.can_cast(array.dtype, values[name].dtype):
                wider = array.dtype if name not in values else np.promote_types(array.dtype, values[name].dtype)
                values[name] = values.get(name, np.zeros(len(order), wider)).astype(wider)
            values[name][places] = array[rows]
        store.close()
    for name, array in values.items():
        if name not in texts:
            file[f"index/{name}"] = array
    return [name for name in dict.fromkeys(name for one in shards for name in one.columns) if name in texts]
