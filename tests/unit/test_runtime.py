"""runtime.py: devices, seeds, and work spread over processes."""

import os
import platform
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from facevc_cli.core.devices import resolve_device, seed_everything
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.tuning import count_usable_cpus, keep_freed_memory, single_threaded_pool, skip_weight_init, use_one_thread
from facevc_cli.core.workers import Workers, map_in_parallel


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


def share(_: int) -> tuple[int, str]:
    return os.getpid(), os.environ["OMP_NUM_THREADS"]


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


def test_weights_that_are_not_drawn():
    """What is read from a file anyway; outside, and for whatever is no drawing, all is as ever."""
    import torch

    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    with skip_weight_init():
        layer, norm, ones = torch.nn.Conv1d(3, 4, 5), torch.nn.LayerNorm(7), torch.ones(3) * 2
    assert torch.equal(torch.random.get_rng_state(), before)  # nothing was drawn
    assert layer.weight.shape == (4, 3, 5) and layer.weight.requires_grad and ones.sum() == 6 and norm(torch.zeros(7)).shape == (7,)
    layer.load_state_dict({"weight": torch.ones(4, 3, 5), "bias": torch.zeros(4)})
    assert layer(torch.ones(1, 3, 5)).unique().tolist() == [15]
    torch.nn.Linear(2, 2)
    assert not torch.equal(torch.random.get_rng_state(), before)


FAULTS = """
import resource, torch
from facevc_cli.core.tuning import keep_freed_memory
torch.set_num_threads(1)
kept = {call}
for i in range(13):
    if i == 3:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    several = [torch.ones(10_000_000) for _ in range(2)]  # 40 MB each
    several.clear()
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_is_kept():
    def run(call):
        done = subprocess.run([sys.executable, "-c", FAULTS.format(call=call)], capture_output=True, text=True, check=True)
        return tuple(map(int, done.stdout.split()))

    _, plain = run("False")
    assert plain > 10 * 80 / 4  # at least one for each 4 MB, even with huge pages
    kept = [run("keep_freed_memory()") for _ in range(3)]
    assert {done for done, _ in kept} == {1} and min(few for _, few in kept) < plain / 5  # the system may take pages back meanwhile


def test_elsewhere_memory_is_as_it_is(monkeypatch):
    def none(name):
        raise OSError("no such library")

    monkeypatch.setattr("ctypes.CDLL", none)
    assert keep_freed_memory() is False


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_and_errors_of_every_item(jobs):
    found = {item: (result, str(error) if error else None) for item, result, error in map_in_parallel(half, range(9), jobs)}
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
        assert found.pop(3)[0] is None and {item: result for item, (result, _) in found.items()} == {n: n for n in range(9) if n != 3}
        assert sorted(item for item, *_ in workers.map(half, range(9))) == list(range(9))  # the next ones find processes again


def test_workers_stay_from_one_map_to_the_next_with_their_share_of_threads():
    with Workers(2, threads=3) as workers:
        first, second = ({result for _, result, _ in workers.map(share, range(8))} for _ in range(2))
    assert {count for _, count in first | second} == {"3"} and len(first | second) <= 2  # type: ignore[misc]


def test_lone_threads_have_one_each_and_leave_the_others_theirs():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with single_threaded_pool(4, "alone") as pool, ThreadPoolExecutor(1) as other:
            assert {pool.submit(torch.get_num_threads).result() for _ in range(40)} == {1}
            assert (torch.get_num_threads(), other.submit(torch.get_num_threads).result()) == (3, 3)
        with pytest.raises(ZeroDivisionError), use_one_thread():
            assert torch.get_num_threads() == 1
            raise ZeroDivisionError
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


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
    assert all(pid != os.getpid() and count == 1 for _, (pid, count), _ in map_in_parallel(threads, range(3), 2))  # type: ignore[misc]
    assert [result[0] for _, result, _ in map_in_parallel(threads, range(3), 1)] == [os.getpid()] * 3  # type: ignore[index]
    assert list(map_in_parallel(half, [], 4)) == []
    assert count_usable_cpus() >= 1


def test_collecting_seldom_lets_a_process_end_as_it_should():
    code = """
import atexit, gc
atexit.register(lambda: print("last", gc.get_freeze_count() > 0))  # runs after what is registered later
from facevc_cli.core.tuning import collect_garbage_rarely
collect_garbage_rarely()
print(gc.isenabled(), gc.get_threshold()[0])
"""
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert shown[0] == "True" and int(shown[1]) > 10_000 and shown[2:] == ["last", "True"]
