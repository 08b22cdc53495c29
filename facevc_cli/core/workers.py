"""Work spread over processes, which end with their parent."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from threading import Thread
from typing import Any, TypeVar

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.memory import memory_errors_told
from facevc_cli.core.stopping import (
    SIGNALS,
    check_stop,
    clean_multiprocessing,
    end_processes,
    finish_in_hand,
    is_dropping,
    remove_dropped,
    stop_requested,
)  # fmt: skip

T = TypeVar("T")
R = TypeVar("R")

_stopping: Any = None  # in a worker: the parent's event that says to begin nothing more


@contextmanager
def starting_children() -> Iterator[None]:
    """Processes that start in here hear no Ctrl-C until `leave_signals_to_parent`: Python would answer it with a traceback."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    resource_tracker.ensure_running()  # it must not hear a closed terminal; where this starts it, it unblocks SIGINT
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals_to_parent(_: int = 0) -> None:
    """In a worker: its parent hears the signals, which a terminal or the system sends to both. Only the parent's own termination ends it."""
    for number in SIGNALS:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        Thread(target=_wait_for_end, daemon=True).start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number for number in SIGNALS if number != signal.SIGTERM])
        return
    signal.signal(signal.SIGTERM, _end_worker)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _wait_for_end() -> None:
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    _end_worker()


def _end_worker(*_: object) -> None:
    remove_dropped()
    clean_multiprocessing()
    os._exit(128 + signal.SIGTERM)


def _start_worker(threads: int, stopping: Any) -> None:
    """A pool's worker keeps to its share of the processors, leaves Ctrl-C to its parent, and does not outlive it."""
    from multiprocessing import parent_process

    def leave() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            remove_dropped()
            os._exit(1)

    global _stopping
    _stopping = stopping
    leave_signals_to_parent()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)  # torch and CTranslate2, where a worker imports them, read this
    Thread(target=leave, daemon=True).start()


class Workers:
    """Processes that stay from one `map` to the next, so that what they load is loaded once. To be closed, or used in a `with`.

    jobs: how many; with 1 the work is done in this process. threads: of each.
    """

    def __init__(self, jobs: int, threads: int = 1):
        self.jobs, self._threads = max(1, jobs), threads
        self._pool: ProcessPoolExecutor | None = None
        self._stop: Any = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(drop=is_dropping() or (kind is not None and issubclass(kind, KeyboardInterrupt)))

    def close(self, drop: bool = False) -> None:
        """Ends the processes, after the items that they have begun, or with `drop` at once."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        processes = list((pool._processes or {}).values())
        try:
            if not drop:
                pool.shutdown(cancel_futures=True)
        except BaseException:  # another Ctrl-C, while begun items were waited for
            drop = True
            raise
        finally:
            if drop:
                end_processes(processes)
                pool.shutdown()  # its thread sees that they are gone

    def map(
        self, function: Callable[[T], R], items: Sequence[T], outlive: bool = False
    ) -> Iterator[tuple[T, R | None, FaceVCError | None]]:
        """`function` over `items`: (item, result, error) as each is done; only FaceVCErrors, and memory that runs out, are passed on.

        Results wait for the reader (at most four a process), so that memory stays bounded. A process that dies is an error; with
        `outlive`, the items that were waiting then are tried one by one, and the error is that of the item that kills its process again.
        After the first Ctrl-C the items that are begun are finished, then Interrupted is raised.
        """
        if self.jobs == 1 or (len(items) <= 1 and self._pool is None):
            with finish_in_hand(lambda: 1):
                for item in items:
                    check_stop()
                    yield item, *_attempt(function, item)
            return
        waiting, pending = deque(items), dict[Future, T]()
        try:
            with finish_in_hand(lambda: min(self.jobs, len(pending)), begin_stop=self._begin_nothing_more):
                while waiting or pending:
                    try:
                        while waiting and len(pending) < 4 * self.jobs and not stop_requested():
                            future = self._submit(function, waiting[0])
                            pending[future] = waiting.popleft()
                        if not pending:
                            break
                        for future in wait(pending, return_when=FIRST_COMPLETED).done:
                            found = future.result()
                            item = pending.pop(future)
                            if found is not None:
                                yield item, *found
                    except BrokenProcessPool as error:
                        if is_dropping():
                            check_stop()
                        self.close()
                        if not outlive:
                            raise FaceVCError(
                                "a worker process died, most often because the memory ran out. Run the same command again with fewer --jobs: "
                                "what is finished is kept."
                            ) from error
                        suspects = list(pending.values())
                        pending.clear()
                        yield from self._one_by_one(function, suspects)
        finally:
            if not is_dropping():  # the pool sets the futures itself where its processes were ended, and stumbles over cancelled ones
                for future in pending:
                    future.cancel()

    def _one_by_one(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[T, R | None, FaceVCError | None]]:
        for item in items:
            check_stop()
            try:
                found = self._submit(function, item).result()
            except BrokenProcessPool:
                if is_dropping():
                    check_stop()
                self.close()
                found = None, FaceVCError(
                    "the process that worked on it alone died: the memory ran out, or a library crashed on it. Take it out, or cut it into "
                    "shorter or smaller pieces."
                )
            if found is not None:
                yield item, *found

    def _submit(self, function: Callable[[T], R], item: T) -> Future:
        from multiprocessing import get_context

        with starting_children():  # here, and for as long as not all are there with every item
            if self._pool is None:
                context = get_context("spawn")
                self._stop = context.Event()
                self._pool = ProcessPoolExecutor(self.jobs, mp_context=context, initializer=_start_worker, initargs=(self._threads, self._stop))
            return self._pool.submit(_attempt_unless_stopping, function, item)

    def _begin_nothing_more(self) -> None:
        if self._stop is not None:
            self._stop.set()


def parallel_map(
    function: Callable[[T], R], items: Sequence[T], jobs: int, outlive: bool = False
) -> Iterator[tuple[T, R | None, FaceVCError | None]]:
    """`Workers.map` with `jobs` processes of one thread each, which end with the work."""
    with Workers(jobs) as workers:
        yield from workers.map(function, items, outlive)


def _attempt_unless_stopping(function: Callable[[T], R], item: T) -> tuple[R | None, FaceVCError | None] | None:
    """In a worker; None where the item was not begun because a stop was asked for."""
    return None if _stopping is not None and _stopping.is_set() else _attempt(function, item)


def _attempt(function: Callable[[T], R], item: T) -> tuple[R | None, FaceVCError | None]:
    try:
        with memory_errors_told():
            return function(item), None
    except FaceVCError as error:
        return None, FaceVCError(str(error))
