"""Converts many jobs.

Threads load sources ahead and write results behind, while the network works. An error ends only its own job.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from itertools import groupby

import numpy as np

from facevc_cli.batch.jobs import Job
from facevc_cli.batch.utterance import FittedUtterance
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.recordings import Recording, load_recording
from facevc_cli.conversion.resolver import VoiceResolver
from facevc_cli.conversion.sketch import sketch_voice
from facevc_cli.conversion.speech import Source, SpeechFeatures
from facevc_cli.conversion.voice import Target
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.memory import report_memory_errors
from facevc_cli.core.stopping import check_stop, finish_in_hand, is_dropping, stop_requested
from facevc_cli.core.tuning import count_usable_cpus, single_threaded_pool, use_one_thread

GPU_BATCH = 16
GPU_LOADERS = 8  # on a GPU the network waits for the sources
BATCH_FRAMES = 30_000  # most frames of log-mel in a batch after its first item: six minutes
WRITES_AHEAD, WRITES_AHEAD_S = 4, 600.0  # most results that wait for the disk, and their seconds of sound

Save = Callable[[Job, np.ndarray], None]  # writes wav (n,) to the job's file
Analysed = SpeechFeatures | Source | np.ndarray | FaceVCError  # an array is a finished result (n,)
Analyse = Callable[[Recording], SpeechFeatures | Source]
Finish = Callable[[Job, float, FaceVCError | None], None]  # gets the seconds of sound, and the error if there is one
_Inputs = tuple[Source, Target] | np.ndarray | FaceVCError
_Prepared = tuple[Job, _Inputs]
_Loading = tuple[str, Callable[[], Analysed]]  # what is loaded, for messages, and a function that does it


def convert_jobs(
    jobs: Sequence[Job],
    converter: Converter,
    resolver: VoiceResolver,
    save: Save,
    finish: Finish,
    batch_size: int | None = None,
) -> None:
    """Converts the jobs in order. `finish` is called after each job. Jobs of one source must follow each other.

    batch_size: conversions that the network does at once. None: 16 on a GPU, 1 on a CPU, where batching does not help.
    `save` runs in another thread. Before an exception leaves, files that are being written are finished. This includes
    the first Ctrl-C. The second Ctrl-C drops them.
    """
    on_cpu = converter.device.type == "cpu"
    groups = [list(same) for _, same in groupby(jobs, key=_choose_group)]
    windows_in_parallel = converter.vocoder.side_by_side > 1  # they use all CPUs without a team of threads
    with use_one_thread() if windows_in_parallel else nullcontext(), _open_pool(1, "write") as writer:
        pending = _AsyncWriter(writer, save, finish, converter.rate)
        loaders = 1 if on_cpu else min(GPU_LOADERS, count_usable_cpus())
        analyse = converter.analyse if on_cpu else converter.hear  # only one thread may use a GPU's network
        speaking: list[_Prepared] = []  # the batch in hand

        def count_in_hand() -> int:
            return len(speaking) + len(pending.waiting)

        loadings = (_choose_loading(jobs[0], analyse, converter, resolver) for jobs in groups)
        with (
            _prefetch(loadings, loaders) as analysed,
            finish_in_hand(count_in_hand),
        ):
            try:
                prepared = _prepare_jobs(groups, analysed, converter, resolver)
                for batch in _make_batches(prepared, batch_size or (1 if on_cpu else GPU_BATCH)):
                    speaking[:] = batch
                    for job, result in _speak_batch(batch, converter):
                        speaking.pop()
                        pending.put(job, result)
                    check_stop()
                pending.finish_all()
            except BaseException:
                with suppress(FaceVCError):  # another error is on its way already
                    pending.finish_all()
                raise


def _choose_group(job: Job) -> tuple[object, ...]:
    """Returns what the jobs of one loading have in common: the source, and the voice if it decides the sound."""
    return (job.source, job.voice_spec) if isinstance(job.source, FittedUtterance) else (job.source,)


def _choose_loading(job: Job, analyse: Analyse, converter: Converter, resolver: VoiceResolver) -> _Loading:
    """Chooses how the source of a job is loaded. For a source that is made for one voice, the voice is resolved now."""
    source = job.source
    if not isinstance(source, FittedUtterance):
        return str(source), lambda: analyse(source.load())
    try:
        sketch = sketch_voice(converter, resolver.resolve(job.voice_spec))
    except FaceVCError as error:
        failure = error
        return str(source), lambda: failure
    if source.is_finished:
        return str(source), lambda: load_recording(source.load_for(sketch), converter.rate)
    return str(source), lambda: analyse(source.load_for(sketch))


def _prepare_jobs(
    groups: Sequence[Sequence[Job]],
    analysed: Iterator[Analysed],
    converter: Converter,
    resolver: VoiceResolver,
) -> Iterator[_Prepared]:
    """Yields each job with its source and its target, with its finished result, or with an error."""
    for jobs, heard in zip(groups, analysed, strict=True):
        source: Source | None = None
        for job in jobs:
            try:
                with report_memory_errors():
                    target = resolver.resolve(job.voice_spec)
                    if isinstance(heard, FaceVCError):
                        raise heard
                    if isinstance(heard, np.ndarray):
                        yield job, heard
                        continue
                    source = source or (heard if isinstance(heard, Source) else converter.encode(heard))
            except FaceVCError as error:
                yield job, error
            else:
                yield job, (source, target)


def _make_batches(prepared: Iterable[_Prepared], size: int) -> Iterator[list[_Prepared]]:
    """Groups up to `size` convertible jobs, fewer if they are long. Failed and finished jobs stay at their place."""
    batch: list[_Prepared] = []
    count = frames = 0
    for job, inputs in prepared:
        job_frames = inputs[0].lf0.shape[1] if isinstance(inputs, tuple) else 0
        if count and frames + job_frames > BATCH_FRAMES:
            yield batch
            batch, count, frames = [], 0, 0
        batch.append((job, inputs))
        count, frames = count + bool(job_frames), frames + job_frames
        if count in (0, size):  # a failed or finished job is reported at once if no job waits before it
            yield batch
            batch, count, frames = [], 0, 0
    if batch:
        yield batch


def _speak_batch(batch: Sequence[_Prepared], converter: Converter) -> Iterator[tuple[Job, np.ndarray | FaceVCError]]:
    pairs = [inputs for _, inputs in batch if isinstance(inputs, tuple)]
    try:
        with report_memory_errors():
            wavs: Iterator[np.ndarray | FaceVCError] = iter(converter.speak_many(pairs) if pairs else [])
    except FaceVCError:  # one of them failed: speak each alone to find out which
        wavs = (_speak_alone(converter, *pair) for pair in pairs)
    for job, inputs in batch:
        yield job, next(wavs) if isinstance(inputs, tuple) else inputs


def _speak_alone(converter: Converter, source: Source, target: Target) -> np.ndarray | FaceVCError:
    try:
        with report_memory_errors():
            return converter.speak(source, target)
    except FaceVCError as error:
        return error


@contextmanager
def _prefetch(loadings: Iterable[_Loading], threads: int) -> Iterator[Iterator[Analysed]]:
    """Loads in order, ahead of the use. Each thread keeps one loading ahead."""

    def attempt(loading: _Loading) -> Analysed:
        name, load = loading
        try:
            with report_memory_errors(name):
                return load()
        except FaceVCError as error:
            return error

    def yield_results() -> Iterator[Analysed]:
        waiting: deque[Future[Analysed]] = deque()
        following = iter(loadings)
        while True:
            while len(waiting) < threads and (loading := next(following, None)) is not None:
                waiting.append(pool.submit(attempt, loading))
            if not waiting:
                return
            done = waiting.popleft().result()
            if (loading := next(following, None)) is not None:
                waiting.append(pool.submit(attempt, loading))
            yield done

    with _open_pool(threads, "hear") as pool:
        yield yield_results()


@contextmanager
def _open_pool(threads: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Opens a pool of single threads. At the end it waits for them, unless the user waits for the process to stop."""
    pool = single_threaded_pool(threads, name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=not stop_requested(), cancel_futures=True)


class _AsyncWriter:
    """Writes results in another thread, in order. `finish` is called in this thread."""

    def __init__(self, writer: ThreadPoolExecutor, save: Save, finish: Finish, rate: int):
        self.writer, self.save, self.finish, self.rate = writer, save, finish, rate
        self.waiting: deque[tuple[Job, float, Future[None] | FaceVCError]] = deque()

    def put(self, job: Job, result: np.ndarray | FaceVCError) -> None:
        if isinstance(result, FaceVCError):
            self.waiting.append((job, 0.0, result))
            self.finish_all()  # an error is reported before other work begins, because `finish` may stop the batch
            return
        self.waiting.append((job, len(result) / self.rate, self.writer.submit(self._save, job, result)))
        while self.waiting and self._is_first_due():
            self._finish_first()

    def finish_all(self) -> None:
        """Waits for all files. If the files in hand are dropped, it takes only those that are written."""
        while self.waiting and (self._is_first_due() or not is_dropping()):
            self._finish_first()

    def _save(self, job: Job, result: np.ndarray) -> None:
        with report_memory_errors(job.relative):
            self.save(job, result)

    def _is_first_due(self) -> bool:
        """Whether the first file is written, or so many wait that the network must wait for it."""
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
