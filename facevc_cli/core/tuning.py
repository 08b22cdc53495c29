"""Tune how Python, glibc and torch use memory, threads and CPUs."""

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


def keep_freed_memory() -> bool:
    """Let glibc keep the memory of freed large tensors instead of returning it to the system.

    False if the C library is not glibc.

    Training allocates tensors of tens of megabytes again and again, and page faults took half of its time. Conversion
    works in windows and does not gain.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
        # not M_MMAP_THRESHOLD: glibc refuses more than 32 MB
        return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
    except (AttributeError, OSError, TypeError):  # another C library, or Windows
        return False


def collect_garbage_rarely() -> None:
    """Run the garbage collector 100 times less often and skip it at exit.

    This saves 0.45 s in a process that imports torch.
    """
    gc.set_threshold(COLLECT_AFTER)
    atexit.register(gc.freeze)


def single_threaded_pool(count: int, name: str) -> ThreadPoolExecutor:
    """Make a pool of `count` threads that each run their tensor work on one CPU.

    Other threads keep their OpenMP threads.

    The pool does as much as one team of OpenMP threads, but its threads do not wait for each other after every layer.
    If another process occupies one of two CPUs, a team takes three times as long. Two teams are no alternative: with
    more threads than CPUs libgomp puts waiting threads to sleep, which adds 50 % to the time.
    """
    import torch

    threads = torch.get_num_threads()

    def begin() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # the first read in a thread takes the number that was set last in any thread

    pool = ThreadPoolExecutor(count, name, initializer=begin)
    begun = Barrier(count)
    wait([pool.submit(begun.wait) for _ in range(count)])
    torch.set_num_threads(threads)  # this number is also the default for threads that start later
    return pool


@contextmanager
def use_one_thread() -> Iterator[None]:
    """Run the tensor work of this thread without other OpenMP threads."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def skip_weight_init() -> Iterator[None]:
    """Leave the weights of modules built in this block uninitialised. Use it if a file overwrites them at once."""
    from torch.nn import init
    from torch.overrides import TorchFunctionMode

    class SkipInit(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function in skipped:
                return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
            return function(*args, **(kwargs or {}))

    skipped = {
        init.uniform_,
        init.normal_,
        init.kaiming_uniform_,
        init.kaiming_normal_,
        init.xavier_uniform_,
        init.xavier_normal_,
    }
    with SkipInit():
        yield


def count_usable_cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
