"""Ask the judges about files.

Each content is judged once and cached, in several processes. A bad file is listed, and the rest go on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from facevc_cli.core.engines.base import Engine, Pool
from facevc_cli.core.engines.local import LocalEngine, LocalPool
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import Tally
from facevc_cli.evaluation.cache import Cache
from facevc_cli.evaluation.judges import OWN_JUDGES, RESEMBLYZER, Judges, load_speaker_judge, name_speaker_judge
from facevc_cli.evaluation.lending import borrow, lend, uses_accelerator
from facevc_cli.evaluation.metrics.intelligibility import Recogniser, Transcript
from facevc_cli.evaluation.metrics.mel_cepstral_distortion import (
    compute_distortion,
    compute_mel_cepstrum,
    is_distortion_available,
)
from facevc_cli.evaluation.metrics.naturalness import NaturalnessJudge
from facevc_cli.evaluation.metrics.voices import JUDGE_RATE, Embedder, HeardVoice, listen
from facevc_cli.files.audio import load_audio
from facevc_cli.files.hashes import hash_file
from facevc_cli.manifest.conversion import Conversion

FEW_FILES = 16  # up to this number, starting processes costs more than it saves
FILES_EACH = 8  # files per process at least, because a process loads its judge for seconds
CACHE_VERSION = 2
CEPSTRA = 256  # parallel recordings in memory; each is compared with a conversion of every system
BESIDE = " against "


@dataclass(frozen=True)
class _Question:
    """A question to a judge about files. kind: names the cache. what: shown as progress.

    ask: (judge, details of a file) -> the answer, a row of numbers or texts. key: file name -> key in the cache.
    """

    kind: str
    what: str
    ask: Callable[[Any, Any], np.ndarray]
    judge: Any
    key: Callable[[str], str]

    def lend(self) -> Any:
        """What other processes get in place of the judge. None if it must stay in this process."""
        if isinstance(self.judge, str):  # a name: each process loads the judge itself
            return (
                None
                if self.judge not in OWN_JUDGES and uses_accelerator(load_speaker_judge(self.judge))
                else self.judge
            )
        return lend(self.judge)


class _Distortions:
    """Compare pairs of recordings, and keep the cepstra of parallel ones."""

    made_with = ()

    def __init__(self) -> None:
        self._parallel = lru_cache(maxsize=CEPSTRA)(lambda path: compute_mel_cepstrum(load_audio(path, JUDGE_RATE)[0]))

    def compare(self, converted: str, parallel: str) -> float:
        return compute_distortion(compute_mel_cepstrum(load_audio(converted, JUDGE_RATE)[0]), self._parallel(parallel))


def _hear(judge: Any, path: str) -> np.ndarray:
    return listen(load_audio(path, JUDGE_RATE)[0], _borrow_speaker_judge(judge)).to_row()


def _embed(judge: Any, path: str) -> np.ndarray:
    return np.asarray(_borrow_speaker_judge(judge).embed(load_audio(path, JUDGE_RATE)[0]), np.float32)


def _borrow_speaker_judge(judge: Any) -> Embedder:
    return load_speaker_judge(judge) if isinstance(judge, str) else borrow(judge)


def _score(judge: Any, path: str) -> np.ndarray:
    return np.array([borrow(judge).score(load_audio(path, JUDGE_RATE)[0])], np.float32)


def _read(judge: Any, asked: tuple[str, str | None]) -> np.ndarray:
    text = borrow(judge).transcribe(load_audio(asked[0], JUDGE_RATE)[0], asked[1])
    return np.array([text.text, text.language])


def _compare(judge: Any, asked: tuple[str, str]) -> np.ndarray:
    return np.array([borrow(judge).compare(*asked)])


def _answer(ask: Callable[[Any, Any], np.ndarray], judge: Any, what: str, asked: tuple[str, Any]) -> np.ndarray:
    try:
        return ask(judge, asked[1])
    except FaceVCError:
        raise
    except Exception as error:  # a judge's library may raise anything; one recording must not stop the others
        raise FaceVCError(f"{what} failed on this recording ({type(error).__name__}: {error}).") from error


class JudgeAnswers:
    """The judges' answers about files, by path.

    A file that fails is reported once to the tally and then left out everywhere.

    jobs: number of processes, 0 for one per CPU. They share the CPUs, and each loads the judge once. A judge that
    cannot be made in another process (see `lending`) is asked in this one. engine: where the processes are; it stays
    open.
    """

    def __init__(self, judges: Judges, folder: Path | None, tally: Tally, jobs: int = 0, engine: Engine | None = None):
        self._judges, self._folder, self._tally, self._jobs = judges, folder, tally, jobs
        self._engine = engine or LocalEngine()
        self._hashes: dict[str, str] = {}
        self._caches: dict[str, Cache] = {}

    def hear_voices(self, paths: Sequence[str]) -> dict[str, HeardVoice]:
        """Hear every readable file with the speaker judge: embedding and pitch by path."""
        question = self._ask_speaker_judge()
        with self._make_workers(question, len(paths)) as workers:
            return self._hear_voices(paths, question, workers, self._tally)

    def hear_all_voices(self, paths: Sequence[str]) -> tuple[dict[str, HeardVoice], dict[str, dict[str, HeardVoice]]]:
        """Hear every readable file with the speaker judge, then with the independent ones, in the same processes.

        Returns voices by path, and by judge and path. The pitch is measured once.
        """
        question = self._ask_speaker_judge()
        with self._make_workers(question, len(paths)) as workers:
            voices = self._hear_voices(paths, question, workers, self._tally)
            independent = {}
            for name, judge in self._judges.independent.items():
                question = _Question(
                    f"embeddings-{name_speaker_judge(name)}",
                    f"listening by {name}",
                    _embed,
                    name if judge is None else judge,
                    self._hash,
                )
                rows = self._ask_each({path: path for path in voices}, question, workers)
                independent[name] = {path: replace(voices[path], embedding=row) for path, row in rows.items()}
        return voices, independent

    def hear_dvectors(self, paths: Sequence[str]) -> dict[str, HeardVoice]:
        """Hear files with Resemblyzer, whatever the speaker judge is.

        They were heard before, so the tally does not count them again.
        """
        question = self._ask_voices(name_speaker_judge(RESEMBLYZER), RESEMBLYZER)
        with self._make_workers(question, len(paths)) as workers:
            return self._hear_voices(paths, question, workers, Tally(self._tally.reporter))

    def _ask_speaker_judge(self) -> _Question:
        judges = self._judges
        return self._ask_voices(judges.name, judges.speaker if judges.embedder is None else judges.embedder)

    def _ask_voices(self, name: str, judge: Any) -> _Question:
        return _Question(f"voices-{name}", "listening", _hear, judge, self._hash)

    def _hear_voices(
        self, paths: Sequence[str], question: _Question, workers: Pool, tally: Tally
    ) -> dict[str, HeardVoice]:
        rows = self._ask_each({path: path for path in paths}, question, workers, tally)
        return {path: HeardVoice.from_row(row) for path, row in rows.items()}

    def score_naturalness(self, paths: Sequence[str], judge: NaturalnessJudge) -> dict[str, float]:
        """Predict the MOS of each path."""
        question = _Question(f"mos-{judge.name}", f"naturalness by {judge.name}", _score, judge, self._hash)
        with self._make_workers(question, len(paths)) as workers:
            rows = self._ask_each({path: path for path in paths}, question, workers)
        return {path: float(row[0]) for path, row in rows.items()}

    def transcribe(
        self, conversions: Sequence[Conversion], heard: Mapping[str, HeardVoice], recogniser: Recogniser
    ) -> dict[str, Transcript]:
        """Transcribe each path. Sources come first, so that a conversion is transcribed in its source's language."""
        languages: dict[str, str | None] = {}

        def make_key(path: str) -> str:
            return f"{self._hash(path)} {languages.get(path) or ''}"

        kind = f"texts-{recogniser.name}"
        sources = list(dict.fromkeys(c.source for c in conversions if c.source in heard))
        converted = list(dict.fromkeys(c.converted for c in conversions))
        question = _Question(kind, "reading sources", _read, recogniser, make_key)
        with self._make_workers(question, len(sources) + len(converted)) as workers:
            rows = self._ask_each({path: (path, None) for path in sources}, question, workers)
            for path, row in rows.items():  # an unchanged source among the conversions has the same text
                self._open_cache(kind).put_if_absent(f"{self._hash(path)} {row[1]}", row)
            languages.update({c.converted: str(rows[c.source][1]) for c in conversions if c.source in rows})
            question = _Question(kind, "reading conversions", _read, recogniser, make_key)
            rows |= self._ask_each({path: (path, languages.get(path)) for path in converted}, question, workers)
        return {path: Transcript(str(row[0]), str(row[1])) for path, row in rows.items()}

    def measure_distortions(self, conversions: Sequence[Conversion]) -> dict[tuple[str, str], float]:
        """Measure the mel-cepstral distortion in dB by (converted, parallel). Empty without librosa."""
        pairs = {f"{c.converted}{BESIDE}{c.parallel}": (c.converted, c.parallel) for c in conversions if c.parallel}
        if not pairs or not is_distortion_available():
            return {}
        question = _Question(
            "mcd",
            "mel-cepstral distortion",
            _compare,
            _Distortions(),
            lambda name: " ".join(map(self._hash, pairs[name])),
        )
        with self._make_workers(question, len(pairs)) as workers:
            rows = self._ask_each(pairs, question, workers)
        return {pairs[name]: float(row[0]) for name, row in rows.items()}

    def _ask_each(
        self, asked: Mapping[str, Any], question: _Question, workers: Pool, heard: Tally | None = None
    ) -> dict[str, np.ndarray]:
        """Return the answers by name, in the order of `asked` (name -> details of a file).

        heard: a tally that counts them.
        """
        tally = heard or self._tally
        done, skip = (tally.complete, tally.skip) if heard else (tally.reporter.advance, tally.reporter.skip)
        cache, failed_before = self._open_cache(question.kind), len(tally.failures)
        rows: dict[str, np.ndarray] = {}
        waiting: dict[str, list[str]] = {}  # names by content; only the first is judged
        tally.reporter.begin(len(asked), "files", question.what)
        for name in asked:
            try:
                key = question.key(name)
            except FaceVCError as error:
                tally.fail(name, str(error))
                continue
            if (row := cache.get(key)) is None:
                waiting.setdefault(key, []).append(name)
            else:
                rows[name] = row
                skip(name)
        lent = None if len(waiting) <= FEW_FILES or workers.jobs == 1 else question.lend()
        answer = partial(_answer, question.ask, question.judge if lent is None else lent, question.what)
        try:
            pool: Pool = LocalPool(1) if lent is None else workers
            found = pool.map(answer, [(key, asked[alike[0]]) for key, alike in waiting.items()])
            for (key, _), row, problem in found:
                if row is not None:
                    cache.put(key, row)
                for name in waiting[key]:
                    if row is None:
                        tally.fail(name, str(problem))
                    else:
                        rows[name] = row
                        done(name)
        finally:  # an interrupted run keeps its answers
            cache.save()
        place = {name: i for i, name in enumerate(asked)}
        tally.failures[failed_before:] = sorted(tally.failures[failed_before:], key=lambda failure: place[failure[0]])
        return {name: rows[name] for name in asked if name in rows}

    def _make_workers(self, question: _Question, files: int) -> Pool:
        """Make workers for at most `files` files. The processes start when they are needed."""
        if files <= FEW_FILES or question.lend() is None:
            return LocalPool(1)
        cpus = self._engine.count_cpus()
        jobs = min(self._jobs or cpus, -(-files // FILES_EACH))
        is_here = self._engine.name == LocalEngine.name  # on a cluster the CPUs are of many machines
        return self._engine.open_pool(jobs, threads=max(1, cpus // jobs) if is_here else 1)

    def _hash(self, path: str) -> str:
        if path not in self._hashes:
            self._hashes[path] = hash_file(path, "Convert it again, or take its row out of the table.")
        return self._hashes[path]

    def _open_cache(self, kind: str) -> Cache:
        if kind not in self._caches:
            self._caches[kind] = Cache(self._folder / f"{kind}-v{CACHE_VERSION}.npz" if self._folder else None)
        return self._caches[kind]
