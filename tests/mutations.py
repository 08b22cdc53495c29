"""Damage to files, drawn from a seed: for tests that read what a disk, a download or an editor left behind."""

import random

CHUNK = 64  # bytes that one cut, copy or fill takes at most
TOKENS = (
    b"-1", b"0", b"1e999", b"NaN", b"Infinity", b"null", b"true", b"[]", b"{}", b'""', b"1099511627776", b"9" * 5000, b"\x00", b"\xff", b"\xed\xb2\x80",
    b"[" * 3000, b"{" * 3000, b"\n", b",", b":", b"&a ", b"*a", b"!!python/object:os.system ", b"\xef\xbb\xbf", b"\xff\xff\xff\xff\xff\xff\xff\x7f",
)  # fmt: skip


def mutate(data: bytes, seed: int) -> bytes:
    """`data` with one to four damages: bits turned, bytes cut, doubled, filled, moved, or replaced by tokens that parsers stumble over."""
    draw = random.Random(seed)
    out = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        out = _damage(out, draw)
    return bytes(out)


def _damage(data: bytearray, draw: random.Random) -> bytearray:
    # headers lie at the beginning of most kinds, so that half of the damage goes there
    reach = min(len(data), 512) if draw.random() < 0.5 else len(data)
    at, length = draw.randint(0, reach), draw.randint(1, CHUNK)
    chunk = data[at : at + length]
    kind = draw.randrange(7)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << draw.randrange(8)
    elif kind == 1:
        data[at : at + length] = b""
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        data[at:at] = chunk
    elif kind == 4:
        data[at : at + length] = bytes([draw.choice((0, 0xFF, 0x20, 0x80))]) * len(chunk)
    elif kind == 5:
        token = draw.choice(TOKENS)
        data[at : at + draw.choice((0, len(token), 1))] = token
    else:
        numbers = [i for i, byte in enumerate(data[: 1 << 16]) if 0x30 <= byte <= 0x39]
        if numbers:
            place = draw.choice(numbers)
            data[place : place + 1] = draw.choice(TOKENS[:12])
    return data
