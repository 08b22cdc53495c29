"""Measure `--engine ray` on a Ray cluster of several node processes on this machine: what an item costs beside
`--engine local`, what killed nodes cost, and the memory of a worker.

    python benchmarks/cluster.py --utterances 10000 --faces 10000 --nodes 1 2 4 --kills 20

That is the full run. It takes one and a half hours on two idle cores, most of it for the faces. To try it:
--utterances 20 --faces 4 --nodes 1 2 --kills 2 --kill-every 3. Small runs show whether the stores are the same. Their
costs of an item mean nothing.

The exit code is 1 if a store differs from the local one, also after kills, or if an item failed.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import common
import numpy as np

OBJECT_STORE_BYTES = 100 << 20
SAMPLE_S = 0.5
START_ATTEMPTS = 5


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("--utterances", type=int, default=10_000)
    parser.add_argument("--faces", type=int, default=10_000, help="number of pictures; 0 leaves faces out")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of an utterance")
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 4], help="node processes, one CPU each")
    parser.add_argument("--kills", type=int, default=20, help="nodes killed at random moments, each replaced at once")
    parser.add_argument("--kill-every", type=float, default=10.0, help="mean time between kills in s")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    check(parser, args)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            for stage, inputs in make_inputs(folder, args).items():
                for row in measure_stage(stage, inputs, folder, args):
                    rows.append(row)
                    sys.stderr.write(f"{row}\n")  # a full run takes hours
        finally:
            common.show("cluster", rows, args.json)
    sys.exit(not all(row["same store"] and not row["failed"] for row in rows))


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.utterances < 0 or args.faces < 0 or 1 in (args.utterances, args.faces) or args.kills < 0:
        parser.error("expected numbers from 0 on, and at least two utterances or faces")
    if min(args.nodes) < 1 or args.kill_every <= 0 or args.seconds <= 0:
        parser.error("expected at least one node, and times above 0")


def make_inputs(folder: Path, args: argparse.Namespace) -> dict[str, Path]:
    """Make utterances of noise and tones, and varied pictures of the example face."""
    from facevc_cli.files.audio import save_audio
    from facevc_cli.files.image import load_image, save_image

    rng = np.random.default_rng(args.seed)
    found = {}
    t = np.arange(round(args.seconds * 16_000)) / 16_000
    for i in range(args.utterances):
        wav = 0.3 * np.sin(2 * np.pi * rng.uniform(90, 250) * t) + 0.01 * rng.standard_normal(len(t))
        save_audio(folder / "wavs" / f"s{i % 16}" / f"{i:06}.wav", wav.astype(np.float32), 16_000)
        found["extract-features"] = folder / "wavs"
    face = load_image(common.FACE)[::2, ::2] if args.faces else np.zeros(0)
    for i in range(args.faces):
        image = np.clip(face * rng.uniform(0.9, 1.1), 0, 255).astype(np.uint8)
        save_image(folder / "pictures" / f"s{i % 16}" / f"{i:06}.jpg", image)
        found["extract-face"] = folder / "pictures"
    time.sleep(2.5)  # a store does not trust the time of a file that was written just now
    return found


def measure_stage(stage: str, inputs: Path, folder: Path, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of figures: of the local run, of each number of nodes, and of the run whose nodes are killed."""
    local, wanted = measure_engine(stage, inputs, folder / f"{stage}-local", "local", 1)
    yield {"stage": stage, "engine": "local", "nodes": 1, **local, "overhead": 0.0, "same store": True}
    for count in args.nodes:
        with open_cluster(count) as cluster:
            address = f"ray://{cluster.address}"
            figures, content = measure_engine(stage, inputs, folder / f"{stage}-{count}", address, count)
        overhead = figures["CPU ms an item"] / local["CPU ms an item"] - 1
        row = {"stage": stage, "engine": "ray", "nodes": count, **figures, "overhead": overhead}
        yield {**row, "same store": content == wanted}
    if args.kills:
        yield kill_nodes(stage, inputs, folder / f"{stage}-kills.h5", wanted, args)


def measure_engine(stage: str, inputs: Path, output: Path, engine: str, jobs: int) -> tuple[dict[str, float], str]:
    """Figures of a whole run, and the content of its store. The first tenth is run alone, to know what a start costs.

    A start is then subtracted, so that an item's cost does not depend on the number of items.
    """
    total = sum(1 for path in inputs.rglob("*") if path.is_file())
    few = max(1, total // 10)
    start = run_stage(stage, inputs, output.with_suffix(".few.h5"), engine, jobs, few)
    whole = run_stage(stage, inputs, output.with_suffix(".h5"), engine, jobs, None)
    each = {name: (whole[name] - start[name]) / (total - few) for name in ("wall s", "CPU s")}
    figures = {
        "items": total,
        "wall s": whole["wall s"],
        "CPU s": whole["CPU s"],
        "wall ms an item": 1000 * each["wall s"],
        "CPU ms an item": 1000 * each["CPU s"],
        "start CPU s": start["CPU s"] - few * each["CPU s"],
        "MB a worker": whole["MB a worker"],
        "failed": start["failed"] + whole["failed"],
    }
    return figures, read_content(output.with_suffix(".h5"))


def run_stage(stage: str, inputs: Path, output: Path, engine: str, jobs: int, limit: int | None) -> dict[str, float]:
    from facevc_cli.stages import extract_face, extract_features

    module: Any = {"extract-features": extract_features, "extract-face": extract_face}[stage]
    kind = getattr(module, "ExtractFeaturesConfig" if stage == "extract-features" else "ExtractFaceConfig")
    # Two jobs or more, so that the work is done in other processes, as a cluster does it.
    config = kind(sources=(inputs,), output=output, engine=engine, jobs=max(jobs, 2 * (engine == "local")), limit=limit)
    started = time.perf_counter()
    with Watch() as watch:
        summary = module.run(config)
    wall = time.perf_counter() - started
    if summary.failures:
        sys.stderr.write(f"{stage} {engine}: {len(summary.failures)} failed, the first: {summary.failures[0]}\n")
    return {
        "wall s": wall,
        "CPU s": watch.cpu_s,
        "MB a worker": watch.most_bytes / 1e6,
        "failed": len(summary.failures),
    }


def kill_nodes(stage: str, inputs: Path, output: Path, wanted: str, args: argparse.Namespace) -> dict[str, Any]:
    """Kill a random node again and again while the command runs, and put another in its place.

    If a run ends before the last kill, the next one has another store. The command is a process of its own, because
    Ray starts nodes in the main thread only.
    """
    count, rng = max(args.nodes), random.Random(args.seed)
    killed, failed = 0, 0
    same: list[bool] = []
    with open_cluster(count) as cluster, Watch() as watch:
        nodes = [node for node in cluster.list_all_nodes() if node is not cluster.head_node]
        started = time.perf_counter()
        due_s = started + rng.expovariate(1 / args.kill_every)
        while killed < args.kills:
            store = output.with_suffix(f".{len(same)}.h5")
            command = [sys.executable, "-m", "facevc_cli", stage, inputs, "-o", store, "--jobs", count, "--json"]
            command += ["--engine", f"ray://{cluster.address}"]
            with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
                while process.poll() is None:
                    time.sleep(0.1)
                    if killed < args.kills and time.perf_counter() >= due_s:
                        killed += 1
                        cluster.remove_node(nodes.pop(rng.randrange(len(nodes))), allow_graceful=False)
                        nodes.append(add_node(cluster))
                        due_s = time.perf_counter() + rng.expovariate(1 / args.kill_every)
                summary = json.loads((process.stdout.read() if process.stdout else "") or '{"failures": ["none"]}')
            failed += len(summary["failures"])
            same.append(store.is_file() and read_content(store) == wanted)
        wall_s = time.perf_counter() - started
    return {
        "stage": stage,
        "engine": f"ray, {killed} nodes killed in {len(same)} runs",
        "nodes": count,
        "wall s": wall_s,
        "CPU s": watch.cpu_s,
        "MB a worker": watch.most_bytes / 1e6,
        "failed": failed,
        "same store": all(same),
    }


@contextmanager
def open_cluster(count: int) -> Iterator[Any]:
    """A head without CPUs, and nodes with one CPU each."""
    import os

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    about = {"num_cpus": 0, "object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
    cluster = try_often(lambda: Cluster(initialize_head=True, head_node_args=about))
    try:
        for _ in range(count):
            add_node(cluster)
        yield cluster
    finally:
        cluster.shutdown()


def add_node(cluster: Any) -> Any:
    return try_often(lambda: cluster.add_node(num_cpus=1, object_store_memory=OBJECT_STORE_BYTES))


def try_often(start: Callable[[], Any]) -> Any:
    """Ray gives a node 30 s to start, which is too little on a busy machine. What a failed start leaves is killed."""
    import psutil

    for left in reversed(range(START_ATTEMPTS)):
        before = set(psutil.Process().children(recursive=True))
        try:
            return start()
        except Exception as error:  # Ray raises Exception itself
            if not left:
                raise
            for process in set(psutil.Process().children(recursive=True)) - before:
                with suppress(psutil.Error):
                    process.kill()
            sys.stderr.write(f"{error} Trying again.\n")


class Watch:
    """What this process and all below it use inside the block: CPU seconds, and the most memory of a worker.

    Ray's workers are no children of this process, and end before it asks. So each is looked at twice a second.
    """

    def __enter__(self) -> "Watch":
        self.most_bytes = 0
        self._first = {key: used for key, used, _ in list_descendants()}
        self._last = dict(self._first)
        self._own_s, self._watching_s = time.process_time(), 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        below = sum(used - self._first.get(key, 0.0) for key, used in self._last.items())
        self.cpu_s = time.process_time() - self._own_s - self._watching_s + below

    def _look(self) -> None:
        while not self._done.wait(SAMPLE_S):
            for key, used, bytes_of_worker in list_descendants():
                self._last[key] = used
                self.most_bytes = max(self.most_bytes, bytes_of_worker)
        self._watching_s = time.thread_time()


def list_descendants() -> list[tuple[tuple[int, float], float, int]]:
    """Processes below this one: which, its CPU seconds, and its resident memory if it is a worker."""
    import psutil

    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            times, command = process.cpu_times(), process.cmdline()
            is_worker = any(part.startswith("ray::") or "spawn_main" in part for part in command)
            memory = process.memory_info().rss if is_worker else 0
            found.append(((process.pid, process.create_time()), times.user + times.system, memory))
    return found


def read_content(store: Path) -> str:
    import h5py

    with h5py.File(store) as file:
        return str(file.attrs["content_sha256"])


if __name__ == "__main__":
    main()
