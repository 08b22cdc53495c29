"""Use a judge in another process. Only its recipe is sent; the process makes the judge from it once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True)
class LentJudge:
    """The recipe of a judge, sent to another process: the class and its arguments."""

    maker: Callable[..., Any]
    arguments: tuple[Any, ...]


def lend(judge: Any) -> LentJudge | None:
    """Make the recipe of a judge: its class, and its attribute `made_with`, the arguments of its constructor.

    None if the judge must stay in this process. That is so without `made_with`, or if its `device` is not the CPU: only
    one process should take the device's memory.
    """
    if not hasattr(judge, "made_with") or uses_accelerator(judge):
        return None
    return LentJudge(type(judge), tuple(judge.made_with))


def borrow(judge: Any) -> Any:
    """Return the judge itself. A `LentJudge` is made at its first use in this process."""
    return _build(judge) if isinstance(judge, LentJudge) else judge


def uses_accelerator(judge: Any) -> bool:
    """Whether a judge's attribute `device` says that it does not run on the CPU."""
    return not str(getattr(judge, "device", "cpu")).startswith("cpu")


@lru_cache(maxsize=4)
def _build(lent: LentJudge) -> Any:
    return lent.maker(*lent.arguments)
