"""Checks the sizes of HDF5's global heap collections, which hold texts.

The HDF5 library reads a damaged one without end.

A collection (HDF5 file format, III.E): "GCOL", version 1, 3 bytes, its size (8 bytes), objects. An object: index (2),
references (2), 4 bytes, size (8), then its data in steps of 8 bytes. Index 0 is the free rest. Its size includes its
own header.
"""

import mmap
import struct
from pathlib import Path

HEAD, OBJECT_HEAD = 16, 16
SIGNATURE = b"GCOL\x01"
SEARCHED = 128 << 20  # bytes at either end of a file; the frames between them hold no text


def find_damaged_heap(path: Path) -> int | None:
    """Returns the position of a heap collection whose objects do not fill it in order. None if there is none."""
    size = path.stat().st_size
    if size == 0:
        return None
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return find_damaged_heap_in(data, size)


def find_damaged_heap_in(data: mmap.mmap | bytes, size: int, *, cut: bool = False) -> int | None:
    """As `find_damaged_heap`. cut: the data are the beginning of a file, so the last collection may go on."""
    for first, last in ((0, min(size, SEARCHED)), (max(SEARCHED, size - SEARCHED), size)):
        at = data.find(SIGNATURE, first, last)
        while at >= 0:
            if not _is_whole(data, at, size, cut):
                return at
            at = data.find(SIGNATURE, at + 1, last)
    return None


def _is_whole(data: mmap.mmap | bytes, start: int, size: int, cut: bool) -> bool:
    if start + HEAD > size:
        return cut
    end = start + struct.unpack_from("<Q", data, start + 8)[0]
    if end > size:
        return cut
    at = start + HEAD
    while at + OBJECT_HEAD <= end:
        index, length = struct.unpack_from("<H", data, at)[0], struct.unpack_from("<Q", data, at + 8)[0]
        step = length if index == 0 else OBJECT_HEAD + -(-length // 8) * 8
        if step < OBJECT_HEAD or at + step > end:
            return index == 0 and length == 0 and at + OBJECT_HEAD == end
        at += step
    return True
