"""The machine: which device, how many threads and processes, and the seed."""

import ctypes
import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from facevc_cli.errors import FaceVCError

if TYPE_CHECKING:
    import torch

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


def _one_thread() -> None:
    """A pool's worker keeps to one core: the pool has a process for each."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # torch, where a worker imports it, reads this


def parallel_map(
    function: Callable[[T], R], items: Sequence[T], jobs: int
) -> Iterator[tuple[T, R | None, FaceVCError | None]]:
    """`function` over `items` in `jobs` processes: (item, result, error) as each is done; only FaceVCErrors are passed on.

    jobs = 1 stays in this process. Results wait for the reader (at most four a process), so that memory stays bounded.
    """
    if jobs <= 1 or len(items) <= 1:
        for item in items:
            yield item, *_attempt(function, item)
        return
    from multiprocessing import get_context

    waiting = iter(items)
    pending: dict[Future, T] = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        try:
            while True:
                while len(pending) < 4 * jobs and (following := next(waiting, None)) is not None:
                    pending[pool.submit(_attempt, function, following)] = following
                if not pending:
                    return
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    yield pending.pop(future), *future.result()
        except BrokenProcessPool as error:
            raise FaceVCError(
                "a worker process died, most often because the memory ran out. Run the same command again with fewer --jobs: what is "
                "finished is kept."
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _attempt(function: Callable[[T], R], item: T) -> tuple[R | None, FaceVCError | None]:
    try:
        return function(item), None
    except FaceVCError as error:
        return None, FaceVCError(str(error))
