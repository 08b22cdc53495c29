"""Spread work over processes that end when their parent ends."""

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
from facevc_cli.core.memory import report_memory_errors
from facevc_cli.core.stopping import (
    SIGNALS,
    check_stop,
    clean_multiprocessing,
    end_processes,
    finish_in_hand,
    is_dropping,
    remove_dropped,
    stop_requested,
)

T = TypeVar("T")
R = TypeVar("R")

_stopping: Any = None  # in a worker: the event by which the parent asks to start no more items


@contextmanager
def block_child_signals() -> Iterator[None]:
    """Block Ctrl-C in processes that start in this block, until they call `leave_signals_to_parent`.

    Python would answer it with a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    resource_tracker.ensure_running()  # it must not see SIGHUP; if this call starts it, SIGINT is unblocked
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals_to_parent(_: int = 0) -> None:
    """In a worker: ignore the signals that a terminal or the system sends to both.

    Only a termination by the parent ends the worker.
    """
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
    """Set a worker up: its share of the CPUs, no reaction to Ctrl-C, and an end as soon as its parent ends."""
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
        os.environ[name] = str(threads)  # torch and CTranslate2 read this when a worker imports them
    Thread(target=leave, daemon=True).start()


class Workers:
    """Processes that stay between calls of `map`, so that they load a model once.

    Close it, or use it in a `with` block.

    jobs: number of processes; with 1 this process does the work. threads: per process.
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
        """End the processes: after the items that they have started, or at once with `drop`."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        processes = list((pool._processes or {}).values())
        try:
            if not drop:
                pool.shutdown(cancel_futures=True)
        except BaseException:  # another Ctrl-C during the wait for started items
            drop = True
            raise
        finally:
            if drop:
                end_processes(processes)
                pool.shutdown()  # its thread sees that they are gone

    def map(
        self, function: Callable[[T], R], items: Sequence[T], outlive: bool = False
    ) -> Iterator[tuple[T, R | None, FaceVCError | None]]:
        """Apply `function` to `items`. Yield (item, result, error) as each is done.

        Errors are FaceVCErrors, also if memory runs out.

        At most four results per process wait for the reader, so memory stays bounded. A process that dies is an error.
        With `outlive` the items in hand at that moment are tried one by one, and only an item that kills its process
        again gets the error. After the first Ctrl-C the started items are finished, then Interrupted is raised.
        """
        if self.jobs == 1 or (len(items) <= 1 and self._pool is None):
            with finish_in_hand(lambda: 1):
                for item in items:
                    check_stop()
                    yield item, *attempt(function, item)
            return
        waiting, pending = deque(items), dict[Future[Any], T]()
        try:
            with finish_in_hand(lambda: min(self.jobs, len(pending)), begin_stop=self._stop_new_items):
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
                                "a worker process died, most often because memory ran out. Run the same command again "
                                "with fewer --jobs. Finished items are kept."
                            ) from error
                        suspects = list(pending.values())
                        pending.clear()
                        yield from self._map_one_by_one(function, suspects)
        finally:
            if (
                not is_dropping()
            ):  # a pool whose processes were ended sets the futures itself and fails on cancelled ones
                for future in pending:
                    future.cancel()

    def _map_one_by_one(
        self, function: Callable[[T], R], items: Sequence[T]
    ) -> Iterator[tuple[T, R | None, FaceVCError | None]]:
        for item in items:
            check_stop()
            try:
                found = self._submit(function, item).result()
            except BrokenProcessPool:
                if is_dropping():
                    check_stop()
                self.close()
                found = (
                    None,
                    FaceVCError(
                        "the process that worked on this item alone died: memory ran out, or a library crashed. Leave "
                        "the item out, or cut it into shorter or smaller pieces."
                    ),
                )
            if found is not None:
                yield item, *found

    def _submit(self, function: Callable[[T], R], item: T) -> "Future[Any]":
        from multiprocessing import get_context

        with block_child_signals():  # the pool starts a process with each item until all `jobs` run
            if self._pool is None:
                context = get_context("spawn")
                self._stop = context.Event()
                self._pool = ProcessPoolExecutor(
                    self.jobs, mp_context=context, initializer=_start_worker, initargs=(self._threads, self._stop)
                )
            return self._pool.submit(_attempt_unless_stopping, function, item)

    def _stop_new_items(self) -> None:
        if self._stop is not None:
            self._stop.set()


def _attempt_unless_stopping(function: Callable[[T], R], item: T) -> tuple[R | None, FaceVCError | None] | None:
    """Runs in a worker. None if a stop was requested before the item was started."""
    return None if _stopping is not None and _stopping.is_set() else attempt(function, item)


def attempt(function: Callable[[T], R], item: T) -> tuple[R | None, FaceVCError | None]:
    try:
        with report_memory_errors():
            return function(item), None
    except FaceVCError as error:
        return None, FaceVCError(str(error))
