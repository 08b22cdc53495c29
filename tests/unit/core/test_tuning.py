"""core/tuning.py: weights that are not drawn, memory that is kept, threads, and rare collection."""

import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from facevc_cli.core.tuning import keep_freed_memory, single_threaded_pool, skip_weight_init, use_one_thread

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


def test_weights_that_are_not_drawn():
    """What is read from a file anyway; outside, and for whatever is no drawing, all is as ever."""
    import torch

    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    with skip_weight_init():
        layer, norm, ones = torch.nn.Conv1d(3, 4, 5), torch.nn.LayerNorm(7), torch.ones(3) * 2
    assert torch.equal(torch.random.get_rng_state(), before)  # nothing was drawn
    assert (
        layer.weight.shape == (4, 3, 5)
        and layer.weight.requires_grad
        and ones.sum() == 6
        and norm(torch.zeros(7)).shape == (7,)
    )
    layer.load_state_dict({"weight": torch.ones(4, 3, 5), "bias": torch.zeros(4)})
    assert layer(torch.ones(1, 3, 5)).unique().tolist() == [15]
    torch.nn.Linear(2, 2)
    assert not torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_is_kept():
    def run(call):
        done = subprocess.run(
            [sys.executable, "-c", FAULTS.format(call=call)], capture_output=True, text=True, check=True
        )
        return tuple(map(int, done.stdout.split()))

    _, plain = run("False")
    assert plain > 10 * 80 / 4  # at least one for each 4 MB, even with huge pages
    kept = [run("keep_freed_memory()") for _ in range(3)]
    assert {done for done, _ in kept} == {1} and min(
        few for _, few in kept
    ) < plain / 5  # the system may take pages back meanwhile


def test_elsewhere_memory_is_as_it_is(monkeypatch):
    def none(name):
        raise OSError("no such library")

    monkeypatch.setattr("ctypes.CDLL", none)
    assert keep_freed_memory() is False


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
