"""Lets the judges listen to files: each content once, remembered, a bad file listed and the rest heard."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from facevc_cli.errors import FaceVCError
from facevc_cli.io.audio import load_audio
from facevc_cli.metrics.cache import Cache, content_hash
from facevc_cli.metrics.conversion import Conversion
from facevc_cli.metrics.intelligibility import Recogniser, Transcript
from facevc_cli.metrics.judges import RESEMBLYZER, Judges, speaker_judge, speaker_judge_name
from facevc_cli.metrics.mel_cepstral_distortion import mel_cepstral_distortion, mel_cepstrum
from facevc_cli.metrics.naturalness import NaturalnessJudge
from facevc_cli.metrics.voices import JUDGE_RATE, Heard, listen
from facevc_cli.progress import Tally
from facevc_cli.runtime import default_jobs, parallel_map

FEW_FILES = 16  # up to here starting processes costs more than it gives
CACHE_VERSION = 2
CEPSTRA = 256  # of parallel recordings kept at a time: one is compared with a conversion of every system
BESIDE = " against "


def _hear(path: str, speaker: str) -> Heard:
    return listen(load_audio(path, JUDGE_RATE)[0], speaker_judge(speaker))


class Listening:
    """The judges' answers about files by path; what fails is told once to the tally and then left out everywhere."""

    def __init__(self, judges: Judges, folder: Path | None, tally: Tally, jobs: int = 0):
        self._judges, self._folder, self._tally, self._jobs = judges, folder, tally, jobs
        self._hashes: dict[str, str] = {}

    def voices(self, paths: Sequence[str]) -> dict[str, Heard]:
        """Embedding and pitch of every file that can be heard, by the speaker judge."""
        embedder = self._judges.embedder
        if embedder is None:
            return self._voices(paths, self._judges.name, partial(_hear, speaker=self._judges.speaker), self._tally)
        return self._voices(paths, self._judges.name, lambda path: listen(load_audio(path, JUDGE_RATE)[0], embedder), self._tally, 1)

    def dvectors(self, paths: Sequence[str]) -> dict[str, Heard]:
        """The same by Resemblyzer, whoever the speaker judge is, of files that were heard before: the tally counts them once."""
        return self._voices(paths, speaker_judge_name(RESEMBLYZER), partial(_hear, speaker=RESEMBLYZER), Tally(self._tally.reporter))

    def _voices(self, paths: Sequence[str], name: str, hear: Callable[[str], Heard], tally: Tally, jobs: int | None = None) -> dict[str, Heard]:
        cache = self._cache(f"voices-{name}")
        heard: dict[str, Heard] = {}
        waiting: dict[str, list[str]] = {}  # of one content the first is heard
        tally.reporter.begin(len(paths), "files", "listening")
        for path in paths:
            try:
                row = cache.get(self._hash(path))
            except FaceVCError as error:
                tally.fail(path, str(error))
                continue
            if row is None:
                waiting.setdefault(self._hash(path), []).append(path)
            else:
                heard[path] = Heard.from_row(row)
                tally.skip(path)
        jobs = jobs or (1 if len(waiting) <= FEW_FILES else self._jobs or default_jobs())
        for first, result, problem in parallel_map(hear, [alike[0] for alike in waiting.values()], jobs):
            if result is not None:
                cache.put(self._hash(first), result.to_row())
            for path in waiting[self._hash(first)]:
                if result is None:
                    tally.fail(path, str(problem))
                else:
                    heard[path] = result
                    tally.done(path)
        cache.save()
        return heard

    def _hash(self, path: str) -> str:
        if path not in self._hashes:
            self._hashes[path] = content_hash(path)
        return self._hashes[path]

    def scores(self, paths: Sequence[str], judge: NaturalnessJudge) -> dict[str, float]:
        """Predicted MOS by path."""

        def score(path: str) -> np.ndarray:
            return np.array([judge.score(load_audio(path, JUDGE_RATE)[0])], np.float32)

        found = self._each(paths, f"mos-{judge.name}", f"naturalness by {judge.name}", score, self._hash)
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
            return f"{self._hash(path)} {languages.get(path) or ''}"

        kind = f"texts-{recogniser.name}"
        sources = list(dict.fromkeys(c.source for c in conversions if c.source in heard))
        found = self._each(sources, kind, "reading sources", read, key)
        languages.update({c.converted: str(found[c.source][1]) for c in conversions if c.source in found})
        found |= self._each(
            list(dict.fromkeys(c.converted for c in conversions)), kind, "reading conversions", read, key
        )
        return {path: Transcript(str(row[0]), str(row[1])) for path, row in found.items()}

    def distortions(self, conversions: Sequence[Conversion]) -> dict[tuple[str, str], float]:
        """Mel-cepstral distortion in dB by (converted, parallel), where there is a parallel recording."""
        pairs = {f"{c.converted}{BESIDE}{c.parallel}": (c.converted, c.parallel) for c in conversions if c.parallel}
        if not pairs:
            return {}
        wanted = lru_cache(maxsize=CEPSTRA)(lambda path: mel_cepstrum(load_audio(path, JUDGE_RATE)[0]))

        def compare(name: str) -> np.ndarray:
            spoken, parallel = pairs[name]
            return np.array([mel_cepstral_distortion(mel_cepstrum(load_audio(spoken, JUDGE_RATE)[0]), wanted(parallel))])

        found = self._each(list(pairs), "mcd", "mel-cepstral distortion", compare, lambda name: " ".join(map(self._hash, pairs[name])))
        return {pairs[name]: float(row[0]) for name, row in found.items()}

    def _each(
        self, paths: Sequence[str], kind: str, what: str, ask: Callable[[str], np.ndarray], key: Callable[[str], str]
    ) -> dict[str, np.ndarray]:
        cache = self._cache(kind)
        found = {}
        self._tally.reporter.begin(len(paths), "files", what)
        for path in paths:
            try:
                row = cache.get(key(path))
                if row is None:
                    row = ask(path)
                    cache.put(key(path), row)
                    self._tally.reporter.advance(path)
                else:
                    self._tally.reporter.skip(path)
            except FaceVCError as error:
                self._tally.fail(path, str(error))
                continue
            found[path] = row
        cache.save()
        return found

    def _cache(self, kind: str) -> Cache:
        return Cache(self._folder / f"{kind}-v{CACHE_VERSION}.npz" if self._folder else None)
