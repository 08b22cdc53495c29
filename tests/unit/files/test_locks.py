"""files/locks.py, and who holds them: two processes on one output."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.stores import Stores, pretrain

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus import store_writer
from facevc_cli.corpus.store import Item, Store
from facevc_cli.corpus.store_writer import StoreWriter
from facevc_cli.files.locks import exclusive_lock

HOLD = """
import sys, time
from pathlib import Path
from facevc_cli.files.locks import exclusive_lock
with exclusive_lock(Path(sys.argv[1]), "x"):
    print("held", flush=True)
    time.sleep(1000)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds a lock: called with its path."""
    started: list[subprocess.Popen] = []

    def start(path: Path) -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_second_is_told_who_and_a_dead_one_does_not_block(tmp_path, other):
    path = tmp_path / "deep" / ".lock"
    process = other(path)
    told = rf"out.h5 is in use by another facevc process \(process {process.pid} on .+, since 20\d\d-"
    with pytest.raises(FaceVCError, match=told), exclusive_lock(path, "out.h5"):
        pass
    process.kill()
    process.wait()
    with exclusive_lock(path, "out.h5"):
        assert f'"pid": {os.getpid()}' in (tmp_path / "deep" / ".lock.json").read_text()
    assert list(path.parent.iterdir()) == []  # nothing is left behind


def test_waiting_ends_with_the_other(tmp_path, other):
    path = tmp_path / ".lock"
    process = other(path)
    process.kill()  # while this one waits, or just before
    with exclusive_lock(path, "x", wait=True):
        assert path.exists()


COUNT = """
import sys
from pathlib import Path
from facevc_cli.files.locks import exclusive_lock
folder = Path(sys.argv[1])
for _ in range(50):
    with exclusive_lock(folder / ".lock", "x", wait=True):
        (folder / "count").write_text(str(int((folder / "count").read_text()) + 1))
"""


def test_one_at_a_time_though_the_lock_file_comes_and_goes(tmp_path):
    (tmp_path / "count").write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path)]) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    assert (tmp_path / "count").read_text() == "100"


def test_a_folder_without_write_permission_is_left_to_the_writer(tmp_path):
    (tmp_path / "file").write_text("")
    with exclusive_lock(tmp_path / "file" / ".lock", "x"):
        pass


def vector(name: str) -> Item:
    return Item(name, "a", vectors={"v": np.full(2, len(name), np.float32)})


def test_a_merge_takes_no_part_that_came_after_it_began(tmp_path, monkeypatch):
    """Two shards at work: one merges while the other finishes a part."""
    path = tmp_path / "s.h5"
    merging, late = StoreWriter(path, "x", {}), StoreWriter(path, "x", {})
    merging.add(vector("a/1"))
    real = store_writer.write_items

    def write(target: Path, *rest: object) -> None:
        if target == path:
            late.add(vector("a/22"))
            late.flush()
        real(target, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(store_writer, "write_items", write)
    merging.merge(["a/1"])
    monkeypatch.undo()
    with Store(path) as store:
        assert store.ids == ["a/1"]
    again = StoreWriter(path, "x", {})
    assert again.done == {"a/1", "a/22"}
    again.merge([])
    with Store(path) as store:
        assert store.ids == ["a/1", "a/22"] and store.read_vectors("v")[1].tolist() == [4, 4]
    assert [p.name for p in tmp_path.iterdir()] == ["s.h5"]


SHARD = """
import sys, time
from pathlib import Path
from facevc_cli.corpus.store import Item
from facevc_cli.corpus.store_writer import StoreWriter
import numpy as np
from facevc_cli.corpus import extraction
from facevc_cli.core.progress import SILENT
from dataclasses import dataclass
def extract(source):
    while not Path(sys.argv[1], "go").exists():
        time.sleep(0.02)
    return Item(source.id, source.speaker, vectors={"v": np.zeros(2, np.float32)})
shard = sys.argv[3] if len(sys.argv) > 3 else None
config = extraction.ExtractionConfig(sources=(sys.argv[1],), output=Path(sys.argv[2]), jobs=1, shard=shard)
try:
    print(extraction.extract_into_store(
        config, stage="x", suffixes=frozenset({".wav"}), settings={}, extract=extract, reporter=SILENT,
        next_command="").done)
except extraction.UsageError.__base__ as error:
    sys.exit(str(error))
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", SHARD, *map(str, arguments)]


@pytest.mark.slow
def test_shards_side_by_side_and_the_same_one_twice(tmp_path):
    for i in range(60):
        (tmp_path / "in" / "a").mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / "a" / f"{i:02}.wav").write_bytes(b"x")
    out = tmp_path / "s.h5"
    shards = [
        subprocess.Popen(command(tmp_path / "in", out, f"{n}/2"), stdout=subprocess.PIPE, text=True) for n in (1, 2)
    ]
    deadline = time.monotonic() + 60
    while not all((tmp_path / f".s.h5.{n}-of-2.lock.json").exists() for n in (1, 2)) and time.monotonic() < deadline:
        time.sleep(0.01)
    twice = subprocess.run(command(tmp_path / "in", out, "1/2"), capture_output=True, text=True, check=False)
    assert (
        twice.returncode == 1
        and f"shard 1/2 of {out} is in use by another facevc process (process {shards[0].pid} on " in twice.stderr
    )
    (tmp_path / "in" / "go").touch()
    assert [shard.communicate(timeout=60)[0] for shard in shards] == ["30\n", "30\n"]
    assert subprocess.run(command(tmp_path / "in", out), capture_output=True, text=True, check=True).stdout == "0\n"
    with Store(out) as store:
        assert store.ids == [f"a/{i:02}" for i in range(60)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "s.h5"]


def test_two_trainings_into_one_folder(toy_stores: Stores, tmp_path: Path, other):
    process = other(tmp_path / "run" / ".lock")
    with pytest.raises(FaceVCError, match=rf"run is in use by another facevc process \(process {process.pid} on "):
        pretrain(toy_stores, tmp_path / "run")
    process.kill()
    process.wait()
    pretrain(toy_stores, tmp_path / "run", stop_at=1)
    assert not list((tmp_path / "run").glob(".lock*"))
