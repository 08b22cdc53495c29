"""Cache of the judges' answers, keyed by file content. A second run over the same files takes seconds."""

import os
import time
from pathlib import Path

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.stopping import delay_interrupts
from facevc_cli.files.atomic import atomic_path
from facevc_cli.files.locks import exclusive_lock

SAVE_EVERY = 100  # new rows
SHARE_SAVING = 0.05  # most of the time; a file of 100,000 rows takes seconds to write
CACHE_FOLDER = ".facevc-cache"


class Cache:
    """Rows of numbers or texts by key, in one npz file. Without a path they last only for the run.

    A damaged file, or one of another version, is replaced. All rows of a cache have the same length.
    """

    def __init__(self, path: Path | None):
        self._path = path
        self._rows: dict[str, np.ndarray] = self._read_disk()
        self._new = 0
        self._next_save = 0.0

    def get(self, key: str) -> np.ndarray | None:
        return self._rows.get(key)

    def put(self, key: str, row: np.ndarray) -> None:
        self._rows[key] = row
        self._new += 1
        if self._new >= SAVE_EVERY and time.monotonic() >= self._next_save:
            before = time.monotonic()
            self.save()
            now = time.monotonic()
            self._next_save = now + (now - before) / SHARE_SAVING

    def put_if_absent(self, key: str, row: np.ndarray) -> None:
        """Put a row if the key has none yet."""
        if key not in self._rows:
            self.put(key, row)

    def save(self) -> None:
        """Write new rows atomically. If the folder cannot be written to, the rows last only for the run."""
        if self._path is None or not self._new:
            return
        try:
            with (
                delay_interrupts(),
                exclusive_lock(self._path.with_name(f".{self._path.name}.lock"), str(self._path), wait=True),
            ):
                self._rows = self._read_disk() | self._rows  # includes rows that another process has added
                self._write(self._path)
            self._new = 0
        except FaceVCError:
            self._path = None

    def _read_disk(self) -> dict[str, np.ndarray]:
        if self._path is None or not self._path.is_file():
            return {}
        try:
            with np.load(self._path, allow_pickle=False) as stored:
                keys, rows = stored["keys"], stored["rows"]
            known = keys.dtype.kind == "U" and keys.ndim == 1 and rows.ndim == 2 and rows.dtype.kind in "fU"
            return dict(zip(keys.tolist(), rows, strict=True)) if known else {}
        except (
            Exception
        ):  # zipfile, zlib and numpy raise a dozen types for a damaged archive; its files are judged again
            return {}

    def _write(self, path: Path) -> None:
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, keys=np.array(list(self._rows)), rows=np.stack(list(self._rows.values())))


def choose_cache_folder(table: Path, output: Path | None) -> Path | None:
    """Returns a folder beside a table, or in it if it is a folder itself.

    If that is not writable, returns one in the output folder, or None without one.
    """
    home = table if table.is_dir() else table.parent
    if os.access(home, os.W_OK):
        return home / CACHE_FOLDER
    return output / CACHE_FOLDER if output else None
