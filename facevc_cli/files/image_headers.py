"""Checks a picture's header before a decoder uses it. Small blocks of a file may need much memory or time."""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from facevc_cli.core.errors import FaceVCError

LARGEST_EXIF_BYTES = 1 << 20  # a camera writes at most 64 kB
# all values of one directory; entries may share one long value, which is read for each of them
LARGEST_TAGS_BYTES = 64 << 20
# values of one TIFF tag; each strip of the picture has an offset, and each offset becomes an object
MOST_VALUES = 200_000
LARGEST_TILE_PIXELS = 1 << 24
LARGEST_COMMENT_BYTES = 1 << 20  # Pillow joins the parts of a GIF's comment one by one, in quadratic time
MOST_SCAN_PIXELS = 2_000_000_000  # scans of a progressive JPEG times its pixels; a camera's has about ten scans

TAG_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
OPAQUE_TYPES = {1, 2, 7}  # bytes and text stay one object, however long
INNER_DIRECTORIES = (34665, 34853, 40965)  # EXIF, GPS, interoperability
TILE_SIDES = (322, 323)
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2"}


def read_start(path: Path) -> bytes:
    """The first 64 bytes, which identify the format."""
    with path.open("rb") as file:
        return file.read(64)


def is_jpeg(start: bytes) -> bool:
    return start.startswith(b"\xff\xd8\xff")


def is_heif(start: bytes) -> bool:
    """Returns True for the brands of HEIC that phones write. AVIF has its own brands."""
    return (
        start[4:8] == b"ftyp"
        and start[8:12] in HEIF_BRANDS
        and b"avi" not in start[8 : int.from_bytes(start[:4], "big")]
    )


def check_header(path: Path, start: bytes) -> None:
    """Raises FaceVCError if decoding would need far more memory or time than the file's size suggests."""
    with path.open("rb") as file:
        if is_jpeg(start):
            _check_jpeg(path, file)
        elif start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            _check_tiff(path, file)
        elif start[:4] == b"GIF8":
            _check_gif(path, file)


def is_costly_exif(exif: bytes) -> bool:
    """Returns True if Pillow should not read this EXIF block: it is too long, or many entries share long values."""
    if len(exif) > LARGEST_EXIF_BYTES:
        return True
    block = exif.removeprefix(b"Exif\0\0")
    try:
        order = {b"II": "<", b"MM": ">"}[block[:2]]
        place = struct.unpack_from(order + "L", block, 4)[0]
        entries = struct.unpack_from(order + "H", block, place)[0]
        counts = [
            struct.unpack_from(order + "HHL", block, place + 2 + 12 * k)[1:]
            for k in range(entries)
            if place + 14 + 12 * k <= len(block)
        ]
    except (KeyError, struct.error):
        return False  # Pillow gives up on it as quickly
    return sum(min(TAG_BYTES.get(kind, 0) * count, len(block)) for kind, count in counts) > LARGEST_TAGS_BYTES


def check_scans(
    path: Path, width: int, height: int, samplings: Sequence[tuple[int, int]], progressive: bool
) -> tuple[int, int]:
    """Returns (scans, bytes that libjpeg keeps until the last scan) of a JPEG.

    FaceVCError if decoding would take too long.

    samplings: horizontal and vertical, per channel. Each scan of a progressive JPEG covers the whole picture, but an
    empty scan needs only a few bytes.
    """
    scans, last = 0, b""
    with path.open("rb") as file:
        for _ in _iterate_jpeg_segments(file):
            pass
        several = progressive or file.read(1)[:1] < bytes([len(samplings)])
        file.seek(-5, 1)
        while block := file.read(1 << 20):
            scans += (last + block).count(b"\xff\xda")
            last = block[-1:]
    if scans * width * height > MOST_SCAN_PIXELS and scans > 20:
        raise FaceVCError(
            f"{path}: expected a JPEG of at most 20 scans, found {scans} over {width * height / 1e6:.1f} million "
            "pixels. Save it as a plain JPEG."
        )
    largest = max((h * v for h, v in samplings), default=1)
    return scans, round(2 * width * height * sum(h * v / largest for h, v in samplings)) if several else 0


def _check_jpeg(path: Path, file: BinaryIO) -> None:
    exif = b""
    for marker, length in _iterate_jpeg_segments(file):
        if marker == 0xE1:
            content = file.read(min(length, 1 << 16))
            if content.startswith(b"Exif\0\0"):
                exif += content[6:]
        if len(exif) > LARGEST_EXIF_BYTES:
            break
    if is_costly_exif(exif):
        raise FaceVCError(
            f"{path}: its EXIF block claims more data than a camera writes. Save the picture again without metadata."
        )


def _iterate_jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yields (marker, bytes of content) of each segment before the first scan, with the file positioned at
    the content.
    """
    file.seek(2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF and head[1] != 0xDA:
        if head[1] == 0xFF:  # padding before a marker
            file.seek(-3, 1)
            continue
        length = int.from_bytes(head[2:], "big") - 2
        place = file.tell()
        yield head[1], length
        file.seek(place + max(length, 0))


def _check_tiff(path: Path, file: BinaryIO) -> None:
    start = file.read(16)
    order, big = ("<" if start[:2] == b"II" else ">"), b"\x2b" in start[2:4]
    waiting = [struct.unpack_from(order + "Q", start, 8)[0] if big else struct.unpack_from(order + "L", start, 4)[0]]
    seen: set[int] = set()
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        total, sides = 0, []
        for tag, kind, count, value in _iterate_tiff_entries(file, place, order, big):
            total += TAG_BYTES.get(kind, 0) * count
            if tag in TILE_SIDES:
                sides.append(value)
            elif tag in INNER_DIRECTORIES:
                waiting.append(value)
            if total > LARGEST_TAGS_BYTES or (count > MOST_VALUES and kind not in OPAQUE_TYPES):
                raise FaceVCError(
                    f"{path}: its TIFF tags claim more values than a picture has (tag {tag}: {count}). Save it again, "
                    "as PNG or JPEG."
                )
        if len(sides) == 2 and sides[0] * sides[1] > LARGEST_TILE_PIXELS:
            raise FaceVCError(
                f"{path}: expected TIFF tiles of at most 16 million pixels, found {sides[0]} x {sides[1]}. Save it "
                "again, as PNG or JPEG."
            )


def _iterate_tiff_entries(file: BinaryIO, place: int, order: str, big: bool) -> Iterator[tuple[int, int, int, int]]:
    """Yields (tag, type, count, the first number of the value or its position) of one directory, until the
    file ends.
    """
    try:
        file.seek(place)
        entries = struct.unpack(order + "Q", file.read(8))[0] if big else struct.unpack(order + "H", file.read(2))[0]
        for _ in range(min(entries, 1 << 16)):
            tag, kind, count = struct.unpack(order + ("HHQ" if big else "HHL"), file.read(12 if big else 8))
            value = file.read(8 if big else 4)
            width = "H" if kind == 3 and count == 1 else "Q" if big else "L"
            yield tag, kind, count, struct.unpack_from(order + width, value)[0]
    except (struct.error, OSError, ValueError, OverflowError):
        return  # cut short: Pillow says so


def _check_gif(path: Path, file: BinaryIO) -> None:
    head = file.read(13)
    if len(head) == 13 and head[10] & 0x80:
        file.seek(3 * 2 ** ((head[10] & 7) + 1), 1)
    while file.read(1) == b"!":  # extensions before the first frame
        file.read(1)
        while size := file.read(1)[:1]:
            if size == b"\0":
                break
            file.seek(size[0], 1)
            if file.tell() > LARGEST_COMMENT_BYTES:
                raise FaceVCError(
                    f"{path}: expected a picture near the start of the GIF, found {file.tell()} bytes of comments. "
                    "Save it again."
                )
