"""`--engine slurm`: job arrays, sent by submitit. Slurm schedules; a pre-empted job goes on from what it has kept.

The jobs must see the same files under the same paths. Their logs are in `.facevc-jobs`, below the working folder.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from facevc_cli.core.engines.base import MOST_ITEMS, Keeper
from facevc_cli.core.engines.chunk import Chunk, cut
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.stopping import check_stop, stop_requested
from facevc_cli.core.tuning import count_usable_cpus

T = TypeVar("T")
R = TypeVar("R")

FOLDER = Path(".facevc-jobs")
JOBS = 16  # array jobs at once, if --jobs says nothing
MOST_ARRAY = 1000  # jobs of an array: Slurm's own limit, if an administrator has not changed it
TIMES_AS_MANY = 8  # items of a job, as against a chunk of other engines: a job starts for many seconds
TIMEOUT_MIN = 24 * 60
POLL_S = {"slurm": 5.0}  # between looks for results; elsewhere jobs are tried without Slurm
SHORT_POLL_S = 0.1
_COMMON = {"timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node"}  # submitit's own names

Parameters = dict[str, str | int | float]


class SlurmPool:
    """Job arrays: one for each call of `map`."""

    def __init__(self, jobs: int, threads: int, gpus: int, parameters: Parameters):
        self.jobs = jobs or JOBS
        self._parameters: Parameters = {
            "timeout_min": TIMEOUT_MIN,
            "cpus_per_task": max(1, threads),
            "slurm_array_parallelism": self.jobs,
            "name": "facevc",
            **({"gpus_per_node": gpus} if gpus else {}),
            **parameters,
        }

    def __enter__(self) -> "SlurmPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def map(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        *,
        keep: Keeper[R] | None = None,
        most_items: int = MOST_ITEMS,
    ) -> Iterator[tuple[T, R | None, FaceVCError | None]]:
        if not items:
            return
        least = -(-len(items) // MOST_ARRAY)
        size = max(least, min(TIMES_AS_MANY * most_items, -(-len(items) // self.jobs)))
        chunks = list(cut(items, size))
        cluster = str(self._parameters.get("cluster", "slurm"))
        folder = FOLDER.absolute() / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.monotonic_ns() % 10**6:06d}"
        executor = _make_executor(folder, cluster, self._parameters)
        pending = dict(zip(_submit(executor, [Chunk(function, c, keep) for c in chunks]), chunks, strict=True))
        lost = False
        try:
            while pending:
                check_stop()
                for job in [job for job in pending if job.done()]:
                    chunk = pending.pop(job)
                    error = job.exception()
                    lost = lost or error is not None
                    if error is None:
                        for item, (result, problem) in zip(chunk, job.result(), strict=True):
                            yield item, result, problem
                    else:
                        problem = _explain(job, error, folder)
                        yield from ((item, None, problem) for item in chunk)
                if pending:
                    time.sleep(POLL_S.get(cluster, SHORT_POLL_S))
        finally:
            for job in pending:
                with suppress(Exception):  # it may have ended by itself
                    job.cancel(check=False)
        if not lost and not stop_requested():
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # another command's jobs
                FOLDER.rmdir()


def _submit(executor: Any, chunks: Sequence[Chunk[T, R]]) -> list[Any]:
    try:
        with _redirect_stderr(executor.folder / "stderr.log") if executor.cluster == "local" else nullcontext():
            return list(executor.submit_array(chunks))
    except Exception as error:  # submitit raises what sbatch says in several types
        said = " ".join(str(error).split())[:300]
        raise FaceVCError(
            f"--engine slurm: the jobs were not accepted ({said}). See the settings of your cluster, such as "
            "slurm://partition=NAME,account=NAME."
        ) from error


@contextmanager
def _redirect_stderr(path: Path) -> Iterator[None]:
    """Processes that start inside this block write their errors into a file.

    The processes of cluster=local print a traceback when they are stopped, such as after Ctrl-C.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        before = os.dup(2)
    except OSError:  # this process has no stderr
        yield
        return
    try:
        with open(path, "ab") as log:
            os.dup2(log.fileno(), 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def _explain(job: Any, error: Exception, folder: Path) -> FaceVCError:
    """Says which job failed. An error of ours is raised as it is: it is no property of the items."""
    from submitit.core.utils import FailedJobError

    if isinstance(error, FailedJobError):
        raise error
    said = " ".join(str(error).split())[:300]
    return FaceVCError(
        f"the Slurm job {job.job_id} ended before it had said what it did ({job.state}: {said}). What it had finished "
        f"is kept. Its log is in {folder}. Run the same command again for the rest."
    )


def _make_executor(folder: Path, cluster: str, parameters: Parameters) -> Any:
    """UsageError if submitit knows no such parameter."""
    import submitit

    if cluster == "slurm" and shutil.which("sbatch") is None:
        raise FaceVCError(
            "--engine slurm: this machine has no command sbatch. Run facevc where you send jobs to Slurm."
        )
    named = {
        name if name in {*_COMMON, "name"} or name.startswith("slurm_") else f"slurm_{name}": value
        for name, value in parameters.items()
        if name != "cluster"
    }
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(**named)
    except (NameError, ValueError, AssertionError, TypeError) as error:
        raise UsageError(f"--engine slurm://: submitit does not take this: {str(error).splitlines()[0]}") from error
    return executor


class SlurmEngine:
    name = "slurm"

    def __init__(self, parameters: Parameters):
        self._parameters = parameters

    def count_cpus(self) -> int:
        return JOBS if "cluster" not in self._parameters else count_usable_cpus()

    def open_pool(self, jobs: int = 0, *, threads: int = 1, gpus: int = 0) -> SlurmPool:
        return SlurmPool(jobs, threads, gpus, self._parameters)

    def close(self) -> None: ...


def make_engine(address: str = "") -> SlurmEngine:
    """address: NAME=VALUE,..., as submitit calls them, with or without `slurm_`.

    cluster=local and cluster=debug try it without Slurm.
    """
    parameters: Parameters = {}
    for part in filter(None, address.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not name.isidentifier() or not value:
            raise UsageError(
                f"--engine slurm://{address}: expected slurm, or slurm://NAME=VALUE,..., such as "
                "slurm://partition=gpu,timeout_min=600."
            )
        parameters[name] = _parse(value)
    return SlurmEngine(parameters)


def _parse(value: str) -> str | int | float:
    """A number if it is written as Python writes it. Others, such as an account 007, are names."""
    for kind in (int, float):
        with suppress(ValueError):
            if str(kind(value)) == value:
                return kind(value)
    return value
