"""core/engines/ray.py, on a Ray cluster of several node processes of this machine."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Timer
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.engine_work import (
    EXPECTED,
    IMPORT_PATH,
    FileKeeper,
    Killer,
    collect,
    count_calls,
    half,
    list_kept,
    name_cwd,
    rest_and_double,
)

from facevc_cli.core.engines.ray import set_notice_printer
from facevc_cli.core.engines.registry import open_engine
from facevc_cli.core.errors import FaceVCError

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow
MEMORY = 100 << 20


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", IMPORT_PATH)  # the workers import this work
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": MEMORY})
        cluster.add_node(num_cpus=2, object_store_memory=MEMORY)
        yield cluster
        cluster.shutdown()


@pytest.fixture
def pool(cluster: Any) -> Iterator[Any]:
    before = signal.getsignal(signal.SIGTERM)
    with open_engine(f"ray://{cluster.address}") as engine, engine.open_pool() as pool:
        assert signal.getsignal(signal.SIGTERM) is before  # Ctrl-C and terminations stay ours
        assert (engine.count_cpus(), pool.jobs) == (2, 2)
        yield pool
    assert not ray.is_initialized()


def test_no_cluster_at_the_address():
    with open_engine("ray://127.0.0.1:1") as engine, pytest.raises(FaceVCError, match="no Ray cluster answers at 127"):
        engine.open_pool()


def test_stdout_belongs_to_results(capfd: pytest.CaptureFixture[str]):
    """Ray's own loop, with one message about a lost machine."""
    from ray._private import worker

    over = Event()

    def poll() -> tuple[None, dict[str, Any]]:
        over.set()
        return None, {"job_id": None, "error_message": "a node is dead"}

    driver = SimpleNamespace(
        gcs_error_subscriber=SimpleNamespace(subscribe=lambda: None, poll=poll),
        current_job_id=SimpleNamespace(binary=lambda: b""),
    )
    before = set_notice_printer(lambda *_, **__: None)
    assert before is not None
    try:
        worker.listen_error_messages(driver, over)
    finally:
        set_notice_printer(before)
    assert capfd.readouterr() == ("", "")
    over.clear()
    worker.listen_error_messages(driver, over)
    assert "a node is dead" in capfd.readouterr().out


def test_results_errors_and_an_item_that_kills_its_worker(
    pool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    assert collect(pool.map(half, range(40))) == EXPECTED
    assert collect(pool.map(half, [])) == {}
    with pytest.raises(ZeroDivisionError):  # an error of ours is not hidden
        collect(pool.map((1).__truediv__, [1, 0, 2]))
    monkeypatch.chdir(tmp_path)
    found = collect(pool.map(name_cwd, range(8)))
    assert {folder for (folder, _), _ in found.values()} == {str(tmp_path)}  # type: ignore[misc]
    assert os.getpid() not in {pid for (_, pid), _ in found.values()}  # type: ignore[misc]
    kept = collect(pool.map(half, range(0, 14, 2), keep=FileKeeper(tmp_path, 3), most_items=7))
    assert kept == {n: (None, None) for n in range(0, 14, 2)}
    assert sorted(n for kept in list_kept(tmp_path) for n in kept) == list(range(7))
    deadly = collect(pool.map(Killer(tmp_path, 5, times=99), range(16), most_items=4))
    assert "lost 4 times" in (deadly.pop(5)[1] or "")
    assert deadly == {n: (2 * n, None) for n in range(16) if n != 5}
    assert count_calls(tmp_path, 5) == 8  # four times with its neighbours, four times alone
    assert capfd.readouterr().out == ""  # it belongs to the results, such as those of --json


def test_a_lost_machine_costs_no_item(cluster: Any, tmp_path: Path):
    extra = cluster.add_node(num_cpus=2, object_store_memory=MEMORY)
    with open_engine(f"ray://{cluster.address}") as engine, engine.open_pool() as pool:
        assert engine.count_cpus() == 4
        timer = Timer(1.0, lambda: cluster.remove_node(extra, allow_graceful=False))
        timer.start()
        found = collect(pool.map(rest_and_double, range(60), most_items=3))
        timer.join()
    assert found == {n: (2 * n, None) for n in range(60)}
