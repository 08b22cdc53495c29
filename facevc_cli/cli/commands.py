"""Finds the commands. Each is a function in a file of this folder, marked with `register_command`.

A new command is a new file. Nothing else names it.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

Panel = Literal["Prepare", "Learn", "Use"]
PANELS: tuple[Panel, ...] = get_args(Panel)
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class RegisteredCommand:
    name: str
    function: Callable[..., Any]
    panel: Panel
    position: int  # its place in the panel
    other_names: tuple[str, ...]  # not shown in the help
    needs_arguments: bool  # without any it shows its help


_COMMANDS: dict[str, RegisteredCommand] = {}


def register_command(
    panel: Panel, position: int, *, other_names: tuple[str, ...] = (), needs_arguments: bool = True
) -> Callable[[F], F]:
    """Marks a function as the command of its name. The arguments are those of `RegisteredCommand`."""

    def register(function: F) -> F:
        name = function.__name__.replace("_", "-")
        _COMMANDS[name] = RegisteredCommand(
            name=name,
            function=function,
            panel=panel,
            position=position,
            other_names=other_names,
            needs_arguments=needs_arguments,
        )
        return function

    return register


def find_commands() -> list[RegisteredCommand]:
    """Imports all files of this folder, and returns their commands in the order of the help."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if module.name != "app":  # it calls this function
            importlib.import_module(f"{package}.{module.name}")
    return sorted(_COMMANDS.values(), key=lambda command: (PANELS.index(command.panel), command.position))
