"""Some items that one worker on another machine does one after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from facevc_cli.core.engines.base import Keeper
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.workers import attempt

T = TypeVar("T")
R = TypeVar("R")
Outcome = tuple[Any, FaceVCError | None]  # a result, or an error; both None if the worker kept the result


@dataclass
class Chunk(Generic[T, R]):
    """Items, and what became of the first of them. Calling it does the others.

    Whatever ends the call, `outcomes` has only results that are kept. A pickled chunk therefore goes on from there.
    """

    function: Callable[[T], R]
    items: Sequence[T]
    keep: Keeper[R] | None = None
    outcomes: list[Outcome] = field(default_factory=list)

    def __call__(self) -> list[Outcome]:
        results: list[R] = []
        waiting: list[Outcome] = []
        try:
            for item in self.items[len(self.outcomes) :]:
                result, error = attempt(self.function, item)
                if self.keep is not None and error is None:
                    results.append(result)  # type: ignore[arg-type]  # without an error there is a result
                    result = None
                waiting.append((result, error))
                if self.keep is None or self.keep.is_full(results):
                    self._settle(results, waiting)
        finally:  # also if the worker is asked to stop: finished items are written
            self._settle(results, waiting)
        return self.outcomes

    def checkpoint(self) -> Any:
        """Tells submitit how a pre-empted job goes on: with this chunk, from its first item that is not kept."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _settle(self, results: list[R], waiting: list[Outcome]) -> None:
        """Keeps the results. If that fails, such as on a full disk, the error is that of each of them."""
        if self.keep is not None and results:
            try:
                self.keep.write(results)
            except FaceVCError as problem:
                waiting[:] = [(None, error or problem) for _, error in waiting]
        self.outcomes += waiting
        results.clear()
        waiting.clear()


def cut(items: Sequence[T], count: int) -> Iterator[Sequence[T]]:
    """Cuts items into pieces of `count`; the last may be shorter."""
    return (items[start : start + count] for start in range(0, len(items), count))
