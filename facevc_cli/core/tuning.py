"""How Python, glibc and torch use the machine: memory, threads, processors."""

import atexit
import ctypes
import gc
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Barrier
from typing import Any

COLLECT_AFTER = 70_000  # new objects; Python's own is 700
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3)


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
