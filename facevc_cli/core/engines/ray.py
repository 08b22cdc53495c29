"""`--engine ray`: a Ray cluster. Ray schedules, tries again what was on a lost machine, and spills.

The workers must see the same files under the same paths, and have the same facevc.
"""

import logging
import os
import re
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeVar

from facevc_cli.core.engines.base import MOST_ITEMS, Keeper
from facevc_cli.core.engines.chunk import Chunk, Outcome, cut
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.stopping import check_stop, finish_in_hand, is_dropping, stop_requested
from facevc_cli.core.tuning import count_usable_cpus

T = TypeVar("T")
R = TypeVar("R")

RETRIES = 3  # of a chunk whose worker or machine was lost; then its items are tried one by one, as often
CHUNKS_PER_WORKER = 4  # at least, so that all workers end at about the same time
CONNECT_S = 10.0
POLL_S = 1.0  # between looks at Ctrl-C
OBJECT_STORE_BYTES = 256 << 20  # of a cluster of our own: only small results travel


class RayPool:
    """Ray's workers. Each gets a chunk of items at once, and Ray keeps it between chunks."""

    def __init__(self, jobs: int, threads: int, gpus: int):
        self._threads, self._gpus, self._most = max(1, threads), gpus, jobs
        self.jobs = self._count_places()

    def __enter__(self) -> "RayPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...  # the workers stay until the engine is closed

    def map(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        *,
        keep: Keeper[R] | None = None,
        most_items: int = MOST_ITEMS,
    ) -> Iterator[tuple[T, R | None, FaceVCError | None]]:
        import ray

        if not items:
            return
        size = min(most_items, max(1, len(items) // (CHUNKS_PER_WORKER * self._count_places())))
        waiting = deque(cut(items, size))
        work: Any = ray.remote(num_cpus=self._threads, num_gpus=self._gpus, max_retries=RETRIES)(_do_chunk)
        shared = ray.put((os.getcwd(), function, keep))
        pending: dict[Any, Sequence[T]] = {}
        try:
            with finish_in_hand(lambda: len(pending), "chunk"):
                while waiting or pending:
                    room = self._most or 2 * self._count_places()  # a second one each, so that none has to wait
                    while waiting and len(pending) < room and not stop_requested():
                        chunk = waiting.popleft()
                        pending[work.remote(shared, chunk)] = chunk
                    if not pending:
                        break
                    for done in ray.wait(list(pending), timeout=POLL_S)[0]:
                        chunk = pending.pop(done)
                        outcomes = _take_outcomes(done, chunk)
                        if outcomes is None:  # one of them may kill its worker, so the others must not share it
                            waiting.extend(cut(chunk, 1))
                            continue
                        for item, (result, error) in zip(chunk, outcomes, strict=True):
                            yield item, result, error
                    if is_dropping():
                        check_stop()
        finally:
            with suppress(Exception):  # the cluster may be gone
                for left in pending:
                    ray.cancel(left)

    def _count_places(self) -> int:
        """How many chunks the cluster can work on now."""
        found = _read_resources()
        places = int(found.get("CPU", 0)) // self._threads
        if self._gpus:
            places = min(places, int(found.get("GPU", 0) // self._gpus))
        return max(1, min(places, self._most or places))


def _read_resources() -> dict[str, float]:
    """What the cluster has now, by name: CPU, GPU and so on."""
    import ray

    read: Any = ray.cluster_resources  # Ray gives no types here
    found: dict[str, float] = read()
    return found


def _do_chunk(shared: tuple[str, Callable[[T], R], Keeper[R] | None], items: Sequence[T]) -> list[Outcome]:
    """Runs in a worker."""
    folder, function, keep = shared
    try:
        os.chdir(folder)  # paths of the command line are relative to it
    except OSError as error:
        problem = FaceVCError(
            f"{folder}: a machine of the cluster has no such folder ({error.strerror}). Work in a folder that all of "
            "them see, such as one on a network disk."
        )
        return [(None, problem) for _ in items]
    return Chunk(function, items, keep)()


def _take_outcomes(done: Any, chunk: Sequence[T]) -> list[Outcome] | None:
    """Returns the outcomes of a finished chunk. None if its workers were lost, and it has several items."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        outcomes: list[Outcome] = ray.get(done)
        return outcomes
    except RayTaskError:
        raise  # an error of ours is not hidden
    except RayError as error:
        if len(chunk) > 1:
            return None
        said = " ".join(str(error).split())[:300]
        return [
            (
                None,
                FaceVCError(
                    f"the workers that did this item alone were lost {RETRIES + 1} times ({type(error).__name__}: "
                    f"{said}). If its machines were taken away, run the same command again. If memory ran out or a "
                    "library crashed, leave the item out, or cut it into smaller pieces."
                ),
            )
        ]


class RayEngine:
    """A cluster at an address, the one that Ray finds here (RAY_ADDRESS, or one that runs), or a new one of ours."""

    name = "ray"

    def __init__(self, address: str = ""):
        self._address, self._connected = address, False
        self._print: Callable[..., None] | None = None  # Ray's own, while it prints nothing

    def count_cpus(self) -> int:
        self._connect()
        return max(1, int(_read_resources().get("CPU", 0)))

    def open_pool(self, jobs: int = 0, *, threads: int = 1, gpus: int = 0) -> RayPool:
        self._connect()
        return RayPool(jobs, threads, gpus)

    def close(self) -> None:
        if self._connected:
            import ray

            self._connected = False
            ray.shutdown()
            if self._print is not None:
                set_notice_printer(self._print)

    def _connect(self) -> None:
        import ray

        if ray.is_initialized():
            return
        _check_answers(self._address or os.environ.get("RAY_ADDRESS", ""))
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # otherwise a new cluster reports to Ray's makers
        before = signal.getsignal(signal.SIGTERM)
        quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        try:
            try:
                ray.init(address=self._address or "auto", **quiet)
            except ConnectionError:
                if self._address or os.environ.get("RAY_ADDRESS"):
                    raise
                ray.init(
                    address="local",
                    num_cpus=count_usable_cpus(),
                    object_store_memory=OBJECT_STORE_BYTES,
                    include_dashboard=False,
                    **quiet,
                )
        except Exception as error:  # Ray raises many types
            where = self._address or os.environ.get("RAY_ADDRESS") or "this machine"
            raise _explain(where, error) from error
        finally:
            signal.signal(signal.SIGTERM, before)  # Ray puts its own there
        self._connected = True
        self._print = set_notice_printer(lambda *_, **__: None)


def set_notice_printer(print_notice: Callable[..., None]) -> Callable[..., None] | None:
    """Replaces the function by which Ray tells what befell its machines. Returns the one before.

    Ray writes on stdout, and has no setting for that. But stdout belongs to results, such as those of --json. None if
    this Ray has no such function.
    """
    from ray._private import worker

    before: Callable[..., None] | None = getattr(worker, "print_to_stdstream", None)
    if before is not None:
        setattr(worker, "print_to_stdstream", print_notice)  # noqa: B010  # mypy knows no such name
    return before


def _check_answers(address: str) -> None:
    """FaceVCError if nothing listens at HOST:PORT. Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if "//" in host or not host or not port.isdigit():
        return  # what only Ray understands
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise _explain(address, error) from error


def _explain(where: str, error: Exception) -> FaceVCError:
    said = " ".join(str(error).split())[:300]
    return FaceVCError(
        f"--engine ray: no Ray cluster answers at {where} ({said}). Give the address that 'ray start --head' prints, "
        "on a machine of the cluster, with the same versions of Ray and Python."
    )


def make_engine(address: str = "") -> RayEngine:
    found = re.fullmatch(r"[^\s/]+:(\d{1,5})", address)
    if address and (found is None or not 0 < int(found[1]) < 1 << 16):
        raise UsageError(f"--engine ray://{address}: expected ray, or ray://HOST:PORT as 'ray start --head' prints it.")
    return RayEngine(address)
