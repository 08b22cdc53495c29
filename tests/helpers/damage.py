"""Damages bytes the way disks, networks and editors do: the same seed damages the same way."""

import random
import struct

SNIPPETS = (
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x80",
    b"\xff\xff\xff\x7f",
    b"\x00" * 4,
    b"\x01\x00\x00\x00",
    b"\x00\x00\x00\x01",
)
TEXTS = (
    b"\x00",
    b"\r\n",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"NaN",
    b"-1",
    b"1e999",
    b".inf",
    b"9" * 400,
    b"9" * 5000,
    b"null",
    b"true",
    b'"',
    b"'",
    b",",
    b";",
    b"[" * 3000,
    b"{" * 3000,
    b"&a [*a]",
    b"*b",
    b"!!python/object/apply:os.abort []",
    b"../" * 40 + b"x",
    b"x" * 5000,
    b"x" * 200_000,
    b"\xc3\x28",
    b"2020-99-99",
    b"0x",
    b"\n- ",
    b": ",
    b"{}",
    b"[]",
    b"\\ud800",
    "e\u0301\u202e".encode(),
    b"%s{0}",
    b"\t",
)


def mutate(data: bytes, seed: int) -> bytes:
    """One to four faults: flipped bits, lost, repeated, moved, zeroed or foreign bytes, and numbers of four bytes that
    are extreme.
    """
    rng = random.Random(seed)
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(_FAULTS)(found, rng)
    return bytes(found)


def mutate_text(data: bytes, seed: int) -> bytes:
    """The same for text, where a whole word or line is what goes wrong as often as a byte."""
    rng = random.Random(seed)
    if rng.random() < 0.25:
        return mutate(data, seed)
    lines = data.splitlines(keepends=True) or [b""]
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(lines))
        words = lines[at].replace(b",", b" ").replace(b":", b" ").split() or [b""]
        word, text = rng.choice(words), rng.choice(TEXTS)
        changes = (
            lines[at].replace(word, text, 1) if word else text,
            text + lines[at],
            lines[at].rstrip() + text + b"\n",
            b"",
            lines[at] * 2,
            lines[at].replace(b"\n", b"\r\n"),
            lines[at].replace(word, word[: len(word) // 2], 1) if word else b"",
            rng.choice(lines),
        )
        lines[at] = rng.choice(changes)
    return b"".join(lines)


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 3, 30)) if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _extreme_number(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(0, min(len(data), rng.choice((64, 512, 1 << 30))) + 1, 4)
    data[at : at + 4] = rng.choice(
        (*SNIPPETS, struct.pack("<I", rng.getrandbits(32)), struct.pack("<I", len(data) * 2))
    )


def _replace_piece(data: bytearray, rng: random.Random) -> None:
    """A piece is lost, zeroed, repeated, or comes from elsewhere; or all after it is lost."""
    at = rng.randrange(len(data) + 1)
    end = min(len(data), at + rng.choice((1, 4, 16, 64, 512, 4096)))
    piece, elsewhere = bytes(data[at:end]), rng.randrange(len(data) + 1)
    changes = (
        b"",
        bytes(len(piece)),
        piece * 2,
        piece * 50,
        bytes(data[elsewhere : elsewhere + len(piece)]),
        rng.randbytes(len(piece)),
        rng.choice(TEXTS),
    )
    data[at : len(data) if rng.random() < 0.25 else end] = rng.choice(changes)


_FAULTS = (_flip, _extreme_number, _replace_piece)
