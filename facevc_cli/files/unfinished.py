"""Repairs wrong headers of sound files. A recorder that lost power leaves a length of 0, or a wrong one."""

import struct
from pathlib import Path
from typing import BinaryIO

UNKNOWN = b"\xff\xff\xff\xff"  # as a length: up to the end of the file
_MOST_CHUNKS = 1000
_OGG_HEADER = 27


def find_length_patches(path: Path) -> dict[int, bytes]:
    """Returns replacement bytes by position, so that the header says that the sound continues to the end.

    None if the header is right.

    It knows RIFF, RF64 and Sun's AU.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(4)
        if magic == b".snd":
            told = file.read(8)[4:]
            return {8: UNKNOWN} if told == bytes(4) else {}
        if magic not in (b"RIFF", b"RF64", b"BW64") or file.read(8)[4:] != b"WAVE":
            return {}
        at = _find_data(file, size)
        if at is None:
            return {}
        file.seek(at + 4)
        (told,) = struct.unpack("<I", file.read(4))
        if told == 0 and _is_only_chunks(file, at + 8, size):
            return {}  # it holds no sound, and says so
        if 0 < told <= size - at - 8:
            return {}
    return {0: b"RIFF", 4: UNKNOWN, at + 4: bytes(4)}  # FFmpeg takes 0 for no end: the other value ends after 4 GB


def is_chained_ogg(path: Path) -> bool:
    """Returns True if an Ogg file is several files in a row, as radio stations send them. libsndfile reads only the
    first.
    """
    size = path.stat().st_size
    begun = False  # whether pages with sound were seen
    with path.open("rb") as file:
        at = 0
        while at + _OGG_HEADER <= size:
            file.seek(at)
            header = file.read(_OGG_HEADER)
            if header[:4] != b"OggS":
                return False
            first = bool(header[5] & 2)  # of a logical stream
            if first and begun:
                return True
            begun = begun or not first
            at += _OGG_HEADER + header[26] + sum(file.read(header[26]))
    return False


def measure_id3_bytes(path: Path) -> int:
    """Returns the length of the tag at the beginning of an MP3. The tag may hold pictures."""
    with path.open("rb") as file:
        header = file.read(10)
    if len(header) < 10 or header[:3] != b"ID3":
        return 0
    return 10 + sum((byte & 127) << 7 * (3 - place) for place, byte in enumerate(header[6:]))


def _find_data(file: BinaryIO, size: int) -> int | None:
    """Finds the position of the data chunk of a RIFF file."""
    at = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        header = file.read(8)
        if len(header) < 8 or at > size:
            return None
        if header[:4] == b"data":
            return at
        (length,) = struct.unpack("<I", header[4:])
        at += 8 + length + length % 2
    return None


def _is_only_chunks(file: BinaryIO, at: int, size: int) -> bool:
    """Returns True if only whole chunks follow until the end of the file, or nothing."""
    for _ in range(_MOST_CHUNKS):
        if at >= size:
            return True
        file.seek(at)
        header = file.read(8)
        if len(header) < 8 or not (header[:4].isascii() and header[:4].replace(b" ", b"a").isalnum()):
            return False
        (length,) = struct.unpack("<I", header[4:])
        at += 8 + length + length % 2
        if at > size + 1:
            return False
    return False
