"""Finds the engine that a value of `--engine` names: a file of this folder, or another package's entry point."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from facevc_cli.core.engines.base import Engine
from facevc_cli.core.plugins import Plugins

_PACKAGE = __name__.rpartition(".")[0]
_NO_ENGINES = {"base", "chunk", "registry"}

ENGINES = Plugins(
    "facevc.engines",
    "--engine",
    "engine",
    tuple(
        module.name
        for module in pkgutil.iter_modules(importlib.import_module(_PACKAGE).__path__)
        if module.name not in _NO_ENGINES
    ),
)


def make_engine(text: str) -> Engine:
    """Makes the engine of NAME or NAME://ADDRESS. UsageError if there is none, or it does not take the address.

    It reaches no machine and imports no library. An engine's function gets the text behind `://`.
    """
    name, _, address = text.partition("://")
    if name not in ENGINES.own:
        made: Engine = ENGINES.make(name, address)
        return made
    make: Callable[[str], Engine] = importlib.import_module(f"{_PACKAGE}.{name}").make_engine
    return make(address)


@contextmanager
def open_engine(text: str) -> Iterator[Engine]:
    """Makes the engine, and closes it at the end of the block."""
    engine = make_engine(text)
    try:
        yield engine
    finally:
        engine.close()
