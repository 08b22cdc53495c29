"""core/engines/registry.py and core/engines/local.py: names, addresses, and the engine of this machine."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.engine_work import EXPECTED, FileKeeper, collect, half, list_kept
from helpers.plugins import install

from facevc_cli.core.engines.base import count_gpus
from facevc_cli.core.engines.registry import ENGINES, make_engine, open_engine
from facevc_cli.core.errors import UsageError

WRONG = ["spark", "", "://", "local://here", "ray://", "ray://head", "ray://a/b:1", "slurm://gpu", "slurm://a b=1"]
WRONG += ["ray://head:0", "ray://head:65536"]


@pytest.mark.parametrize("name", [name for name in WRONG if name != "ray://"])
def test_wrong_names_and_addresses(name: str):
    with pytest.raises(UsageError, match="--engine"):
        make_engine(name)


def test_the_error_lists_what_there_is():
    with pytest.raises(UsageError, match=r"There are: local, ray, slurm\. Others"):
        make_engine("spark")


def test_each_file_is_an_engine_and_making_it_imports_no_library():
    assert set(ENGINES.own) == {"local", "ray", "slurm"}
    names = [*ENGINES.own, "ray://head:6379", "slurm://partition=gpu,timeout_min=60"]
    code = f"""
import sys
from facevc_cli.core.engines.registry import make_engine
print([make_engine(name).name for name in {names!r}], sorted({{"ray", "submitit", "torch"}} & sys.modules.keys()))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == f"{['local', 'ray', 'slurm', 'ray', 'slurm']} []"


ENGINE = """
from facevc_cli.core.engines.local import LocalEngine
class Backwards(LocalEngine):
    name = "backwards"
    def __init__(self, address):
        self.address = address
"""


def test_an_engine_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(tmp_path, monkeypatch, "backwards_engine", ENGINE, "facevc.engines", {"backwards": "Backwards"})
    with open_engine("backwards://there") as engine:
        assert (engine.name, engine.address) == ("backwards", "there")  # type: ignore[attr-defined]


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_local_results_come_back_and_are_not_kept_elsewhere(tmp_path: Path, jobs: int):
    with open_engine("local") as engine, engine.open_pool(jobs) as pool:
        assert pool.jobs == jobs
        assert collect(pool.map(half, range(40), keep=FileKeeper(tmp_path))) == EXPECTED
    assert list_kept(tmp_path) == []


def test_gpus_of_a_worker():
    assert [count_gpus(device) for device in ("cpu", "cuda", "cuda:1", "mps", "auto")] == [0, 1, 1, 0, 0]
