"""Embeds the faces and voices of a list, each file once. The embeddings are cached by the files' content."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import Tally
from facevc_cli.core.tuning import count_usable_cpus
from facevc_cli.core.workers import Workers
from facevc_cli.corpus.store import hash_settings
from facevc_cli.evaluation.cache import Cache
from facevc_cli.faces.analyser import FaceAnalyser, make_analyser
from facevc_cli.files.audio import load_audio
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.image import load_image
from facevc_cli.voices.dvector import EMBEDDER_VERSION, VOICE_RATE, VoiceEmbedder

FEW_FILES = 16  # up to this number, starting processes costs more than it saves


@dataclass(frozen=True)
class _FaceQuestion:
    """Embeds a picture's face. settings: of the face embedder, as sorted pairs."""

    settings: tuple[tuple[str, Any], ...]

    def __call__(self, path: str) -> np.ndarray:
        return load_analyser(self.settings).analyse(load_image(path)).embedding


def _embed_voice(path: str) -> np.ndarray:
    return load_voice_embedder().embed(load_audio(path, VOICE_RATE)[0])


@lru_cache(maxsize=2)
def load_analyser(settings: tuple[tuple[str, Any], ...]) -> FaceAnalyser:
    """Loads the networks that look at faces, once in each process."""
    return make_analyser(dict(settings))


@lru_cache(maxsize=1)
def load_voice_embedder() -> VoiceEmbedder:
    """Loads the network that hears voices, once in each process."""
    return VoiceEmbedder("cpu")


class FileEmbedder:
    """The embeddings of files by their names in the list. A file that fails is reported once, and is left out."""

    def __init__(self, paths: Mapping[str, Path], folder: Path | None, tally: Tally, jobs: int = 0):
        self._paths, self._folder, self._tally = paths, folder, tally
        self._jobs = jobs or count_usable_cpus()
        self._hashes: dict[str, str] = {}

    def embed_faces(self, names: Iterable[str], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
        question = _FaceQuestion(tuple(sorted(settings.items())))
        return self._ask(list(names), "faces", question, f"association-face-{hash_settings(settings)}")

    def embed_voices(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        return self._ask(list(names), "voices", _embed_voice, f"association-voice-{EMBEDDER_VERSION}")

    def _ask(
        self, names: Sequence[str], unit: str, ask: Callable[[str], np.ndarray], kind: str
    ) -> dict[str, np.ndarray]:
        cache = Cache(None if self._folder is None else self._folder / f"{kind}.npz")
        keys = {name: key for name in names if (key := self._hash(name))}
        waiting = {key: name for name, key in keys.items() if cache.get(key) is None}
        of_path = {str(self._paths[name]): (name, key) for key, name in waiting.items()}
        self._tally.reporter.begin(len(of_path), unit, "embedding")
        with Workers(1 if len(of_path) <= FEW_FILES else self._jobs) as workers:
            for path, row, error in workers.map(ask, list(of_path), outlive=True):
                name, key = of_path[path]
                if row is None:
                    self._tally.fail(name, str(error))
                    continue
                cache.put(key, np.asarray(row, np.float32))
                self._tally.complete(name)
        cache.save()
        return {name: row for name, key in keys.items() if (row := cache.get(key)) is not None}

    def _hash(self, name: str) -> str:
        """The hash of a file's content, or '' if it cannot be read, which is a failure."""
        if name not in self._hashes:
            try:
                self._hashes[name] = hash_file(self._paths[name])
            except FaceVCError as error:
                self._tally.fail(name, str(error))
                self._hashes[name] = ""
        return self._hashes[name]
