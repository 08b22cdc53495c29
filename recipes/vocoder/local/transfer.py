"""transfer.py OUT PACK: write the pieces in OUT to PACK, in files of at most 60 MB, for another machine.
transfer.py --unpack PACK OUT: put them back there.

Sound is kept as FLAC, so nothing is lost: about 170 MB for an hour. index.json has every file's sha256.
"""

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import soundfile
from pieces import FILES, MEL, read_index

PARTS = ("pieces", "decoded")
FRAMES_IN_FILE = 100_000  # of 256 samples of two bytes, which FLAC never makes larger: 51 MB
INDEX = "index.json"


def hash_content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_pack(out: Path, pack: Path) -> None:
    shutil.rmtree(pack, ignore_errors=True)
    for part in PARTS:
        pieces = read_index(out / part)
        if not pieces:
            continue
        (pack / part).mkdir(parents=True)
        shutil.copy(out / part / "index.csv", pack / part)
        frames = sum(piece.frames for piece in pieces)
        for name, (kind, width) in FILES.items():
            numbers = np.memmap(out / part / name, kind, "r").reshape(-1, width)[:frames]
            for count, start in enumerate(range(0, frames, FRAMES_IN_FILE)):
                path, some = pack / part / f"{name}.{count:03d}", numbers[start : start + FRAMES_IN_FILE]
                if kind is np.int16:
                    soundfile.write(path, some.reshape(-1), MEL.rate, "PCM_16", format="FLAC")
                else:
                    path.write_bytes(some.tobytes())
    index = {str(p.relative_to(pack)): hash_content(p) for p in sorted(pack.rglob("*")) if p.is_file()}
    (pack / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    size = sum(path.stat().st_size for path in pack.rglob("*") if path.is_file())
    print(f"{pack}: {len(index)} files, {size / 1e6:.0f} MB", file=sys.stderr)


def read_pack(pack: Path, out: Path) -> None:
    index = json.loads((pack / INDEX).read_text(encoding="utf-8"))
    for name, expected in index.items():
        if not (pack / name).is_file() or hash_content(pack / name) != expected:
            sys.exit(f"{pack / name}: the file is missing or damaged. Copy it again.")
    for part in PARTS:
        if f"{part}/index.csv" not in index:
            continue
        (out / part).mkdir(parents=True, exist_ok=True)
        for name, (kind, _) in FILES.items():
            with open(out / part / name, "wb") as file:
                for path in sorted((pack / part).glob(f"{name}.*")):
                    whole = kind is not np.int16
                    file.write(path.read_bytes() if whole else soundfile.read(path, dtype="int16")[0].tobytes())
        shutil.copy(pack / part / "index.csv", out / part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--unpack", action="store_true")
    given = parser.parse_args()
    (read_pack if given.unpack else write_pack)(given.source, given.target)


if __name__ == "__main__":
    main()
