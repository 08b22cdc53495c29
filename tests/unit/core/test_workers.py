"""core/workers.py: work spread over processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.tuning import count_usable_cpus
from facevc_cli.core.workers import Workers


def map_in_parallel(function: Callable[[int], Any], items: Sequence[int], jobs: int) -> Iterator[tuple[int, Any, Any]]:
    with Workers(jobs) as workers:
        yield from workers.map(function, items)


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

    return os.getpid(), torch.get_num_threads()


def share(_: int) -> tuple[int, str]:
    return os.getpid(), os.environ["OMP_NUM_THREADS"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_and_errors_of_every_item(jobs):
    found = {
        item: (result, str(error) if error else None) for item, result, error in map_in_parallel(half, range(9), jobs)
    }
    assert found == {n: (None, f"{n} is odd") if n % 2 else (n // 2, None) for n in range(9)}


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_ours_is_not_hidden(jobs):
    with pytest.raises(ZeroDivisionError):
        list(map_in_parallel(broken, [1, 0, 2], jobs))


def test_a_killed_worker_is_told_in_words():
    with pytest.raises(FaceVCError, match="worker process died"):
        list(map_in_parallel(killed, range(5), 2))


@pytest.mark.slow
def test_who_kills_a_worker_is_found_and_the_rest_is_done():
    with Workers(2) as workers:
        found = {item: (result, str(error)) for item, result, error in workers.map(killed, range(9), outlive=True)}
        assert found.pop(3)[0] is None and {item: result for item, (result, _) in found.items()} == {
            n: n for n in range(9) if n != 3
        }
        assert sorted(item for item, *_ in workers.map(half, range(9))) == list(
            range(9)
        )  # the next ones find processes again


def test_workers_stay_from_one_map_to_the_next_with_their_share_of_threads():
    with Workers(2, threads=3) as workers:
        first, second = ({result for _, result, _ in workers.map(share, range(8))} for _ in range(2))
    assert {count for _, count in first | second} == {"3"} and len(first | second) <= 2


ORPHANS = """
import os, sys, time
from facevc_cli.core.workers import Workers

def rest(seconds):
    os.write(1, f"{os.getpid()}\\n".encode())  # in one piece, however Python was told to buffer
    time.sleep(seconds)

if __name__ == "__main__":
    with Workers(2) as workers:
        list(workers.map(rest, [0.5, 1000, 1000]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows ends children otherwise")
def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    (tmp_path / "parent.py").write_text(ORPHANS)
    with subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        try:
            children = {int(parent.stdout.readline()) for _ in range(3)}
        finally:
            parent.kill()
    deadline = time.monotonic() + 60
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert 1 <= len(children) <= 2 and not [child for child in children if alive(child)]


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for init does not."""
    try:
        os.kill(pid, 0)
        return not Path("/proc").is_dir() or "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.slow
def test_workers_keep_to_one_thread_and_one_job_stays_here():
    assert all(pid != os.getpid() and count == 1 for _, (pid, count), _ in map_in_parallel(threads, range(3), 2))
    assert [result[0] for _, result, _ in map_in_parallel(threads, range(3), 1)] == [os.getpid()] * 3
    assert list(map_in_parallel(half, [], 4)) == []
    assert count_usable_cpus() >= 1
