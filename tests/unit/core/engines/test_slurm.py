"""core/engines/slurm.py, with submitit's executors that need no Slurm."""

import re
import signal
import time
from pathlib import Path

import pytest
from helpers.engine_work import EXPECTED, IMPORT_PATH, FileKeeper, Killer, collect, count_calls, half, list_kept

from facevc_cli.core.engines.registry import open_engine
from facevc_cli.core.engines.slurm import FOLDER, SlurmPool
from facevc_cli.core.errors import FaceVCError, UsageError

pytest.importorskip("submitit")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", IMPORT_PATH)


def map_in_jobs(function, items, jobs=4, cluster="debug", **rest):
    with open_engine(f"slurm://cluster={cluster}") as engine, engine.open_pool(jobs) as pool:
        return collect(pool.map(function, items, **rest))


def test_a_machine_without_slurm(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    with open_engine("slurm") as engine, pytest.raises(FaceVCError, match="has no command sbatch"):
        list(engine.open_pool().map(half, [2]))


@pytest.mark.parametrize("given", ["slurm://cluster=debug,partitoin=gpu", "slurm://cluster=debug,timeout_min=long"])
def test_what_submitit_does_not_know(given: str):
    with open_engine(given) as engine, pytest.raises(UsageError, match="submitit does not take"):
        list(engine.open_pool().map(half, [2]))


def test_results_and_errors_and_no_logs_of_what_went_well():
    assert map_in_jobs(half, range(40)) == EXPECTED
    assert map_in_jobs(half, []) == {} and not FOLDER.exists()


def test_jobs_keep_their_results(tmp_path: Path):
    found = map_in_jobs(half, range(0, 14, 2), jobs=2, keep=FileKeeper(tmp_path, size=3))
    assert found == {n: (None, None) for n in range(0, 14, 2)}
    assert list_kept(tmp_path) == [[0, 1, 2], [3], [4, 5, 6]]  # a job had 4 items, the other 3


def test_parameters_of_the_arrays():
    pool = SlurmPool(3, 2, 1, {"partition": "gpu", "timeout_min": 5})
    assert pool._parameters == {
        "timeout_min": 5,
        "cpus_per_task": 2,
        "slurm_array_parallelism": 3,
        "name": "facevc",
        "gpus_per_node": 1,
        "partition": "gpu",
    }


SBATCH = """#!/bin/sh
cp "$1" {folder}/sent.sh
echo "Submitted batch job 4711"
"""


def test_what_is_sent_to_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A command sbatch that only keeps the script, and jobs that Slurm does not know."""
    tools = tmp_path / "bin"
    tools.mkdir()
    scripts = dict.fromkeys(("srun", "sacct", "scancel"), "#!/bin/sh\n") | {"sbatch": SBATCH.format(folder=tmp_path)}
    for name, code in scripts.items():
        (tools / name).write_text(code)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setattr("facevc_cli.core.engines.slurm.check_stop", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    given = "slurm://partition=gpu,timeout_min=90,account=007,qos=1e5,nodelist=12"
    with open_engine(given) as engine, pytest.raises(KeyboardInterrupt):
        list(engine.open_pool(2, threads=3, gpus=1).map(half, range(40), most_items=1))
    lines = re.findall(r"#SBATCH --(\S+)", (tmp_path / "sent.sh").read_text())
    wanted = ["partition=gpu", "time=90", "cpus-per-task=3", "gpus-per-node=1", "array=0-4%2", "job-name=facevc"]
    wanted += ["account=007", "qos=1e5", "nodelist=12"]
    assert set(wanted) <= set(lines), lines


@pytest.mark.slow
def test_a_job_that_dies_costs_only_its_items(tmp_path: Path):
    found = map_in_jobs(Killer(tmp_path, 5, times=9), range(8), jobs=2, cluster="local", keep=FileKeeper(tmp_path, 1))
    assert [found[n] for n in range(4)] == [(None, None)] * 4
    assert all("ended before it had said what it did" in (found[n][1] or "") for n in range(4, 8))
    assert list_kept(tmp_path) == [[0], [2], [4], [6], [8]]  # 4 was kept before its job died
    assert list(FOLDER.glob("*/*.err"))  # whose log stays


@pytest.mark.slow
def test_jobs_that_are_stopped_print_nothing_here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    from submitit.local import local

    begin, begun = local.start_controller, []
    monkeypatch.setattr(local, "start_controller", lambda **given: begun.append(begin(**given)) or begun[-1])
    with open_engine("slurm://cluster=local") as engine, engine.open_pool(2) as pool:
        results = pool.map(time.sleep, [0, 600])
        assert next(results) == (0, None, None)
        results.close()  # type: ignore[attr-defined]
    assert [process.wait(60) for process in begun] == [0, -signal.SIGINT]
    assert capfd.readouterr() == ("", "")
    assert any(b"KeyboardInterrupt" in path.read_bytes() for path in FOLDER.glob("*/stderr.log"))


@pytest.mark.slow
def test_a_preempted_job_goes_on_from_what_it_kept(tmp_path: Path):
    work = Killer(tmp_path, 3, number=signal.SIGUSR2)  # what submitit asks Slurm to send before it takes a machine
    found = map_in_jobs(work, range(6), jobs=1, cluster="local", keep=FileKeeper(tmp_path, 2))
    assert found == {n: (None, None) for n in range(6)}
    assert [count_calls(tmp_path, n) for n in range(6)] == [1, 1, 2, 2, 1, 1]
