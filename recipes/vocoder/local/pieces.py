"""A store of pieces of speech: log-mels, HiFi-GAN's waveforms of them, and real waveforms.

    index.csv      one line for each piece: utterance, split, first frame, number of frames, whether it is real
    log_mel.f16    (frames, 80) float16
    teacher.i16    (frames * 256,) int16: HiFi-GAN's waveform
    real.i16       (frames * 256,) int16: the recording; zeros if the piece was decoded

A line of the index is written after the piece's numbers. So a killed writer goes on where it stopped.
"""

import csv
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.mel import MEL_DEFINITIONS, compute_log_mel
from facevc_cli.vocoders import Vocoder, vocode_long

MEL = MEL_DEFINITIONS["hifigan"]
COLUMNS = ("utterance", "split", "first", "frames", "real")
FILES = {"log_mel.f16": (np.float16, MEL.n_mels), "teacher.i16": (np.int16, MEL.hop_samples)}
FILES |= {"real.i16": (np.int16, MEL.hop_samples)}
LARGEST = 32767
EVERY_VALID = 40
PIECE_FRAMES = 690  # 8 s
MOST_FAILURES = 20
SHOW_EVERY = 100

# (number, utterance, path) -> log-mel, the teacher's waveform, and the real one if there is one
MakePiece = Callable[[int, str, Path], tuple[np.ndarray, np.ndarray, np.ndarray | None]]


@dataclass(frozen=True)
class Piece:
    utterance: str
    split: str
    first: int
    frames: int
    real: bool


def choose_split(utterance: str) -> str:
    return "valid" if zlib.crc32(utterance.encode()) % EVERY_VALID == 0 else "train"


def read_index(folder: Path) -> list[Piece]:
    """Reads the complete lines of the index; none if there is no index."""
    path = folder / "index.csv"
    if not path.is_file():
        return []
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    rows = list(csv.DictReader(whole.splitlines()))
    try:
        return [Piece(r["utterance"], r["split"], int(r["first"]), int(r["frames"]), r["real"] == "1") for r in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise FaceVCError(f"{path}: expected the index of pieces, found something else ({error}).") from error


def has_pieces(folder: Path, split: str, crop: int) -> bool:
    return any(p.split == split and p.frames >= crop for p in read_index(folder))


class PieceWriter:
    """Appends pieces."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, pieces = folder, read_index(folder)
        self.done = {piece.utterance for piece in pieces}
        self.frames, self.failed_in_a_row = sum(piece.frames for piece in pieces), 0
        for name, (kind, width) in FILES.items():
            path = folder / name
            path.touch()
            wanted = self.frames * width * np.dtype(kind).itemsize
            if path.stat().st_size < wanted:
                raise FaceVCError(f"{path}: expected {wanted} bytes for its index, found {path.stat().st_size}.")
            with open(path, "r+b") as file:
                file.truncate(wanted)
        lines = [",".join(COLUMNS), *(self._describe(piece) for piece in pieces)]
        (folder / "index.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    @property
    def hours(self) -> float:
        return self.frames * MEL.hop_samples / MEL.rate / 3600

    def add(self, utterance: str, log_mel: np.ndarray, teacher: np.ndarray, real: np.ndarray | None) -> None:
        """log_mel: (T, 80); teacher, real: (T * 256,) in [-1, 1]."""
        frames = len(log_mel)
        waves = {"teacher.i16": teacher, "real.i16": np.zeros_like(teacher) if real is None else real}
        numbers = {name: np.rint(np.clip(wave, -1, 1) * LARGEST) for name, wave in waves.items()}
        for name, values in {"log_mel.f16": log_mel, **numbers}.items():
            with open(self.folder / name, "ab") as file:
                file.write(np.ascontiguousarray(values, FILES[name][0]).tobytes())
        piece = Piece(utterance, choose_split(utterance), self.frames, frames, real is not None)
        with open(self.folder / "index.csv", "a", encoding="utf-8") as file:
            file.write(self._describe(piece) + "\n")
        self.done.add(utterance)
        self.frames += frames
        self.failed_in_a_row = 0

    def fill(self, recordings: Sequence[tuple[str, Path]], hours: float, make: MakePiece) -> None:
        """Adds a piece of each recording that has none, until there are so many hours. What fails is skipped."""
        for number, (utterance, path) in enumerate(recordings):
            if self.hours >= hours:
                break
            if utterance in self.done:
                continue
            try:
                self.add(utterance, *make(number, utterance, path))
            except FaceVCError as error:
                self.skip(utterance, error)
                continue
            if len(self.done) % SHOW_EVERY == 0:
                print(f"{len(self.done)} pieces, {self.hours:.2f} h", file=sys.stderr)
        print(f"{self.folder}: {len(self.done)} pieces, {self.hours:.2f} h", file=sys.stderr)

    def skip(self, utterance: str, error: FaceVCError) -> None:
        """Says why an utterance gives no piece. It raises the error if many in a row give none: then all would fail."""
        print(f"failed  {utterance}: {error}", file=sys.stderr)
        self.failed_in_a_row += 1
        if self.failed_in_a_row == MOST_FAILURES:
            raise FaceVCError(f"{MOST_FAILURES} recordings in a row failed; the last one: {error}") from error

    @staticmethod
    def _describe(piece: Piece) -> str:
        if set(piece.utterance) & set(',"\n\r'):
            raise FaceVCError(f"utterance {piece.utterance!r}: expected a name without commas and quotes.")
        return f"{piece.utterance},{piece.split},{piece.first},{piece.frames},{int(piece.real)}"


class PieceStore:
    """Reads pieces of at least `crop` frames of one split, from memory-mapped files."""

    def __init__(self, folder: Path, split: str, crop: int):
        pieces = [p for p in read_index(folder) if p.split == split and p.frames >= crop]
        if not pieces:
            raise FaceVCError(
                f"{folder}: expected pieces of at least {crop} frames in the split {split!r}, found none. Make more "
                "pieces, or shorter crops."
            )
        self.folder, self.crop = folder, crop
        self.first = np.array([p.first for p in pieces])
        self.frames = np.array([p.frames for p in pieces])
        self.real = np.array([p.real for p in pieces], np.float32)
        self.files = {
            name: np.memmap(folder / name, kind, "r").reshape(-1, width) for name, (kind, width) in FILES.items()
        }

    def read(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draws a crop: log_mel (T, 80), teacher and real (T * 256,), and is_real. Longer pieces are drawn more often.

        All float32.
        """
        i = int(rng.choice(len(self.frames), p=self.frames / self.frames.sum()))
        start = int(self.first[i] + rng.integers(0, self.frames[i] - self.crop + 1))
        rows = {name: file[start : start + self.crop].astype(np.float32) for name, file in self.files.items()}
        return {
            "log_mel": rows["log_mel.f16"],
            "teacher": rows["teacher.i16"].reshape(-1) / LARGEST,
            "real": rows["real.i16"].reshape(-1) / LARGEST,
            "is_real": self.real[i],
        }


class CropBatches(Dataset):
    """`self[step]` is the batch of that step. It depends on the seed and the step alone.

    stores: each crop comes from the last one with probability `last_share`, else from one of the others.
    """

    def __init__(self, stores: list[PieceStore], batch_size: int, seed: int, last_share: float = 0.5):
        self.stores, self.batch_size, self.seed = stores, batch_size, seed
        others = len(stores) - 1
        self.shares = [(1 - last_share) / others] * others + [last_share] if others else [1.0]

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, step])
        chosen = rng.choice(len(self.stores), self.batch_size, p=self.shares)
        items = [self.stores[i].read(rng) for i in chosen]
        return {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]}


class PieceMaker:
    """Cuts one piece out of an utterance, and lets the teacher speak it."""

    def __init__(self, teacher: Vocoder, seed: int):
        self.teacher, self.seed = teacher, seed

    def choose_frames(self, utterance: str, frames: int) -> tuple[int, int]:
        """Draws the first frame, and one past the last; the same for the same utterance."""
        rng = np.random.default_rng([self.seed, zlib.crc32(utterance.encode())])
        start = int(rng.integers(0, max(1, frames - PIECE_FRAMES + 1)))
        return start, min(frames, start + PIECE_FRAMES)

    def cut_sound(self, utterance: str, wav: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A levelled waveform -> log-mel (T, 80), teacher's and real waveform (T * 256,) of one piece."""
        log_mel = compute_log_mel(wav, MEL)
        start, end = self.choose_frames(utterance, len(log_mel))
        real = np.zeros((end - start) * MEL.hop_samples, np.float32)
        heard = wav[start * MEL.hop_samples : end * MEL.hop_samples]
        real[: len(heard)] = heard
        return log_mel[start:end], self.speak(log_mel, start, end), real

    def speak(self, log_mel: np.ndarray, start: int, end: int) -> np.ndarray:
        """The teacher's waveform of the frames from start to end, as it is within the whole utterance."""
        context = self.teacher.context_frames or 0
        first = max(0, start - context)
        spoken = vocode_long(self.teacher, torch.from_numpy(log_mel[first : end + context])).numpy()
        return spoken[(start - first) * MEL.hop_samples : (end - first) * MEL.hop_samples]
