"""Checks an HDF5 file once, when a `Store` opens it. Nothing outside the file is ever opened.

| where | expected |
| --- | --- |
| attributes | schema 1; stage, version, settings_hash: text; settings: a JSON object |
| index/id, index/speaker, index/<column> | one value per item: text, a number or a truth value; ids differ |
| index/offset/<n>, index/length/<n> | (items,) integers: rows of frames/<n>, inside it, none shared |
| frames/<n>, vectors/<n>, statistics/<n> | numbers; vectors have one row per item |
| everything | in this file, without links to other files; unpacked no larger than `MOST_PACKED` times the file |
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.hdf5_heaps import find_damaged_heap

SCHEMA = 1
SCHEMAS = (SCHEMA, 2)  # 2: an index of shards
GROUPS = ("index", "frames", "vectors", "statistics")
TEXT_ATTRIBUTES = ("stage", "version", "settings_hash")
MOST_PACKED, FREE_BYTES = 20, 64 << 20  # unpacked size relative to the file's size; a small store may be all zeros
MOST_ATTRIBUTES, MOST_ATTRIBUTE_BYTES, MOST_NAMES = 100, 1 << 20, 10_000
TEXT_POINTER_BYTES = 16
TEXTS_AT_ONCE = 64  # rows; a text of a damaged file may be as long as the file
INTEGERS, NUMBERS = "iu", "iufb"
# h5py raises these for a damaged file, besides OSError.
DAMAGED = (
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    IndexError,
    RecursionError,
    SystemError,
)

COLUMN_KINDS = {
    "seconds": NUMBERS,
    "log_f0_mean": NUMBERS,
    "log_f0_std": NUMBERS,
    "voiced_share": NUMBERS,
    "frames_seen": NUMBERS,
} | {"frames_with_face": NUMBERS, "split": "text", "kind": "text", "path": "text"}
DIMENSIONS = {  # axes of the stages' arrays, by (stage, place)
    ("extract-features", "frames/mel"): 2,
    ("extract-features", "frames/f0"): 1,
    ("extract-features", "frames/content"): 2,
    ("extract-features", "statistics/mel_mean"): 1,
    ("extract-features", "statistics/mel_std"): 1,
    ("extract-face", "frames/embedding"): 2,
    ("extract-face", "frames/box"): 2,
    ("extract-face", "frames/score"): 1,
    ("extract-face", "frames/faces"): 1,
    ("extract-face", "frames/crop"): 4,
    ("extract-face", "vectors/embedding"): 2,
    ("extract-spkemb", "vectors/dvector"): 2,
}


@contextmanager
def report_damage(path: Path | str, where: str) -> Iterator[None]:
    """Turns an error of HDF5 inside this block into a FaceVCError that names the file and the place."""
    try:
        yield
    except DAMAGED as error:
        said = (str(error).strip("'\"").splitlines() or [""])[0][:200]
        raise make_damage_error(
            path, where, "what the extracting command writes", f"{type(error).__name__}{': ' + said if said else ''}"
        ) from error


def make_damage_error(path: Path | str, where: str, expected: str, found: str) -> FaceVCError:
    return FaceVCError(
        f"{path}: the store is damaged, or not one of facevc's. At {where}: expected {expected}, found {found}. Use a "
        "copy, or delete it and run the extracting command again."
    )


def check_heaps(path: Path) -> None:
    """Checks the heaps before HDF5 opens the file, because HDF5 hangs on some damage."""
    with report_damage(path, "its texts"):
        found = find_damaged_heap(path)
    if found is not None:
        raise make_damage_error(path, f"byte {found}", "a heap of texts in order", "one whose sizes do not fit")


class CheckedStore:
    """The parts of a store that are read on opening: attributes, settings, ids, speakers, and the positions of the
    items' frames.
    """

    schema = SCHEMA

    def __init__(self, file: h5py.File, path: Path):
        self.path, self._size = path, path.stat().st_size
        self._unpacked = 0
        with report_damage(path, "its attributes"):
            self.attributes = self._read_attributes(file)
        self.stage = str(self.attributes["stage"])
        self.settings = self._read_settings()
        self.ids: list[str] = []
        self.speakers: list[str] = []
        self.extents: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._read_body(file)

    def _read_body(self, file: h5py.File) -> None:
        with report_damage(self.path, "its groups"):
            groups = self._find_groups(file, GROUPS)
            index = groups.get("index")
            if index is None:
                raise make_damage_error(self.path, "index", "a group", "none")
            names = self._list_names(index, "index")  # before any look-up, because a look-up follows links
            nested: dict[str, h5py.Group] = {
                n: self._group(index, n, f"index/{n}") for n in ("offset", "length") if n in names
            }
        with report_damage(self.path, "index"):
            self.ids, self.speakers = self._read_index(index)
        with report_damage(self.path, "its arrays"):
            for name in GROUPS[1:]:
                if name in groups:
                    self._check_arrays(name, groups[name], nested)

    def _find_groups(self, file: h5py.File, wanted: Sequence[str]) -> dict[str, h5py.Group]:
        names = self._list_names(file, "/")
        return {name: self._group(file, name, name) for name in wanted if name in names}

    def _read_attributes(self, file: h5py.File) -> dict[str, Any]:
        attributes: dict[str, Any] = {}
        if len(file.attrs) > MOST_ATTRIBUTES:
            raise make_damage_error(self.path, "its attributes", f"at most {MOST_ATTRIBUTES}", str(len(file.attrs)))
        for name in file.attrs:
            found = file.attrs.get_id(name)
            if found.get_storage_size() > MOST_ATTRIBUTE_BYTES:
                raise make_damage_error(
                    self.path,
                    f"attribute {name!r}",
                    f"at most {MOST_ATTRIBUTE_BYTES} bytes",
                    str(found.get_storage_size()),
                )
            if h5py.check_string_dtype(found.dtype) is not None or found.dtype.kind in NUMBERS:
                attributes[name] = file.attrs[name]
        if (
            not _is_number(attributes.get("schema"))
            or attributes["schema"] != self.schema
            or "settings" not in attributes
        ):
            raise FaceVCError(
                f"{self.path}: expected a facevc store of schema {self.schema}, found schema "
                f"{attributes.get('schema', 'none')!s:.40}. Make it again with this version's extracting command."
            )
        for name, value in attributes.items():
            if isinstance(value, str):
                self._check_text(value, f"attribute {name!r}")
        for name in TEXT_ATTRIBUTES:
            if not isinstance(attributes.get(name), str):
                raise make_damage_error(self.path, f"attribute {name!r}", "text", _describe(attributes.get(name)))
        return attributes

    def _read_settings(self) -> dict[str, Any]:
        found = self.attributes["settings"]
        try:
            settings = json.loads(found) if isinstance(found, str) else found
        except (ValueError, RecursionError) as error:
            raise make_damage_error(
                self.path, "attribute 'settings'", "a JSON object", f"text that is no JSON ({str(error)[:80]})"
            ) from error
        if not isinstance(settings, dict):
            raise make_damage_error(self.path, "attribute 'settings'", "a JSON object", _describe(settings))
        return settings

    def _read_index(self, index: h5py.Group) -> tuple[list[str], list[str]]:
        names = self._list_names(index, "index")
        columns = {
            name: self._find_dataset(index, name, f"index/{name}") for name in names if name not in ("offset", "length")
        }
        for name in ("id", "speaker"):
            if name not in columns:
                raise make_damage_error(self.path, f"index/{name}", "one text per item", "none")
        items = columns["id"].shape[:1]
        for name, dataset in columns.items():
            kind = COLUMN_KINDS.get(name, "text" if name in ("id", "speaker") else None)
            is_text = h5py.check_string_dtype(dataset.dtype) is not None
            if dataset.shape != items or len(items) != 1:
                raise make_damage_error(
                    self.path,
                    f"index/{name}",
                    f"one value for each of {items or 'the'} items",
                    f"an array of {dataset.shape}",
                )
            if not (is_text or dataset.dtype.kind in NUMBERS) or (
                kind is not None and is_text != (kind == "text") and items != (0,)
            ):
                raise make_damage_error(
                    self.path,
                    f"index/{name}",
                    "text" if kind == "text" else "numbers",
                    f"values of type {dataset.dtype}",
                )
        ids, speakers = self.read_texts(columns["id"], "index/id"), self.read_texts(columns["speaker"], "index/speaker")
        if len(set(ids)) < len(ids):
            counts = Counter(ids)
            twice = next(i for i in ids if counts[i] > 1)
            raise make_damage_error(self.path, "index/id", "ids that differ", f"{twice[:80]!r} twice")
        return ids, speakers

    def _check_arrays(self, group: str, found: h5py.Group, nested: dict[str, h5py.Group]) -> None:
        for name in self._list_names(found, group):
            where = f"{group}/{name}"
            dataset = self._find_dataset(found, name, where)
            if dataset.dtype.kind not in NUMBERS:
                raise make_damage_error(self.path, where, "numbers", f"values of type {dataset.dtype}")
            axes = DIMENSIONS.get((self.stage, where))
            if len(dataset.shape) < (group != "statistics") or (axes is not None and len(dataset.shape) != axes):
                raise make_damage_error(
                    self.path, where, f"an array of {axes or 'some'} dimensions", f"one of {dataset.shape}"
                )
            if group == "vectors" and len(dataset) != len(self.ids):
                raise make_damage_error(
                    self.path, where, f"a row for each of {len(self.ids)} items", f"{len(dataset)} rows"
                )
            if group == "frames":
                self.extents[name] = self._read_extents(name, len(dataset), nested)
        if (
            self.stage == "extract-features"
            and {"mel", "f0"} <= self.extents.keys()
            and np.any(self.extents["mel"][1] != self.extents["f0"][1])
        ):
            raise make_damage_error(self.path, "index/length/f0", "as many rows as in index/length/mel", "others")

    def _read_extents(self, name: str, rows: int, nested: dict[str, h5py.Group]) -> tuple[np.ndarray, np.ndarray]:
        found = []
        for part in ("offset", "length"):
            where = f"index/{part}/{name}"
            if part not in nested or name not in self._list_names(nested[part], f"index/{part}"):
                raise make_damage_error(self.path, where, "one integer per item", "none")
            dataset = self._find_dataset(nested[part], name, where)
            if dataset.shape != (len(self.ids),) or dataset.dtype.kind not in INTEGERS:
                raise make_damage_error(
                    self.path,
                    where,
                    f"{len(self.ids)} integers",
                    f"an array of {dataset.shape} of type {dataset.dtype}",
                )
            values = dataset[:]
            if len(values) and (values.min() < 0 or values.max() > rows):
                raise make_damage_error(
                    self.path, where, f"0 to {rows}, the rows of frames/{name}", f"{values.min()} to {values.max()}"
                )
            found.append(values.astype(np.int64))
        offsets, lengths = found
        order = np.lexsort((lengths, offsets))
        ends = (offsets + lengths)[order]
        if len(ends) and (ends.max() > rows or np.any(ends[:-1] > offsets[order][1:])):
            raise make_damage_error(
                self.path,
                f"index/offset/{name}",
                f"rows of frames/{name} that no two items share, inside its {rows}",
                "others",
            )
        return offsets, lengths

    def _list_names(self, group: h5py.Group, where: str) -> list[str]:
        """Lists the names in a group.

        It refuses links to other places, because an external link would open another file.
        """
        if len(group) > MOST_NAMES:
            raise make_damage_error(self.path, where, f"at most {MOST_NAMES} entries", str(len(group)))
        names = list(group)
        for name in names:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                kind = {h5py.SoftLink: "a soft link", h5py.ExternalLink: "a link to another file"}.get(
                    type(link), "a link"
                )
                raise make_damage_error(self.path, f"{where}/{name}".replace("//", "/"), "data in this file", kind)
            self._check_text(name, where)
        return names

    def _group(self, parent: h5py.Group, name: str, where: str) -> h5py.Group:
        found = parent[name]
        if not isinstance(found, h5py.Group):
            raise make_damage_error(self.path, where, "a group", _describe(found))
        return found

    def _find_dataset(self, group: h5py.Group, name: str, where: str) -> h5py.Dataset:
        """Returns a dataset whose data are in this file and not too large."""
        with report_damage(self.path, where):
            link = group.get(name, getlink=True)
            found = group[name] if isinstance(link, h5py.HardLink) else link
            if not isinstance(found, h5py.Dataset):
                raise make_damage_error(self.path, where, "an array", _describe(found))
            created = found.id.get_create_plist()
            if found.is_virtual or created.get_external_count():
                raise make_damage_error(self.path, where, "data in this file", "data in another file")
            if found.shape is None:
                raise make_damage_error(self.path, where, "an array", "none")
            needed = int(np.prod([int(n) for n in found.shape], dtype=object)) * found.dtype.itemsize
            self._unpacked += needed
            most = self._size * (MOST_PACKED if created.get_nfilters() else 1)
            if (
                needed > most + FREE_BYTES * bool(created.get_nfilters())
                or self._unpacked > MOST_PACKED * self._size + FREE_BYTES
            ):
                raise make_damage_error(
                    self.path,
                    where,
                    f"no more than a file of {self._size} bytes can hold",
                    f"an array of {needed} bytes",
                )
            return found

    def read_texts(self, dataset: h5py.Dataset, where: str) -> list[str]:
        """Reads texts a few at a time, because all texts of a damaged file may refer to one long text."""
        found: list[str] = []
        total = 0
        with report_damage(self.path, where):
            self._check_lengths(dataset, where)
            for start in range(0, len(dataset), TEXTS_AT_ONCE):
                for value in dataset[start : start + TEXTS_AT_ONCE]:
                    raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
                    total += len(raw)
                    found.append(raw.decode("utf-8"))
                if total > self._size:
                    raise make_damage_error(
                        self.path, where, f"texts that fit a file of {self._size} bytes", "longer ones"
                    )
        return found

    def _check_lengths(self, dataset: h5py.Dataset, where: str) -> None:
        """Checks the lengths of texts before HDF5 allocates memory for them.

        A pointer has length, heap and number: 4, 8 and 4 bytes.
        """
        kind, place = h5py.check_string_dtype(dataset.dtype), dataset.id.get_offset()
        if kind is None or kind.length is not None or place is None:
            return
        with open(self.path, "rb") as file:
            file.seek(place)
            pointers = np.frombuffer(file.read(TEXT_POINTER_BYTES * len(dataset)), np.uint8)
        lengths = (
            pointers[: len(pointers) // TEXT_POINTER_BYTES * TEXT_POINTER_BYTES]
            .reshape(-1, TEXT_POINTER_BYTES)[:, :4]
            .copy()
            .view("<u4")
        )
        if lengths.sum(dtype=np.uint64) > self._size:
            raise make_damage_error(
                self.path,
                where,
                f"texts that fit a file of {self._size} bytes",
                f"{lengths.sum(dtype=np.uint64)} bytes",
            )

    def _check_text(self, text: str, where: str) -> None:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise make_damage_error(self.path, where, "UTF-8", "other bytes") from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _describe(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
