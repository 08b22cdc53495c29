"""A judge in another process: what is sent there is how it was made, and it is made there once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True)
class LentJudge:
    """Stands for a judge on the way to another process: what was called, with what."""

    maker: Callable[..., Any]
    arguments: tuple[Any, ...]


def lend(judge: Any) -> LentJudge | None:
    """What another process can make the judge of: its class and its attribute `made_with`, the arguments that it was made with.

    None where it must stay in this process: without that attribute, or with a `device` that is not the processor, of which one process is to
    have the memory.
    """
    if not hasattr(judge, "made_with") or uses_accelerator(judge):
        return None
    return LentJudge(type(judge), tuple(judge.made_with))


def borrow(judge: Any) -> Any:
    """The judge itself; of a `LentJudge` one, that of this process, made at its first use."""
    return _build(judge) if isinstance(judge, LentJudge) else judge


def uses_accelerator(judge: Any) -> bool:
    """Whether a judge says, by its attribute `device`, that it runs on something else than the processor."""
    return not str(getattr(judge, "device", "cpu")).startswith("cpu")


@lru_cache(maxsize=4)
def _build(lent: LentJudge) -> Any:
    return lent.maker(*lent.arguments)
