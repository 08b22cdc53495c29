"""Made-up work for engines. Other processes import it, and what they share is in files."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import facevc_cli
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import SILENT, Reporter, Summary
from facevc_cli.corpus.extraction import ExtractionConfig, extract_into_store
from facevc_cli.corpus.store import Item
from facevc_cli.files.inputs import Input

IMPORT_PATH = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(facevc_cli.__file__).parents[1])])
Found = dict[int, tuple[int | None, str | None]]
EXPECTED: Found = {n: (None, f"{n} is odd") if n % 2 else (n // 2, None) for n in range(40)}


def half(number: int) -> int:
    if number % 2:
        raise FaceVCError(f"{number} is odd")
    return number // 2


def collect(found: object) -> Found:
    """(item, result, error) of a map -> by item, the error as text; each item must come once."""
    listed = [(item, result, error) for item, result, error in found]  # type: ignore[attr-defined]
    assert len({item for item, *_ in listed}) == len(listed)
    return {item: (result, None if error is None else str(error)) for item, result, error in listed}


@dataclass(frozen=True)
class Killer:
    """Twice the number; `poison` kills its process with a signal, `times` times at most."""

    folder: Path
    poison: int
    times: int = 1
    number: int = signal.SIGKILL

    def __call__(self, item: int) -> int:
        with open(self.folder / f"called-{item}", "a") as calls:
            calls.write("x")
        if item == self.poison and count_calls(self.folder, item) <= self.times:
            os.kill(os.getpid(), self.number)
        return 2 * item


def count_calls(folder: Path, item: int) -> int:
    path = folder / f"called-{item}"
    return len(path.read_text()) if path.exists() else 0


def name_cwd(_: int) -> tuple[str, int]:
    return os.getcwd(), os.getpid()


def rest_and_double(number: int) -> int:
    time.sleep(0.1)
    return 2 * number


@dataclass(frozen=True)
class FileKeeper:
    """Writes up to `size` results into one file, and refuses results of `refused`, as a full disk does."""

    folder: Path
    size: int = 3
    refused: int | None = None

    def is_full(self, results: Sequence[int]) -> bool:
        return len(results) >= self.size

    def write(self, results: Sequence[int]) -> None:
        if self.refused in results:
            raise FaceVCError("the disk is full")
        name = "-".join(map(str, results))
        (self.folder / f"kept-{name}").touch()


def list_kept(folder: Path) -> list[list[int]]:
    return sorted([int(n) for n in path.name.split("-")[1:]] for path in folder.glob("kept-*"))


def write_recordings(folder: Path, count: int) -> Path:
    """Files of a made-up sort: a line of text each, and one that cannot be used."""
    for n in range(count):
        path = folder / f"s{n % 3}" / f"u{n:03}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{n}" if n != 4 else "nothing")
    return folder


def measure(source: Input) -> Item:
    """Random numbers that depend on what the file says."""
    text = source.path.read_text().strip()
    if text == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if not text.isdigit():
        raise FaceVCError(f"{source.path}: expected a number, found {text}.")
    drawn = np.random.default_rng(int(text))
    frames = {"mel": drawn.random((int(text) % 5 + 1, 4), np.float32)}
    return Item(source.id, source.speaker, frames, {"voice": drawn.random(3, np.float32)}, {"seconds": int(text) / 7})


def extract(sources: Path, output: Path, reporter: Reporter = SILENT, **settings: object) -> Summary:
    """A stage that extracts these numbers."""
    return extract_into_store(
        ExtractionConfig(sources=(sources,), output=output, **settings),  # type: ignore[arg-type]
        stage="measure",
        suffixes=frozenset({".wav"}),
        settings={"version": 1},
        extract=measure,
        reporter=reporter,
        next_command="",
    )


def read_content_hash(store: Path) -> str:
    import h5py

    with h5py.File(store) as file:
        return str(file.attrs["content_sha256"])
