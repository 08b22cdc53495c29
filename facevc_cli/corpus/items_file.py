"""Writes items into one HDF5 file, as docs/store-format.md says."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from facevc_cli import __version__
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.stopping import delay_interrupts
from facevc_cli.corpus.store import Item, Value, hash_settings
from facevc_cli.corpus.store_check import SCHEMA
from facevc_cli.corpus.store_summary import make_summary, write_summary
from facevc_cli.files.atomic import atomic_path
from facevc_cli.files.steady import SteadyFile


def write_items(
    path: Path,
    stage: str,
    settings: Mapping[str, Any],
    items: Iterable[Item],
    rows: Mapping[str, int],
    statistics: Mapping[str, np.ndarray] | None = None,
    attributes: Mapping[str, Value] | None = None,
) -> None:
    """Writes a store, or a part of one. rows: of all items together, by the names of their frames.

    FaceVCError if the disk is full. Then no file is left.
    """
    with (
        delay_interrupts(),
        atomic_path(path) as temporary,
        SteadyFile(temporary) as disk,
    ):  # HDF5 must not be interrupted
        with h5py.File(disk, "w") as file:
            file.attrs.update(schema=SCHEMA, stage=stage, version=__version__, settings_hash=hash_settings(settings))
            file.attrs["settings"] = json.dumps(settings, sort_keys=True, default=str)
            file.attrs.update(attributes or {})
            writer = ItemsWriter(file, rows)
            for item in items:
                writer.add(item)
                disk.check()
            writer.finish()
            file.attrs["content_sha256"] = writer.digest.hexdigest()
            for name, array in (statistics or {}).items():
                file[f"statistics/{name}"] = array
            write_summary(file, writer.summarise(statistics or {}))
        disk.sync()


class ItemsWriter:
    """Writes items one by one into an open file.

    Frames go to contiguous datasets of known size. The index is written at the end.
    """

    def __init__(self, file: h5py.File, rows: Mapping[str, int]):
        self.file, self.rows = file, rows
        self.index: dict[str, list[Value]] = {"id": [], "speaker": []}
        self.offsets: dict[str, list[int]] = {}
        self.lengths: dict[str, list[int]] = {}
        self.vectors: dict[str, list[np.ndarray]] = {}
        self.count = 0
        self.digest = hashlib.sha256()  # of all items in their order

    def add(self, item: Item) -> None:
        self.digest.update(json.dumps([item.id, item.speaker, item.columns], sort_keys=True, default=float).encode())
        for group in (item.frames, item.vectors):
            for name, array in sorted(group.items()):
                self.digest.update(f"{name} {array.dtype} {array.shape}".encode())
                self.digest.update(np.ascontiguousarray(array).data)
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
            self.file[f"index/{name}"] = (
                np.array(values, dtype=text) if any(isinstance(v, str) for v in values) else np.array(values)
            )
        for name in self.offsets:
            if len(self.offsets[name]) != self.count:
                absent = self.count - len(self.offsets[name])
                raise FaceVCError(f"frames {name!r} are missing from {absent} items; every item must have them.")
            self.file[f"index/offset/{name}"] = np.array(self.offsets[name], dtype=np.int64)
            self.file[f"index/length/{name}"] = np.array(self.lengths[name], dtype=np.int64)
        for name, rows in self.vectors.items():
            if len(rows) != self.count:
                raise FaceVCError(
                    f"vectors {name!r} are missing from {self.count - len(rows)} items; every item must have them."
                )
            self.file[f"vectors/{name}"] = np.stack(rows)

    def summarise(self, statistics: Mapping[str, np.ndarray]) -> dict[str, Any]:
        columns = [name for name in self.index if name not in ("id", "speaker")]
        frames = {name: sum(lengths) for name, lengths in self.lengths.items()}
        vectors = {name: [len(rows), *rows[0].shape] for name, rows in self.vectors.items()}
        return make_summary(list(map(str, self.index["speaker"])), self.index, frames, vectors, statistics, columns)


def _empty_like(value: Value) -> Value:
    return type(value)()
