"""Many conversions: sources are heard ahead and results written behind, in threads, while the network works; errors stay with their item."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from itertools import groupby
from pathlib import Path

import numpy as np

from facevc_cli.batch.jobs import Job
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.resolver import VoiceResolver
from facevc_cli.conversion.speech import Source, SpeechFeatures
from facevc_cli.conversion.voice import Target
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.memory import report_memory_errors
from facevc_cli.core.stopping import check_stop, finish_in_hand, is_dropping, stop_requested
from facevc_cli.core.tuning import count_usable_cpus, single_threaded_pool, use_one_thread

GPU_BATCH = 16
GPU_HEARERS = 8  # there the network waits for the sources
BATCH_FRAMES = 30_000  # of log-mel, six minutes: what a batch may hold besides its first
WRITES_AHEAD, WRITES_AHEAD_S = 4, 600.0

Save = Callable[[Job, np.ndarray], None]  # wav (n,) -> the job's file
Ears = SpeechFeatures | Source | FaceVCError
Listen = Callable[[Path], SpeechFeatures | Source]
Finish = Callable[[Job, float, FaceVCError | None], None]  # seconds of sound, and what went wrong


def convert_jobs(jobs: Sequence[Job], converter: Converter, resolver: VoiceResolver, save: Save, finish: Finish, batch_size: int | None = None) -> None:
    """Makes each job's file and says so, in the order of the jobs; those of one source stand together.

    batch_size: how many conversions go through the network at once; None: 1 on a processor, where more do not pay, else 16. `save` runs
    in another thread. What is being written is finished, and told of, before any exception leaves, the first Ctrl-C included; the second leaves it.
    """
    on_cpu = converter.device.type == "cpu"
    groups = [(source, list(same)) for source, same in groupby(jobs, key=lambda job: job.source)]
    windows_side_by_side = converter.vocoder.side_by_side > 1  # they fill the processors without a team of threads
    with use_one_thread() if windows_side_by_side else nullcontext(), _pool(1, "write") as writer:
        behind = _Behind(writer, save, finish, converter.rate)
        hearers = 1 if on_cpu else min(GPU_HEARERS, count_usable_cpus())
        listen: Listen = converter.analyse if on_cpu else converter.hear  # a GPU's network is for one thread
        speaking: list[_Prepared] = []  # the batch at hand
        with _ahead(listen, [source for source, _ in groups], hearers) as heard, finish_in_hand(lambda: len(speaking) + len(behind.waiting)):
            try:
                for batch in _batches(_prepared(groups, heard, converter, resolver), batch_size or (1 if on_cpu else GPU_BATCH)):
                    speaking[:] = batch
                    for job, result in _spoken(batch, converter):
                        speaking.pop()
                        behind.put(job, result)
                    check_stop()
                behind.finish_all()
            except BaseException:
                with suppress(FaceVCError):  # one is on its way already
                    behind.finish_all()
                raise


_Prepared = tuple[Job, tuple[Source, Target] | FaceVCError]


def _prepared(groups: Sequence[tuple[Path, list[Job]]], heard: Iterator[Ears], converter: Converter, resolver: VoiceResolver) -> Iterator[_Prepared]:
    """Each job with its source and its target, or with what is wrong with one of them."""
    for (_, jobs), ears in zip(groups, heard, strict=True):
        source: Source | None = None
        for job in jobs:
            try:
                with report_memory_errors():
                    target = resolver.resolve(job.voice_spec)
                    if isinstance(ears, FaceVCError):
                        raise ears
                    source = source or (ears if isinstance(ears, Source) else converter.encode(ears))
            except FaceVCError as error:
                yield job, error
            else:
                yield job, (source, target)


def _batches(prepared: Iterable[_Prepared], size: int) -> Iterator[list[_Prepared]]:
    """Up to `size` at once that can be converted, fewer where they are long; those that cannot go with them, in their order."""
    batch: list[_Prepared] = []
    count = frames = 0
    for job, given in prepared:
        here = 0 if isinstance(given, FaceVCError) else given[0].lf0.shape[1]
        if count and frames + here > BATCH_FRAMES:
            yield batch
            batch, count, frames = [], 0, 0
        batch.append((job, given))
        count, frames = count + bool(here), frames + here
        if count in (0, size):  # what failed is told at once where nothing before it waits
            yield batch
            batch, count, frames = [], 0, 0
    if batch:
        yield batch


def _spoken(batch: Sequence[_Prepared], converter: Converter) -> Iterator[tuple[Job, np.ndarray | FaceVCError]]:
    pairs = [given for _, given in batch if not isinstance(given, FaceVCError)]
    try:
        with report_memory_errors():
            wavs: Iterator[np.ndarray | FaceVCError] = iter(converter.speak_many(pairs) if pairs else [])
    except FaceVCError:  # of one of them: which, each alone will tell
        wavs = (_alone(converter, *pair) for pair in pairs)
    for job, given in batch:
        yield job, given if isinstance(given, FaceVCError) else next(wavs)


def _alone(converter: Converter, source: Source, target: Target) -> np.ndarray | FaceVCError:
    try:
        with report_memory_errors():
            return converter.speak(source, target)
    except FaceVCError as error:
        return error


@contextmanager
def _ahead(listen: Listen, sources: Sequence[Path], threads: int) -> Iterator[Iterator[Ears]]:
    """`listen` of each in order, done by threads beforehand: as many as there are threads."""

    def attempt(source: Path) -> Ears:
        try:
            with report_memory_errors(str(source)):
                return listen(source)
        except FaceVCError as error:
            return error

    def results() -> Iterator[Ears]:
        waiting: deque[Future[Ears]] = deque()
        following = iter(sources)
        while True:
            while len(waiting) < threads and (source := next(following, None)) is not None:
                waiting.append(pool.submit(attempt, source))
            if not waiting:
                return
            done = waiting.popleft().result()
            if (source := next(following, None)) is not None:
                waiting.append(pool.submit(attempt, source))
            yield done

    with _pool(threads, "hear") as pool:
        yield results()


@contextmanager
def _pool(threads: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Lone threads, which are waited for at the end unless the user waits for the process to stop."""
    pool = single_threaded_pool(threads, name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=not stop_requested(), cancel_futures=True)


class _Behind:
    """Results on their way to the disk, in order; `finish` hears of each in this thread."""

    def __init__(self, writer: ThreadPoolExecutor, save: Save, finish: Finish, rate: int):
        self.writer, self.save, self.finish, self.rate = writer, save, finish, rate
        self.waiting: deque[tuple[Job, float, Future[None] | FaceVCError]] = deque()

    def put(self, job: Job, result: np.ndarray | FaceVCError) -> None:
        if isinstance(result, FaceVCError):
            self.waiting.append((job, 0.0, result))
            self.finish_all()  # told before anything else begins: `finish` may want to stop here
            return
        self.waiting.append((job, len(result) / self.rate, self.writer.submit(self._save, job, result)))
        while self.waiting and self._ready():
            self._finish_first()

    def finish_all(self) -> None:
        """Waits for all, or where what is in hand is dropped, for what is written already."""
        while self.waiting and (self._ready() or not is_dropping()):
            self._finish_first()

    def _save(self, job: Job, result: np.ndarray) -> None:
        with report_memory_errors(job.relative):
            self.save(job, result)

    def _ready(self) -> bool:
        """Whether the first is done, or must be waited for lest too much piles up."""
        first = self.waiting[0][2]
        if is_dropping():
            return isinstance(first, FaceVCError) or first.done()
        too_much = len(self.waiting) > WRITES_AHEAD or sum(seconds for _, seconds, _ in self.waiting) > WRITES_AHEAD_S
        return too_much or isinstance(first, FaceVCError) or first.done()

    def _finish_first(self) -> None:
        job, seconds, outcome = self.waiting[0]
        error = outcome if isinstance(outcome, FaceVCError) else None
        if not isinstance(outcome, FaceVCError):
            try:
                outcome.result()
            except FaceVCError as failure:
                error = failure
        self.waiting.popleft()
        self.finish(job, seconds, error)
