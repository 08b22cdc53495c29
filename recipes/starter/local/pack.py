"""pack.py OUT PACK [--teacher FOLDER]: pack what stages 7 to 9 need, for another machine.
pack.py --unpack PACK OUT: put it back there.

A features store takes about 300 MB for an hour of speech. The pack takes about 45 MB, in files of at most 60 MB. It is
not exact. Log-mels are kept in steps of 0.06 nepers, F0 in steps of 0.1 Hz. Of the teacher's content the pack keeps
principal components, in 256 steps each. A training on it differs from one on the store as much as two seeds do.

    features-NNN.npz   utterances: log-mel, F0, content, columns
    codes.npz          what the numbers mean, settings and statistics of the store
    FILE, FILE.NNN     the other inputs as they are, large ones in pieces
    index.json         every file with its sha256
"""

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facevc_cli.corpus.store import Item, Store
from facevc_cli.corpus.store_writer import StoreWriter

LARGEST = 60_000_000  # bytes of a file
COMPONENTS = 128  # of the teacher's content
FITTED_FRAMES = 60_000  # of content, from which the components are computed
F0_STEP_HZ = 0.1
FRAMES_IN_FILE = 700_000  # log-mel frames; their arrays are compressed to less than LARGEST
FILES = ("voices.h5", "few_voices.h5", "faces.h5", "pairs.csv", "weights.csv", "aligned.csv")


class Code:
    """Numbers in 256 steps per dimension, between the values that 0.02 % of the frames are outside of."""

    def __init__(self, low: np.ndarray, step: np.ndarray):
        self.low, self.step = low, step

    @classmethod
    def fit(cls, frames: np.ndarray) -> "Code":
        """frames: (n, D)."""
        low, high = np.quantile(frames, (0.0001, 0.9999), axis=0).astype(np.float32)
        return cls(low, np.maximum((high - low) / 255, 1e-9).astype(np.float32))

    def encode(self, frames: np.ndarray) -> np.ndarray:
        return np.clip(np.rint((frames - self.low) / self.step), 0, 255).astype(np.uint8)

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        return (numbers * self.step + self.low).astype(np.float32)


def sample_frames(store: Store, name: str, count: int) -> np.ndarray:
    """Some frames of every utterance, about `count` in all: (n, D) float32."""
    each = max(1, count // len(store))
    taken = []
    for i in range(len(store)):
        frames = store.read_frames(name, i).astype(np.float32)
        taken.append(frames[:: max(1, len(frames) // each)])
    return np.concatenate(taken)


def find_components(content: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and principal axes (D, at most COMPONENTS) of frames (n, D)."""
    mean = content.mean(0)
    _, axes = np.linalg.eigh(np.cov((content - mean).T))
    return mean, axes[:, ::-1][:, :COMPONENTS].astype(np.float32)


def write_features(store: Store, pack: Path) -> None:
    mel = Code.fit(sample_frames(store, "mel", FITTED_FRAMES))
    taught = sample_frames(store, "content", FITTED_FRAMES)
    mean, axes = find_components(taught)
    content = Code.fit((taught - mean) @ axes)
    statistics = {f"statistics_{name}": store.read_statistics(name) for name in store.statistics_names}
    np.savez(
        pack / "codes.npz",
        settings=np.array(json.dumps(store.settings)),
        mel=np.stack([mel.low, mel.step]),
        content=np.stack([content.low, content.step]),
        mean=mean,
        axes=axes,
        **statistics,
    )
    columns = {name: store.read_column(name) for name in store.columns}
    for number, rows in enumerate(split_rows(store.read_lengths("mel"))):
        items = [store.read_item(i) for i in rows]
        index = {"id": [item.id for item in items], "speaker": [item.speaker for item in items]}
        index |= {name: [values[i] for i in rows] for name, values in columns.items()}
        np.savez_compressed(
            pack / f"features-{number:03d}.npz",
            index=np.array(json.dumps(index)),
            mel_lengths=np.array([len(item.frames["mel"]) for item in items]),
            content_lengths=np.array([len(item.frames["content"]) for item in items]),
            mel=np.concatenate([mel.encode(item.frames["mel"]) for item in items]),
            f0=np.concatenate([np.rint(item.frames["f0"] / F0_STEP_HZ).astype(np.uint16) for item in items]),
            content=np.concatenate([content.encode((item.frames["content"] - mean) @ axes) for item in items]),
        )


def split_rows(lengths: np.ndarray) -> Iterator[list[int]]:
    """Rows of the store, in groups of about FRAMES_IN_FILE frames."""
    group, frames = [], 0
    for i, length in enumerate(map(int, lengths)):
        group.append(i)
        frames += length
        if frames >= FRAMES_IN_FILE:
            yield group
            group, frames = [], 0
    if group:
        yield group


def read_features(pack: Path, out: Path) -> None:
    codes = np.load(pack / "codes.npz")
    mel, content = Code(*codes["mel"]), Code(*codes["content"])
    statistics = {name.removeprefix("statistics_"): codes[name] for name in codes if name.startswith("statistics_")}
    settings, order = json.loads(str(codes["settings"])), []
    with StoreWriter(out / "features.h5", "extract-features", settings, overwrite=True) as writer:
        for path in sorted(pack.glob("features-*.npz")):
            part = np.load(path)
            index = json.loads(str(part["index"]))
            ids, speakers = index.pop("id"), index.pop("speaker")
            ends = {name: np.cumsum(part[f"{name}_lengths"])[:-1] for name in ("mel", "content")}
            mels, f0s = np.split(part["mel"], ends["mel"]), np.split(part["f0"], ends["mel"])
            contents = np.split(part["content"], ends["content"])
            for i, identifier in enumerate(ids):
                frames = {
                    "mel": mel.decode(mels[i]),
                    "f0": (f0s[i] * F0_STEP_HZ).astype(np.float32),
                    "content": (content.decode(contents[i]) @ codes["axes"].T + codes["mean"]).astype(np.float16),
                }
                columns = {name: values[i] for name, values in index.items()}
                writer.add(Item(identifier, speakers[i], frames, columns=columns))
            order += ids
        writer.merge(order, statistics=statistics)


def copy_in_pieces(path: Path, pack: Path, name: str) -> None:
    with open(path, "rb") as file:
        pieces = iter(lambda: file.read(LARGEST), b"")
        for number, piece in enumerate(pieces):
            whole = number == 0 and len(piece) < LARGEST
            (pack / (name if whole else f"{name}.{number:03d}")).write_bytes(piece)


def hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_pack(out: Path, pack: Path, teacher: Path) -> None:
    shutil.rmtree(pack, ignore_errors=True)
    pack.mkdir(parents=True)
    with Store(out / "features.h5", "extract-features") as store:
        write_features(store, pack)
    for name in FILES:
        if (out / name).is_file():
            copy_in_pieces(out / name, pack, name)
    copy_in_pieces(teacher / "model.bin", pack, "model.bin")
    index = {path.name: hash_file(path) for path in sorted(pack.iterdir())}
    (pack / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    size = sum(path.stat().st_size for path in pack.iterdir())
    print(f"{pack}: {len(index)} files, {size / 1e6:.0f} MB", file=sys.stderr)


def read_pack(pack: Path, out: Path) -> None:
    for name, expected in json.loads((pack / "index.json").read_text(encoding="utf-8")).items():
        if not (pack / name).is_file() or hash_file(pack / name) != expected:
            sys.exit(f"{pack / name}: the file is missing or damaged. Copy it again.")
    out.mkdir(parents=True, exist_ok=True)
    read_features(pack, out)
    (out / "whisper-base").mkdir(exist_ok=True)
    for name, folder in [(name, out) for name in FILES] + [("model.bin", out / "whisper-base")]:
        pieces = sorted(pack.glob(f"{name}*"))
        if pieces:
            (folder / name).write_bytes(b"".join(piece.read_bytes() for piece in pieces))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--teacher", type=Path, help="folder of Whisper's model.bin (OUT/whisper-base)")
    parser.add_argument("--unpack", action="store_true")
    given = parser.parse_args()
    if given.unpack:
        read_pack(given.source, given.target)
    else:
        write_pack(given.source, given.target, given.teacher or given.source / "whisper-base")
