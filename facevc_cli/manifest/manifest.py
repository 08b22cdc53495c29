"""The files beside conversions: `manifest.csv`, and `addresses.safetensors` with an address per face."""

import json
import os
import time
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import parse_json
from facevc_cli.core.stopping import delay_interrupts
from facevc_cli.files.atomic import atomic_path
from facevc_cli.files.locks import exclusive_lock
from facevc_cli.files.tables import make_relative_path, read_table, write_table
from facevc_cli.manifest.contract import ADDRESSES, COLUMNS, DONE, MANIFEST, READING_COLUMNS, SEPARATOR

LOCK = ".manifest.lock"
# all rows of one file share these
FILE_COLUMNS = ("status", "seconds", "model", "vocoder", *READING_COLUMNS, "key", "reason")
PATHS = ("converted", "source", "face", "voice", "driver")
NEEDED = ("converted", "status", "key")  # earlier versions wrote these too
SAVING_SHARE = 0.05  # share of the time that may be spent on saving

Line = dict[str, str]
LineKey = tuple[str, ...]


def make_line_key(line: Line) -> LineKey:
    """Make the key by which a later run replaces a line: the converted file, or what a baseline's line stands for."""
    if line.get("baseline"):
        return tuple(line.get(column, "") for column in ("baseline", "system", "source", "target", "face", "face_id"))
    return (line["converted"],)


class Manifest:
    """The rows of `manifest.csv`. Rows of earlier and simultaneous runs stay, and so do columns that users added."""

    def __init__(self, folder: Path | None):
        self.path = folder / MANIFEST if folder is not None else None  # None: one output file, no manifest
        known = _read(self.path) if self.path is not None and self.path.is_file() else []
        self.lines: dict[LineKey, Line] = {make_line_key(line): line for line in known}
        self.done = {line["converted"]: line for line in known if line["status"] == DONE and line["key"]}  # by file
        self._columns = dict.fromkeys([*COLUMNS, *(known[0] if known else ())])
        self._own: set[LineKey] = set()  # the rows that this run put, renamed or removed
        self._changed, self._save_at = False, 0.0

    def put(self, line: Line) -> None:
        key = make_line_key(line)
        merged = {**self.lines.get(key, {}), **line}
        self._changed |= merged != self.lines.get(key)
        self._columns |= dict.fromkeys(line)
        self._own.add(key)
        self.lines[key] = merged

    def move_to_end(self, keys: Iterable[LineKey]) -> None:
        """Put these rows, as far as there are any, behind all others in this order."""
        moved = {key: self.lines.pop(key) for key in list(keys) if key in self.lines}
        self.lines |= moved
        self._changed |= bool(moved)

    def rename(self, old: Collection[str], system: str) -> None:
        """Rename the systems `old` to `system` in all rows."""
        if old:
            before = self.lines
            lines = [{**line, "system": system} if line.get("system", "") in old else line for line in before.values()]
            self.lines, self._changed = {make_line_key(line): line for line in lines}, True
            self._own |= {key for key in before.keys() | self.lines.keys() if before.get(key) != self.lines.get(key)}

    def forget(self, stale: Callable[[Line], bool]) -> None:
        kept = {key: line for key, line in self.lines.items() if not stale(line)}
        self._changed |= len(kept) < len(self.lines)
        self._own |= self.lines.keys() - kept.keys()
        self.lines = kept

    def is_due(self) -> bool:
        """Whether enough time has passed since the last save."""
        return time.monotonic() >= self._save_at

    def save(self, *, always: bool = False) -> None:
        """Write the manifest if something changed, or if `always`."""
        if self.path is None or not (self._changed or always):
            return
        started = time.monotonic()
        with delay_interrupts(), exclusive_lock(self.path.parent / LOCK, str(self.path.parent), wait=True):
            self._merge_others()
            write_table(self.path, list(self.lines.values()), list(self._columns))
        self._changed, self._save_at = False, time.monotonic() + (time.monotonic() - started) / SAVING_SHARE

    def _merge_others(self) -> None:
        """Take over rows that another process wrote in the meantime."""
        if self.path is not None and self.path.is_file():
            for line in _read(self.path):
                self._columns |= dict.fromkeys(line)
                if make_line_key(line) not in self._own:
                    self.lines[make_line_key(line)] = line


def _read(path: Path) -> list[Line]:
    """Read the rows. Paths become relative to the manifest's folder, because earlier versions wrote absolute ones."""
    from_here = lru_cache(maxsize=None)(partial(make_relative_path, path.parent))
    lines = read_table(path, NEEDED)
    for line in lines:
        line |= {column: from_here(line[column]) for column in PATHS if os.path.isabs(line.get(column, ""))}
        if line.get("references"):
            names = line["references"].split(SEPARATOR)
            line["references"] = SEPARATOR.join(from_here(name) if os.path.isabs(name) else name for name in names)
    return lines


class Addresses:
    """`addresses.safetensors`, which says how much of each memory slot each face uses.

    address: (faces, slots) float32, rows sum to 1. slots: (slots, voice_dim) float32, the memory's values. The metadata
    `faces` is a JSON list of image paths, relative to the folder, in the order of the rows. Rows of earlier runs stay
    as long as the memory is the same.
    """

    def __init__(self, folder: Path | None, slots: np.ndarray | None):
        """slots: of the model; None if it has no memory: nothing is written then, as without a folder."""
        self.path = folder / ADDRESSES if folder is not None and slots is not None else None
        self.slots = np.ascontiguousarray(np.zeros((0, 0)) if slots is None else slots, dtype=np.float32)
        self.rows: dict[str, np.ndarray] = self._read_disk()
        self._changed = False

    def put(self, face: Path, address: np.ndarray) -> None:
        if self.path is not None:
            self.rows[make_relative_path(self.path.parent, face)] = address.astype(np.float32)
            self._changed = True

    def save(self) -> None:
        if self.path is None or not self._changed:
            return
        with delay_interrupts(), exclusive_lock(self.path.parent / LOCK, str(self.path.parent), wait=True):
            self.rows = self._read_disk() | self.rows
            self._write(self.path)
        self._changed = False

    def _read_disk(self) -> dict[str, np.ndarray]:
        if self.path is None or not self.path.is_file():
            return {}
        faces, address, known = read_addresses(self.path)
        faces = [make_relative_path(self.path.parent, face) if os.path.isabs(face) else face for face in faces]
        return dict(zip(faces, address, strict=True)) if np.array_equal(known, self.slots) else {}

    def _write(self, path: Path) -> None:
        tensors = {"address": np.stack(list(self.rows.values())), "slots": self.slots}
        with atomic_path(path) as temporary:
            try:
                save_file(tensors, temporary, {"faces": json.dumps(list(self.rows))})
            except SafetensorError as error:
                raise OSError(str(error)) from error
            temporary.chmod(0o644)  # safetensors lets only the owner read it


def read_addresses(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Read `addresses.safetensors` -> image paths, addresses (faces, slots), slots (slots, voice_dim).

    FaceVCError if it is not such a file.
    """
    try:
        with safe_open(path, "np") as file:
            faces = parse_json((file.metadata() or {})["faces"], f"{path}: faces", list, "Remove the file.")
            address, slots = file.get_tensor("address"), file.get_tensor("slots")
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise FaceVCError(f"{path}: not the addresses that convert writes ({error}). Remove the file.") from error
    if not all(isinstance(face, str) for face in faces):
        raise FaceVCError(f"{path}: expected file names as faces, found something else. Remove the file.")
    if address.ndim != 2 or slots.ndim != 2 or len(faces) != len(address) or address.shape[1] != len(slots):
        raise FaceVCError(
            f"{path}: {len(faces)} faces, addresses of {address.shape} and slots of {slots.shape} do not fit. Remove "
            "the file."
        )
    return faces, address, slots


def pick_file_columns(line: Line) -> Line:
    """The columns that a row copies from another row of the same file."""
    return {column: line.get(column, "") for column in FILE_COLUMNS}
