"""`--engine local`: processes of this machine, which end when their parent ends."""

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TypeVar

from facevc_cli.core.engines.base import MOST_ITEMS, Keeper
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.tuning import count_usable_cpus
from facevc_cli.core.workers import Workers

T = TypeVar("T")
R = TypeVar("R")


class LocalPool:
    """Processes that get the items one by one. With one job this process does the work."""

    def __init__(self, jobs: int, threads: int = 1):
        self._workers = Workers(jobs, threads)
        self.jobs = self._workers.jobs

    def __enter__(self) -> "LocalPool":
        self._workers.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._workers.__exit__(kind, error, trace)

    def map(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        *,
        keep: Keeper[R] | None = None,
        most_items: int = MOST_ITEMS,
    ) -> Iterator[tuple[T, R | None, FaceVCError | None]]:
        """As `Pool.map`. The results come back, because this process writes them fastest."""
        yield from self._workers.map(function, items, outlive=True)


class LocalEngine:
    name = "local"

    def count_cpus(self) -> int:
        return count_usable_cpus()

    def open_pool(self, jobs: int = 0, *, threads: int = 1, gpus: int = 0) -> LocalPool:
        return LocalPool(jobs or count_usable_cpus(), threads)

    def close(self) -> None: ...


def make_engine(address: str = "") -> LocalEngine:
    if address:
        raise UsageError(f"--engine local://{address}: expected local alone, because it is this machine.")
    return LocalEngine()
