"""What an engine is, and the pool of workers that it opens."""

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Protocol, TypeVar

from facevc_cli.core.errors import FaceVCError

T = TypeVar("T")
R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)

MOST_ITEMS = 64  # items that a worker on another machine gets at once


class Keeper(Protocol[R_contra]):
    """Keeps results where they are made, so that they need not travel. It is picklable, because each worker has one."""

    def is_full(self, results: Sequence[R_contra]) -> bool:
        """Whether these results should be written before there are more."""

    def write(self, results: Sequence[R_contra]) -> None:
        """Writes results so that a later loss of the worker does not lose them. FaceVCError if that fails."""


class Pool(Protocol):
    """Workers that stay between calls of `map`, so that they load a model once. Use it in a `with` block.

    jobs: the most items, or groups of items, that are worked on at once.
    """

    jobs: int

    def __enter__(self) -> "Pool": ...

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
        """Applies `function` to the items. Yields (item, result, error) as they are done, in any order.

        A worker that dies costs the items that it held, and only for a while: they are tried again. An item that kills
        each worker gets an error. After the first Ctrl-C the started items are finished, then Interrupted is raised.

        function: picklable; it runs in other processes. keep: with it, workers on other machines keep the results
        themselves. The result is then None, and so is the error. Otherwise results come back, and the caller keeps
        them. most_items: items that a worker on another machine gets at once; it keeps their results together.
        """


class Engine(Protocol):
    """Where the items of a command are worked on. Making one is cheap; `open_pool` reaches the machines."""

    name: str

    def count_cpus(self) -> int:
        """How many CPUs the workers may use now."""

    def open_pool(self, jobs: int = 0, *, threads: int = 1, gpus: int = 0) -> Pool:
        """Opens workers.

        jobs: how many work at once; 0: as many as there is room for. threads, gpus: of each worker. ModuleNotFoundError
        without the engine's library, FaceVCError if its machines cannot be reached.
        """

    def close(self) -> None:
        """Leaves the machines."""


def count_gpus(device: str) -> int:
    """How many GPUs a worker needs that runs networks on this device."""
    return int(device.startswith("cuda"))
