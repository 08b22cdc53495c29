"""The machine: which device, how many threads and processes, and the seed."""

import atexit
import ctypes
import gc
import os
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from facevc_cli.errors import FaceVCError

if TYPE_CHECKING:
    import torch

COLLECT_AFTER = 70_000  # new objects; Python's own is 700
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3)

T = TypeVar("T")
R = TypeVar("R")


def resolve_device(name: str = "auto") -> "torch.device":
    """'auto' (cuda, else mps, else cpu), 'cpu', 'cuda', 'cuda:N' or 'mps'; one asked for and not there is an error."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise FaceVCError(f"--device {name!r}: expected auto, cpu, cuda, cuda:N or mps.") from error
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise FaceVCError(f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices for torch. Use --device auto.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise FaceVCError("--device mps: torch finds no Apple GPU here. Use --device auto.")
    if device.type not in ("cpu", "cuda", "mps"):
        raise FaceVCError(f"--device {name!r}: expected auto, cpu, cuda, cuda:N or mps.")
    return device


def bfloat16_pays(device: "torch.device") -> bool:
    """Whether the device is a processor with matrix units for bfloat16 (AMX): there HiFi-GAN runs three times as fast, with the same predicted MOS."""
    import torch

    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return device.type == "cpu" and supported is not None and bool(supported())


def seed_everything(seed: int) -> None:
    """The same seed for Python, numpy and torch."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def keep_memory() -> bool:
    """Lets glibc keep what large tensors give back, instead of handing it to the system and faulting it in again; False where it is not glibc.

    For work that makes tensors of tens of megabytes over and over, as training does: faults were half of its time. Conversion, in
    windows, does not gain.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
        # not M_MMAP_THRESHOLD, which glibc refuses above 32 MB
        return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
    except (AttributeError, OSError, TypeError):  # another C library, or Windows
        return False


def collect_seldom() -> None:
    """Lets Python look for reference cycles a hundred times less often, and not at all at its end: .45 s of a process that imports torch."""
    gc.set_threshold(COLLECT_AFTER)
    atexit.register(gc.freeze)


def lone_threads(count: int, name: str) -> ThreadPoolExecutor:
    """Threads that each do their tensor work alone, on one processor; all others keep the OpenMP threads that they have.

    Side by side they do as much as one team of OpenMP threads, and do not wait for each other at the end of every layer: with another process
    on one of two processors a team takes three times as long as they do. Nor may there be two teams: with more threads than processors
    libgomp lets all of them wait asleep, which costs half as much again.
    """
    import torch

    threads = torch.get_num_threads()

    def begin() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # a thread's first look at its number takes what was set last, wherever that was

    pool = ThreadPoolExecutor(count, name, initializer=begin)
    begun = Barrier(count)
    wait([pool.submit(begun.wait) for _ in range(count)])
    torch.set_num_threads(threads)  # it said, too, what threads begun later have
    return pool


@contextmanager
def one_thread() -> Iterator[None]:
    """The tensor work of this thread stays in it."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def undrawn() -> Iterator[None]:
    """Modules made in here keep whatever lay in memory as their weights: for those that are read from a file at once."""
    from torch.nn import init
    from torch.overrides import TorchFunctionMode

    class Undrawn(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function in skipped:
                return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
            return function(*args, **(kwargs or {}))

    skipped = {init.uniform_, init.normal_, init.kaiming_uniform_, init.kaiming_normal_, init.xavier_uniform_, init.xavier_normal_}
    with Undrawn():
        yield


def default_jobs() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_worker(threads: int) -> None:
    """A pool's worker keeps to its share of the processors, leaves Ctrl-C to its parent, and does not outlive it."""
    import signal
    from multiprocessing import parent_process

    def leave() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
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

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the processes, after the items that they have begun."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def map(
        self, function: Callable[[T], R], items: Sequence[T], outlive: bool = False
    ) -> Iterator[tuple[T, R | None, FaceVCError | None]]:
        """`function` over `items`: (item, result, error) as each is done; only FaceVCErrors are passed on.

        Results wait for the reader (at most four a process), so that memory stays bounded. A process that dies is an error; with
        `outlive`, the items that were waiting then are tried one by one, and the error is that of the item that kills its process again.
        """
        if self.jobs == 1 or (len(items) <= 1 and self._pool is None):
            for item in items:
                yield item, *_attempt(function, item)
            return
        waiting, pending = deque(items), dict[Future, T]()
        try:
            while waiting or pending:
                try:
                    while waiting and len(pending) < 4 * self.jobs:
                        future = self._running().submit(_attempt, function, waiting[0])
                        pending[future] = waiting.popleft()
                    for future in wait(pending, return_when=FIRST_COMPLETED).done:
                        found = future.result()
                        yield pending.pop(future), *found
                except BrokenProcessPool as error:
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
            for future in pending:
                future.cancel()

    def _one_by_one(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[T, R | None, FaceVCError | None]]:
        for item in items:
            try:
                found = self._running().submit(_attempt, function, item).result()
            except BrokenProcessPool:
                self.close()
                found = None, FaceVCError(
                    "the process that worked on it alone died: the memory ran out, or a library crashed on it. Listen to it, or take its "
                    "row out."
                )
            yield item, *found

    def _running(self) -> ProcessPoolExecutor:
        from multiprocessing import get_context

        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.jobs, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(self._threads,))
        return self._pool


def parallel_map(
    function: Callable[[T], R], items: Sequence[T], jobs: int
) -> Iterator[tuple[T, R | None, FaceVCError | None]]:
    """`Workers.map` with `jobs` processes of one thread each, which end with the work."""
    with Workers(jobs) as workers:
        yield from workers.map(function, items)


def _attempt(function: Callable[[T], R], item: T) -> tuple[R | None, FaceVCError | None]:
    try:
        return function(item), None
    except FaceVCError as error:
        return None, FaceVCError(str(error))
