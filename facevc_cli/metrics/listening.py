"""Lets the judges listen to files: each content once, remembered, a bad file listed and the rest heard."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from facevc_cli.errors import FaceVCError
from facevc_cli.features.voice import VoiceEmbedder, embedder_version
from facevc_cli.io.audio import load_audio
from facevc_cli.metrics.cache import Cache, content_hash
from facevc_cli.metrics.conversion import Conversion
from facevc_cli.metrics.gender import GenderJudge, PitchGenderJudge, packaged_judge
from facevc_cli.metrics.intelligibility import Recogniser, Transcript
from facevc_cli.metrics.naturalness import NaturalnessJudge
from facevc_cli.metrics.voices import JUDGE_RATE, Embedder, Heard, listen
from facevc_cli.progress import Tally
from facevc_cli.runtime import default_jobs, parallel_map

FEW_FILES = 16  # up to here starting processes costs more than it gives
CACHE_VERSION = 1


@dataclass(frozen=True)
class Judges:
    """Who listens. embedder None: Resemblyzer, loaded in each process. name: the embedder's, under which rows are remembered."""

    embedder: Embedder | None = None
    name: str = field(default_factory=lambda: f"resemblyzer-{embedder_version()}")
    gender: GenderJudge = field(default_factory=lambda: packaged_judge() or PitchGenderJudge())
    recogniser: Recogniser | None = None
    naturalness: NaturalnessJudge | None = None


@lru_cache(maxsize=1)
def _resemblyzer() -> VoiceEmbedder:
    return VoiceEmbedder("cpu")


def _hear_file(path: str) -> Heard:
    return listen(load_audio(path, JUDGE_RATE)[0], _resemblyzer())


class Listening:
    """The judges' answers about files by path; what fails is told once to the tally and then left out everywhere."""

    def __init__(self, judges: Judges, folder: Path | None, tally: Tally, jobs: int = 0):
        self._judges, self._folder, self._tally, self._jobs = judges, folder, tally, jobs
        self._hashes: dict[str, str] = {}

    def voices(self, paths: Sequence[str]) -> dict[str, Heard]:
        """d-vector and pitch of every file that can be heard."""
        cache = self._cache(f"voices-{self._judges.name}")
        heard: dict[str, Heard] = {}
        waiting: list[str] = []
        self._tally.reporter.begin(len(paths), "files", "listening")
        for path in paths:
            try:
                self._hashes[path] = content_hash(path)
            except FaceVCError as error:
                self._tally.fail(path, str(error))
                continue
            row = cache.get(self._hashes[path])
            if row is None:
                waiting.append(path)
            else:
                heard[path] = Heard.from_row(row)
                self._tally.skip(path)
        embedder = self._judges.embedder
        jobs = 1 if embedder is not None or len(waiting) <= FEW_FILES else self._jobs or default_jobs()
        hear = _hear_file if embedder is None else lambda path: listen(load_audio(path, JUDGE_RATE)[0], embedder)
        for path, result, problem in parallel_map(hear, waiting, jobs):
            if result is None:
                self._tally.fail(path, str(problem))
                continue
            heard[path] = result
            cache.put(self._hashes[path], result.to_row())
            self._tally.done(path)
        cache.save()
        return heard

    def scores(self, paths: Sequence[str], judge: NaturalnessJudge) -> dict[str, float]:
        """Predicted MOS by path."""

        def score(path: str) -> np.ndarray:
            return np.array([judge.score(load_audio(path, JUDGE_RATE)[0])], np.float32)

        found = self._each(paths, f"mos-{judge.name}", "naturalness", score, lambda path: self._hashes[path])
        return {path: float(row[0]) for path, row in found.items()}

    def texts(
        self, conversions: Sequence[Conversion], heard: Mapping[str, Heard], recogniser: Recogniser
    ) -> dict[str, Transcript]:
        """Transcripts by path of what was heard: sources first, so that a conversion is read in its source's language."""
        languages: dict[str, str | None] = {}

        def read(path: str) -> np.ndarray:
            text = recogniser.transcribe(load_audio(path, JUDGE_RATE)[0], languages.get(path))
            return np.array([text.text, text.language])

        def key(path: str) -> str:
            return f"{self._hashes[path]} {languages.get(path) or ''}"

        kind = f"texts-{recogniser.name}"
        sources = list(dict.fromkeys(c.source for c in conversions if c.source in heard))
        found = self._each(sources, kind, "reading sources", read, key)
        languages.update({c.converted: str(found[c.source][1]) for c in conversions if c.source in found})
        found |= self._each(
            list(dict.fromkeys(c.converted for c in conversions)), kind, "reading conversions", read, key
        )
        return {path: Transcript(str(row[0]), str(row[1])) for path, row in found.items()}

    def _each(
        self, paths: Sequence[str], kind: str, what: str, ask: Callable[[str], np.ndarray], key: Callable[[str], str]
    ) -> dict[str, np.ndarray]:
        cache = self._cache(kind)
        found = {}
        self._tally.reporter.begin(len(paths), "files", what)
        for path in paths:
            row = cache.get(key(path))
            if row is None:
                try:
                    row = ask(path)
                except FaceVCError as error:
                    self._tally.fail(path, str(error))
                    continue
                cache.put(key(path), row)
                self._tally.reporter.advance(path)
            else:
                self._tally.reporter.skip(path)
            found[path] = row
        cache.save()
        return found

    def _cache(self, kind: str) -> Cache:
        return Cache(self._folder / f"{kind}-v{CACHE_VERSION}.npz" if self._folder else None)
