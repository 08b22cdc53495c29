"""core/memory.py: an input that is too large for the memory is that input's failure."""

import errno

import numpy as np
import pytest
import torch

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.memory import is_out_of_memory, report_memory_errors
from facevc_cli.core.workers import Workers

TOLD = (
    MemoryError(),
    np._core._exceptions._ArrayMemoryError((10**9, 10**9), np.dtype(float)),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 9 bytes."
    ),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:83] data. DefaultCPUAllocator: not enough memory: you tried to allocate 9 "
        "bytes."
    ),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("Error : malloc failed."),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
)


@pytest.mark.parametrize("error", TOLD, ids=lambda error: f"{type(error).__name__} {error}"[:40])
def test_who_says_that_memory_ran_out(error):
    assert is_out_of_memory(error)
    with (
        pytest.raises(FaceVCError, match=r"^long\.wav: it needs more memory than there is .*shorter or smaller pieces"),
        report_memory_errors("long.wav"),
    ):
        raise error


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes do not match"), OSError(errno.ENOENT, "no such file"), ValueError("out of memory")]
)
def test_other_errors_are_none(error):
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)), report_memory_errors():
        raise error


def too_large(number: int) -> float:
    if number == 1:
        return float(np.ones((10**7, 10**8)).sum())
    if number == 2:
        return float(torch.ones(10**7, 10**8).sum())
    return float(number)


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_rest_goes_on(jobs):
    with Workers(jobs) as workers:
        found = {item: (result, str(error)) for item, result, error in workers.map(too_large, range(5))}
    assert {item: result for item, (result, _) in found.items()} == {0: 0.0, 1: None, 2: None, 3: 3.0, 4: 4.0}
    assert all("it needs more memory than there is" in found[item][1] for item in (1, 2))


def test_arrays_of_the_failed_call_are_let_go():
    import weakref

    seen = []

    def hold(_: int) -> None:
        array = np.ones(10)
        seen.append(weakref.ref(array))
        raise MemoryError

    with Workers(1) as workers:
        ((_, _, error),) = workers.map(hold, [0])
    assert error is not None and seen[0]() is None
