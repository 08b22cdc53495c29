"""Reads and places the faces and voices of a list, each file once.

Embeddings are cached by the files' content, and so serve every model that takes them. Crops and log-mels are large.
Each is placed at once, and the place is cached, which serves the same model alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import Tally
from facevc_cli.core.tuning import count_usable_cpus
from facevc_cli.core.workers import Workers
from facevc_cli.evaluation.cache import Cache
from facevc_cli.families.matching import Matcher
from facevc_cli.families.reading import FaceReader, VoiceReader
from facevc_cli.files.hashes import hash_file

if TYPE_CHECKING:
    from facevc_cli.faces.analyser import FaceAnalyser
    from facevc_cli.voices.dvector import VoiceEmbedder

FEW_FILES = 16  # up to this number, starting processes costs more than it saves


@dataclass(frozen=True)
class _FaceQuestion:
    reader: FaceReader

    def __call__(self, path: str) -> np.ndarray:
        return self.reader.read(load_analyser(self.reader), path)


@dataclass(frozen=True)
class _VoiceQuestion:
    reader: VoiceReader

    def __call__(self, path: str) -> np.ndarray:
        return self.reader.read(load_voice_embedder(self.reader), path)


@lru_cache(maxsize=2)
def load_analyser(reader: FaceReader) -> "FaceAnalyser":
    """Loads the networks that look at faces, once in each process."""
    return reader.load()


@lru_cache(maxsize=2)
def load_voice_embedder(reader: VoiceReader) -> "VoiceEmbedder | None":
    """Loads the network that hears voices, once in each process."""
    return reader.load()


class FilePlacer:
    """The places of files by their names in the list. A file that fails is reported once, and is left out."""

    def __init__(self, paths: Mapping[str, Path], folder: Path | None, tally: Tally, jobs: int = 0):
        self._paths, self._folder, self._tally = paths, folder, tally
        self._jobs = jobs or count_usable_cpus()
        self._hashes: dict[str, str] = {}
        self._found: dict[str, dict[str, np.ndarray]] = {}  # by what was asked
        self._failed: set[str] = set()

    def read_faces(self, names: Iterable[str], reader: FaceReader) -> dict[str, np.ndarray]:
        """Reads the faces in pictures without placing them: their embeddings (face_dim,), if the reader gives these."""
        return self._ask(list(names), "faces", _FaceQuestion(reader), f"face-{reader.fingerprint}", lambda row: row)

    def read_voices(self, names: Iterable[str], reader: VoiceReader) -> dict[str, np.ndarray]:
        """Reads the voices in recordings, without placing them: their d-vectors (256,), if the reader gives these."""
        return self._ask(list(names), "voices", _VoiceQuestion(reader), f"voice-{reader.fingerprint}", lambda row: row)

    def place_faces(self, names: Iterable[str], matcher: Matcher) -> dict[str, np.ndarray]:
        """Places the faces in pictures with a model: (D,) each."""
        reader = matcher.face_reader
        kind, question = f"face-{reader.fingerprint}", _FaceQuestion(reader)
        return self._place(list(names), "faces", question, kind, reader.reads_crops, matcher.place_faces, matcher)

    def place_voices(self, names: Iterable[str], matcher: Matcher) -> dict[str, np.ndarray]:
        """Places the voices in recordings with a model: (D,) each."""
        reader = matcher.voice_reader
        kind, question = f"voice-{reader.fingerprint}", _VoiceQuestion(reader)
        large = reader.frontend is not None
        return self._place(list(names), "voices", question, kind, large, matcher.place_voices, matcher)

    def _place(
        self,
        names: Sequence[str],
        unit: str,
        ask: Callable[[str], np.ndarray],
        kind: str,
        large: bool,
        place: Callable[[np.ndarray], np.ndarray],
        matcher: Matcher,
    ) -> dict[str, np.ndarray]:
        if large:
            kind = f"place-{kind}-{matcher.checkpoint.weights_sha256[:16]}"
            return self._ask(names, unit, ask, kind, lambda row: place(row[None])[0])
        rows = self._ask(names, unit, ask, kind, lambda row: row)
        return dict(zip(rows, place(np.stack(list(rows.values()))), strict=True)) if rows else {}

    def _ask(
        self,
        names: Sequence[str],
        unit: str,
        ask: Callable[[str], np.ndarray],
        kind: str,
        keep: Callable[[np.ndarray], np.ndarray],
    ) -> dict[str, np.ndarray]:
        """Asks about each file, and returns what is kept of the answers: (D,) each."""
        if kind in self._found:
            return self._found[kind]
        cache = Cache(None if self._folder is None else self._folder / f"association-{kind}.npz")
        keys = {name: key for name in names if (key := self._hash(name))}
        waiting = {key: name for name, key in keys.items() if cache.get(key) is None}
        of_path = {str(self._paths[name]): (name, key) for key, name in waiting.items()}
        self._tally.reporter.begin(len(of_path), unit, "reading")
        with Workers(1 if len(of_path) <= FEW_FILES else self._jobs) as workers:
            for path, row, error in workers.map(ask, list(of_path), outlive=True):
                name, key = of_path[path]
                if row is None:
                    self._fail(name, str(error))
                    continue
                cache.put(key, np.asarray(keep(row), np.float32))
                self._tally.complete(name)
        cache.save()
        self._found[kind] = {name: row for name, key in keys.items() if (row := cache.get(key)) is not None}
        return self._found[kind]

    def _hash(self, name: str) -> str:
        """The hash of a file's content, or '' if it cannot be read, which is a failure."""
        if name not in self._hashes:
            try:
                self._hashes[name] = hash_file(self._paths[name])
            except FaceVCError as error:
                self._fail(name, str(error))
                self._hashes[name] = ""
        return self._hashes[name]

    def _fail(self, name: str, reason: str) -> None:
        if name not in self._failed:
            self._failed.add(name)
            self._tally.fail(name, reason)
