"""What a store says about itself in one attribute, so that nobody must read a million ids to describe it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import h5py
import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.hdf5_heaps import find_damaged_heap_in
from facevc_cli.corpus.store_check import (
    MOST_ATTRIBUTE_BYTES,
    SCHEMAS,
    TEXT_ATTRIBUTES,
    make_damage_error,
    report_damage,
)
from facevc_cli.files.urls import is_url, open_seekable

SUMMARY = "summary"
DESCRIBED = ("items", "speakers", "frames", "vectors", "columns", "hours", "splits", "statistics")
MOST_SUMMARY_BYTES = 60_000  # HDF5 keeps larger attributes elsewhere
HEAD_BYTES = 1 << 20  # the attributes that are read here were written first


def make_summary(
    speakers: Sequence[str],
    columns: Mapping[str, Sequence[Any] | np.ndarray],
    frames: Mapping[str, int],
    vectors: Mapping[str, Sequence[int]],
    statistics: Mapping[str, np.ndarray],
    names: Sequence[str],
) -> dict[str, Any]:
    """Describes the items of a store. columns: those that are looked at, `seconds` and `split`. names: of all."""
    described: dict[str, Any] = {
        "items": len(speakers),
        "speakers": len(set(speakers)),
        "frames": dict(frames),
        "vectors": {name: [int(n) for n in shape] for name, shape in vectors.items()},
        "columns": list(names),
    }
    if "seconds" in columns:
        described["hours"] = round(float(sum(columns["seconds"])) / 3600, 4)
    if "split" in columns:
        described["splits"] = dict(Counter(columns["split"]))
    described["statistics"] = {name: describe_range(np.asarray(array)) for name, array in statistics.items()}
    return described


def describe_range(array: np.ndarray) -> dict[str, Any]:
    figures = {"least": array.min(), "mean": array.mean(), "most": array.max()}
    return {"shape": list(array.shape), **{name: round(float(value), 4) for name, value in figures.items()}}


def write_summary(file: h5py.File, summary: Mapping[str, Any]) -> None:
    """Writes the attribute, as text of fixed length, because other texts are in heaps that must be checked."""
    content = json.dumps(summary).encode()
    if len(content) <= MOST_SUMMARY_BYTES:
        file.attrs[SUMMARY] = np.bytes_(content)


def read_summary(place: str) -> dict[str, Any] | None:
    """Reads what a store on this disk, or behind a URL, says about itself. None if it does not.

    Of a large file a few kilobytes are read. Nothing but the summary is checked. FaceVCError if it is no store.
    """
    with report_damage(place, "its attributes"):
        if not is_url(place):
            with open(place, "rb") as head:
                _check_head(place, head.read(HEAD_BYTES))
            with h5py.File(place, "r") as file:
                return _read_attributes(file, place)
        with closing(open_seekable(place)) as remote:
            _check_head(place, remote.read(HEAD_BYTES // 8))
            remote.seek(0)
            with h5py.File(remote, "r") as file:
                return _read_attributes(file, place)


def _check_head(place: str, head: bytes) -> None:
    found = find_damaged_heap_in(head, len(head), cut=True)
    if found is not None:
        raise make_damage_error(place, f"byte {found}", "a heap of texts in order", "one whose sizes do not fit")


def _read_attributes(file: h5py.File, place: str) -> dict[str, Any] | None:
    found = {}
    for name in ("schema", "settings", SUMMARY, *TEXT_ATTRIBUTES):
        if name not in file.attrs:
            return None
        if file.attrs.get_id(name).get_storage_size() > MOST_ATTRIBUTE_BYTES:
            raise make_damage_error(place, f"attribute {name!r}", f"at most {MOST_ATTRIBUTE_BYTES} bytes", "more")
        found[name] = file.attrs[name]
    if found["schema"] not in SCHEMAS or not all(
        isinstance(found[name], str) for name in ("settings", *TEXT_ATTRIBUTES)
    ):
        raise FaceVCError(f"{place}: expected a facevc store, found another HDF5 file. Name a store.")
    summary, settings = json.loads(bytes(found[SUMMARY])), json.loads(found["settings"])
    items = summary.get("items") if isinstance(summary, dict) else None
    if type(items) is not int or items < 0 or not isinstance(settings, dict):  # True is an int, too
        raise make_damage_error(place, f"attribute {SUMMARY!r}", "an object with a count of items", "something else")
    about = {name: found[name] for name in ("stage", "version")}
    described = {name: summary[name] for name in DESCRIBED if name in summary}
    return {**about, "settings": settings, "settings_hash": found["settings_hash"], **described}
