"""Names on the command line that facevc does not have.

Old names work as before, and one line on stderr gives the new name. Names that other programs have get an answer.
"""

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from facevc_cli.core.errors import UsageError
from facevc_cli.core.progress import describe_renaming

# Command -> old option -> new option.
RENAMED: dict[str, dict[str, str]] = {
    "pretrain": {"--weights": "--sampling-weights"},
    "train": {"--weights": "--sampling-weights"},
    "benchmark": {"--sources-table": "--sources"},
}
# Command -> the command that has its other options now.
MOVED = {"convert": "benchmark"}
# Option of other programs -> what does it here, if the command has the option in the middle.
GOES_ON = ("--overwrite", "Run the same command again: it goes on where it stopped.")
HABITS = {
    "--resume": GOES_ON,
    "--continue": GOES_ON,
    "--force": ("--overwrite", "To do finished work again, pass --overwrite."),
    "--gpu": ("--device", "Pass --device cuda."),
    "--cuda": ("--device", "Pass --device cuda."),
}


class Command(TyperCommand):
    """A command that knows old names of its options, and options that another command has now."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        other = parent.command.commands[MOVED[self.name]] if parent and self.name in MOVED else None
        moved = dict.fromkeys(
            name for name in _list_names(args) if other and name in _list_options(other) - _list_options(self)
        )
        if other is None or not moved:
            return super().make_context(info_name, args, parent, **extra)
        context = other.make_context(other.name, args, parent, **extra)
        kind = "now options of" if len(moved) > 1 else "now an option of"
        _say(context, f"{', '.join(moved)}: {kind} 'facevc {other.name}', which runs instead.")
        return context

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for name in _list_names(args):
            needed, advice = HABITS.get(name, ("", ""))
            if needed in _list_options(self):
                raise UsageError(f"{name}: there is no such option. {advice}")
        renamed = RENAMED.get(self.name or "", {})
        old = dict.fromkeys(name for name in _list_names(args) if name in renamed)
        end = len(list(_list_names(args)))
        new = [renamed.get(name, name) + word[len(name) :] for name, word in zip(_list_names(args), args, strict=False)]
        rest = super().parse_args(ctx, new + args[end:])
        for parameter in self.params:
            _check_is_local(parameter, ctx.params.get(parameter.name))
        for name in old:
            _say(ctx, describe_renaming(name, renamed[name]))
        return rest


def _list_names(args: list[str]) -> Iterator[str]:
    """Yields '--labels' for '--labels=people.csv', and other words unchanged, up to '--', which ends the options."""
    for word in takewhile(lambda word: word != "--", args):
        yield word.partition("=")[0] if word.startswith("--") else word


def _list_options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts} | RENAMED.get(command.name, {}).keys()


def _check_is_local(parameter: Any, given: Any) -> None:
    """UsageError if a URL is given where only files of this disk will do."""
    from facevc_cli.files.names import is_broken_url

    for path in given if isinstance(given, list | tuple) else [given]:
        if isinstance(path, Path) and is_broken_url(path):
            option = next((f"{name} " for name in parameter.opts if name.startswith("--")), "")
            remedy = "Write to this disk, and copy the result." if "--out" in parameter.opts else "Download it first."
            raise UsageError(f"{option}{path}: expected a path on this disk, found an address on the network. {remedy}")


def _say(context: Any, text: str) -> None:
    if not context.params.get("quiet"):
        typer.echo(text, err=True)
