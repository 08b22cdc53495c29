"""runtime.py: devices, seeds, and work spread over processes."""

import os
import random
import signal

import numpy as np
import pytest

from facevc_cli.errors import FaceVCError
from facevc_cli.runtime import default_jobs, parallel_map, resolve_device, seed_everything


def half(number: int) -> int:
    if number % 2:
        raise FaceVCError(f"{number} is odd")
    return number // 2


def broken(number: int) -> float:
    return 1 / number


def killed(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def threads(_: int) -> tuple[int, int]:
    import torch

    return os.getpid(), torch.get_num_threads()


def test_devices():
    import torch

    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("cuda:99", "tpu", "cuda:x", "", "meta"):
        with pytest.raises(FaceVCError, match="--device"):
            resolve_device(name)


def test_seed_reaches_every_generator():
    import torch

    drawn = []
    for _ in range(2):
        seed_everything(5)
        drawn.append((random.random(), float(np.random.rand()), float(torch.rand(1))))
    assert drawn[0] == drawn[1]
    seed_everything(2**40 + 1)  # numpy takes 32 bits


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_and_errors_of_every_item(jobs):
    found = {item: (result, str(error) if error else None) for item, result, error in parallel_map(half, range(9), jobs)}
    assert found == {n: (None, f"{n} is odd") if n % 2 else (n // 2, None) for n in range(9)}


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_ours_is_not_hidden(jobs):
    with pytest.raises(ZeroDivisionError):
        list(parallel_map(broken, [1, 0, 2], jobs))


def test_a_killed_worker_is_told_in_words():
    with pytest.raises(FaceVCError, match="worker process died"):
        list(parallel_map(killed, range(5), 2))


def test_workers_keep_to_one_thread_and_one_job_stays_here():
    assert all(pid != os.getpid() and count == 1 for _, (pid, count), _ in parallel_map(threads, range(3), 2))  # type: ignore[misc]
    assert [result[0] for _, result, _ in parallel_map(threads, range(3), 1)] == [os.getpid()] * 3  # type: ignore[index]
    assert list(parallel_map(half, [], 4)) == []
    assert default_jobs() >= 1
