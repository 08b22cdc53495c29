"""Damaged copies of files, the same for every seed."""

import random


def mutate(data: bytes, seed: int) -> bytes:
    """Flips bits or bytes, cuts the end off, or splices pieces of the data into other places; one to a few of these."""
    rng = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not damaged:
            break
        at, count = rng.randrange(len(damaged)), rng.choice((1, 2, 8, 64, 512))
        match rng.randrange(6):
            case 0:
                damaged[at] ^= 1 << rng.randrange(8)
            case 1:
                damaged[at : at + count] = rng.randbytes(len(damaged[at : at + count]))
            case 2:
                damaged[at : at + count] = bytes([rng.choice((0, 255))]) * len(damaged[at : at + count])
            case 3:
                source = rng.randrange(len(damaged))
                damaged[at : at + count] = damaged[source : source + count]
            case 4:
                del damaged[at : at + count]
            case _:
                del damaged[max(1, rng.randrange(len(damaged))) :]
    return bytes(damaged)
