"""The faults of `fuzz.py` for each format.

A damaged file stays a file of its format, so that the reader goes deeper.
"""

import io
import json
import random
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from helpers.damage import mutate, mutate_text

DEEP = 100_000
BOMB = (
    "[&a [l, l, l, l, l, l, l, l, l], "
    + ", ".join(f"&{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]"
)
HUGE_ROWS = 10**10
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n9 9 moveto 0 0 lineto stroke showpage\n"
PLAYLISTS = (
    b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nbystander.ts\n#EXT-X-ENDLIST\n",
    b"ffconcat version 1.0\nfile bystander.wav\n",
    b"#EXTM3U\n#EXTINF:1,\nfile:bystander.wav\n#EXT-X-ENDLIST\n",
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
)
DISGUISES = (
    EPS,
    *PLAYLISTS,
    b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    b"PK\x03\x04" + bytes(400),
    b"GIF89a",
    b"RIFF\x04\0\0\0WAVE",
)


_HEADER_FAULTS = (  # of npy: a text, and its replacements
    (
        rb"'shape': \([^)]*\)",
        (
            b"'shape': (2, 9999999999)",
            b"'shape': (-2, 80)",
            b"'shape': ()",
            b"'shape': (2, 80L)",
            b"'shape': (2, 80",
            b"'shape': 5",
        ),
    ),
    (
        rb"'descr': '[^']*'",
        (
            b"'descr': 'O'",
            b"'descr': '<U9'",
            b"'descr': '<f2'",
            b"'descr': '<M8[s]'",
            b"'descr': [('a', '<f8')]",
            b"'descr': {}",
        ),
    ),
    (rb"'descr': '[^']*'", (b"'descr': '>i1'", b"'descr': '<c16'", b"'descr': '|b1'")),
    (rb"'fortran_order': \w+", (b"'fortran_order': True", b"'fortran_order': 5", b"'x': 1")),
)


def damage(format: str, data: bytes, seed: int) -> bytes:
    """Damage the data by a seed. A third of the faults are general; the rest are those of the format, if it has any."""
    rng = random.Random(seed)
    if format in ("yaml", "json", "table"):
        plain: Callable[[bytes, int], bytes] = mutate_text
    else:
        plain = mutate
    known = _FORMATS.get(format)
    return known(data, rng) if known and rng.random() < 0.65 else plain(data, seed)


def is_disguise(data: bytes) -> bool:
    """Whether data is not a medium.

    If a reader still returns sound or a picture, another file or program was opened.
    """
    return data in DISGUISES


def draw_odd_value(rng: random.Random) -> Any:
    return rng.choice(
        (
            None,
            True,
            -1,
            0,
            1,
            10**30,
            1e308,
            float("nan"),
            float("inf"),
            "",
            "x",
            "x" * 100_000,
            "a\0b",
            "\ud7ff\u202e",
            [],
            {},
            [1, [2]],
            {"a": {"b": 1}},
            ["a", "a"],
            2**31,
            0.5,
            "1e9999",
            "../" * 30 + "etc/passwd",
            "x" * 5000,
            -(2**63),
            [None],
            {"": ""},
            "2020-99-99",
            1e-320,
        )
    )


def damage_tree(tree: Any, rng: random.Random, value: Any = None) -> Any:
    """Copy a tree. In one place, at any depth, an entry is removed, renamed or replaced."""
    if not isinstance(tree, dict | list) or not tree or rng.random() < 0.08:
        return draw_odd_value(rng) if value is None else value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    key = rng.choice(list(copy)) if isinstance(copy, dict) else rng.randrange(len(copy))
    if isinstance(copy[key], dict | list) and rng.random() < 0.8:  # type: ignore[index]
        copy[key] = damage_tree(copy[key], rng, value)  # type: ignore[index]
    elif value is None and rng.random() < 0.25:
        del copy[key]  # type: ignore[arg-type]
    elif value is None and isinstance(copy, dict) and rng.random() < 0.2:
        copy[rng.choice((5, None, True, "x", "schema", 1.5))] = copy.pop(key)
    else:
        copy[key] = draw_odd_value(rng) if value is None else value  # type: ignore[index]
    return copy


def _damage_yaml(data: bytes, rng: random.Random) -> bytes:
    class Loader(yaml.SafeLoader):
        """Reads what other dumpers wrote."""

    Loader.add_multi_constructor(
        "tag:yaml.org,2002:python/", lambda loader, suffix, node: loader.construct_sequence(node)
    )
    tree = yaml.load(data, Loader=Loader)  # a SafeLoader
    special = rng.random()
    if special < 0.25:
        deep = ("[" * DEEP, "{a: " * DEEP)
        stand_in = rng.choice(
            (
                BOMB,
                *deep,
                "&s [*s]",
                "&s {model: *s}",
                "9" * 5000,
                "!!python/object/apply:os.abort []",
                "!!binary x",
                "0x_",
            )
        )
        return (
            yaml.safe_dump(damage_tree(tree, rng, "STAND_IN"), sort_keys=False).replace("STAND_IN", stand_in).encode()
        )
    return yaml.safe_dump(damage_tree(tree, rng), sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")


def _damage_json(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.2:
        stand_in = rng.choice(("[" * DEEP, '{"a":' * DEEP, "NaN", "-Infinity", "9" * 5000, "1e99999", '"\\ud800"'))
        return json.dumps(damage_tree(json.loads(data), rng, "STAND_IN")).replace('"STAND_IN"', stand_in).encode()
    tree = damage_tree(json.loads(data), rng)
    return json.dumps(tree, skipkeys=True).encode()


def _damage_table(data: bytes, rng: random.Random) -> bytes:
    lines = data.decode().splitlines()
    cells = [line.split(",") for line in lines]
    change = rng.randrange(9)
    row, column = rng.randrange(len(cells)), rng.randrange(len(cells[0]))
    if change == 0:
        return data.decode().encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7")))
    if change == 1:
        return data.replace(b",", rng.choice((b";", b"\t", b"|", b"\r")))
    if change == 2:
        cells = [[cell for i, cell in enumerate(line) if i != column] for line in cells]
    elif change == 3:
        cells[0][column] = rng.choice((*cells[0], "", cells[0][column].upper(), f" {cells[0][column]} ", "\0"))
    elif change == 4:
        cells = cells[:1]
    elif change == 5:
        cells = cells[1:]
    elif change == 6:
        cells = cells + [cells[row]] * 2000
    else:
        cells[row][column] = rng.choice(
            (
                "",
                "\0",
                "x" * 300,
                "x" * 5000,
                "x" * 200_000,
                '"',
                "|",
                "|" * 9000,
                "nan",
                "-inf",
                "1e999",
                "9" * 5000,
                "../" * 50 + "x",
                "/dev/zero",
                "\ud7ff",
                "a\rb",
            )
        )
    return ("\n".join(",".join(line) for line in cells) + "\n").encode()


def _damage_safetensors(data: bytes, rng: random.Random) -> bytes:
    (length,) = struct.unpack("<Q", data[:8])
    header, body = data[8 : 8 + length], data[8 + length :]
    if rng.random() < 0.25:
        lie = rng.choice(
            (0, 1, length - 1, length + 1, len(data), 2**31, 2**40, 2**63, 2**64 - 1, rng.randrange(length * 2))
        )
        return struct.pack("<Q", lie) + data[8:]
    tree = json.loads(header)
    if rng.random() < 0.3:  # a well-formed tensor of another kind
        name = rng.choice([n for n in tree if n != "__metadata__"])
        if rng.random() < 0.5:
            tree[name]["dtype"] = rng.choice(("F16", "BF16", "I32", "U32", "I8", "F64", "BOOL", "F8_E4M3", "I64", "U8"))
        else:
            shape = tree[name]["shape"]
            tree[name]["shape"] = rng.choice(
                (shape[::-1], [1, *shape], [int(np.prod(shape))], [*shape, 1], [0], [], [2**62, 2**62])
            )
    elif "__metadata__" in tree and rng.random() < 0.6:
        name = rng.choice(list(tree["__metadata__"]))
        texts = (
            "",
            "5",
            "null",
            "[" * DEEP,
            "NaN",
            '[["a"]]',
            '{"a": 1}',
            "-1",
            "1e999",
            "x" * 5000,
            "\0",
            "[]",
            "[5]",
        )
        tree["__metadata__"][name] = rng.choice(texts)
    else:
        tree = damage_tree(tree, rng)
    changed = json.dumps(tree, skipkeys=True).encode()
    if rng.random() < 0.4:
        body = np.frombuffer(body[: len(body) // 4 * 4], np.float32).copy().tobytes()
        at = rng.randrange(0, max(1, len(body)), 4)
        body = (
            body[:at]
            + np.array([rng.choice((np.nan, np.inf, -1e38, 0.0))] * rng.choice((1, 400)), np.float32).tobytes()
            + body[at + 4 :]
        )
        body = body[: len(data) - 8 - length]
    return struct.pack("<Q", len(changed)) + changed + body


def _damage_npy(data: bytes, rng: random.Random) -> bytes:
    pattern, texts = rng.choice(_HEADER_FAULTS)
    header_size = 10 + struct.unpack("<H", data[8:10])[0]
    header = re.sub(pattern, rng.choice(texts), data[10:header_size])
    return data[:8] + struct.pack("<H", len(header)) + header + data[header_size:]


def _damage_npz(data: bytes, rng: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    change = rng.randrange(4)
    if change == 0:
        del members[name]
    elif change == 1:
        members[name] = mutate(members[name], rng.randrange(1 << 30))
    elif change == 2:
        members[name] = _damage_npy(members[name], rng)
    else:
        other = io.BytesIO()
        np.save(
            other,
            rng.choice(
                (
                    np.zeros(()),
                    np.zeros((3, 3)),
                    np.array(["a"]),
                    np.zeros((0, 7)),
                    np.array([[["k"]]]),
                    np.zeros(10_000, np.int8),
                )
            ),
        )
        members[name] = other.getvalue()
    written = io.BytesIO()
    with zipfile.ZipFile(
        written, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    ) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return written.getvalue()


def _damage_torch(data: bytes, rng: random.Random) -> bytes:
    import os

    import torch

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.abort, ()

    if rng.random() < 0.4:  # inside its members, because the archive's checksums detect other damage
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = rng.choice([n for n in members if n.endswith("data.pkl") or rng.random() < 0.2] or list(members))
        members[name] = mutate(members[name], rng.randrange(1 << 30))
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return written.getvalue()
    tree = torch.load(io.BytesIO(data), weights_only=True)
    tensor = rng.choice(
        (
            Evil(),
            torch.zeros(()),
            torch.zeros(0),
            torch.zeros(1).expand(HUGE_ROWS),
            torch.zeros(1, 1).expand(10**6, 10**6),
            torch.zeros(3, dtype=torch.complex64),
            torch.zeros(3, 3).to_sparse(),
            torch.full((80,), float("nan")),
            torch.zeros(1, dtype=torch.bool),
            torch.zeros(2, 2, dtype=torch.float16),
            None,
            {},
            "x",
            torch.quantize_per_tensor(torch.zeros(4), 0.1, 0, torch.qint8),
            torch.zeros(2, 3, 4, 5, 6),
            {5: torch.zeros(1)},
            torch.empty(3, device="meta"),
        )
    )
    written = io.BytesIO()
    torch.save(damage_tree(tree, rng, tensor), written)
    return written.getvalue()


def _damage_png(data: bytes, rng: random.Random) -> bytes:
    """Write another size into the header, with a correct checksum."""
    if rng.random() < 0.3:
        return _damage_medium(data, rng)
    width, height = rng.choice(((12_000, 12_000), (60_000, 60_000), (1, 2**31 - 1), (0, 5), (100_000, 1400)))
    header = (
        b"IHDR"
        + struct.pack(">II", width, height)
        + bytes([rng.choice((1, 8, 16)), rng.choice((0, 2, 3, 4, 6)), 0, 0, rng.choice((0, 1))])
    )
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def _damage_medium(data: bytes, rng: random.Random) -> bytes:
    return rng.choice(DISGUISES) if rng.random() < 0.2 else mutate(data, rng.randrange(1 << 30))


def _damage_hdf5(data: bytes, rng: random.Random) -> bytes:
    import h5py

    held = io.BytesIO(data)
    with h5py.File(held, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        datasets = [name for name in names if isinstance(file[name], h5py.Dataset)]
        name = rng.choice(datasets)
        change = rng.randrange(7)
        if change == 0 and len(file.attrs):
            key = rng.choice(list(file.attrs))
            tree = json.loads(file.attrs["settings"]) if "settings" in file.attrs else {}
            texts = (
                "",
                "{",
                "[" * DEEP,
                "5",
                "null",
                "[]",
                "{}",
                *[json.dumps(damage_tree(tree, rng)) for _ in range(6)],
            )
            if rng.random() < 0.7:
                file.attrs[key] = rng.choice((*texts, -1, 2, np.zeros(3), b"\xff\xfe", h5py.Empty("f"), 1e30))
            else:
                del file.attrs[key]
        elif change in (1, 2):
            old = file[name][...]
            del file[name]
            _replace(file, name, old, rng)
        elif change == 3:
            name = rng.choice(names)
            del file[name]
        elif change == 4:
            name = rng.choice(names)
            del file[name]
            links = (
                h5py.ExternalLink("bystander.h5", "/"),
                h5py.SoftLink("/nowhere"),
                h5py.SoftLink(f"/{name}"),
                h5py.ExternalLink("/etc/passwd", "/x"),
            )
            file[name] = (
                rng.choice((*links, file["/"])) if rng.random() < 0.9 else h5py.ExternalLink("gone.h5", "/" + name)
            )
        elif change == 5:
            name = rng.choice(names)
            del file[name]
            if rng.random() < 0.5:
                file.create_group(name)
            else:
                file[name] = rng.choice((5, "x", np.zeros(2), b"\xff"))
        else:
            lies = [n for n in datasets if "offset/" in n or "length/" in n]
            name = rng.choice(lies or datasets)
            old = file[name][...]
            if old.dtype.kind in "iuf":
                changed = np.array(old).reshape(-1)
                numbers = {"f": (np.nan, np.inf, -1e38), "u": (0, 1)}.get(
                    old.dtype.kind, (-1, 0, 2**31, 2**62, -(2**62))
                )
                changed[rng.randrange(len(changed)) :: rng.choice((1, 1000))] = rng.choice(numbers)
                file[name][...] = changed.reshape(old.shape)
    return held.getvalue()


def _replace(file: Any, name: str, old: np.ndarray, rng: random.Random) -> None:
    import h5py

    rest = old.shape[1:] if old.ndim else ()
    change = rng.randrange(8)
    if change == 0:  # takes no space in the file, but all memory when it is read
        kind = h5py.string_dtype() if old.dtype.kind == "O" else old.dtype
        file.create_dataset(name, (HUGE_ROWS, *rest), kind, chunks=(1024, *rest))
    elif change == 1:
        file[name] = old[: len(old) // 2] if old.ndim else old
    elif change == 2:
        file[name] = np.concatenate([old, old]) if old.ndim else 0
    elif change == 3:
        file[name] = np.array([b"\xff\xfe"] * max(1, len(old))) if old.ndim else b"\xff"
    elif change == 4:
        file[name] = np.zeros((len(old), 3, 2) if old.ndim else 3)
    elif change == 5:
        file[name] = np.full(old.shape, np.nan)
    elif change == 6:
        file.create_dataset(name, data=np.zeros(old.shape, rng.choice((np.complex64, np.float16, np.int8, np.bool_))))
    else:
        file.create_dataset(name, old.shape or (1,), np.float32, external=[("bystander.wav", 0, h5py.h5f.UNLIMITED)])


_FORMATS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "yaml": _damage_yaml,
    "json": _damage_json,
    "table": _damage_table,
    "safetensors": _damage_safetensors,
    "npy": _damage_npy,
    "npz": _damage_npz,
    "torch": _damage_torch,
    "hdf5": _damage_hdf5,
    "png": _damage_png,
    "medium": _damage_medium,
}
