"""Writes docs/cli.md, the reference of the command line, out of the commands themselves.

python docs/make_cli.py            writes it
python docs/make_cli.py --check    says whether it is current
"""

import inspect
import re
import sys
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from facevc_cli.cli.app import app

PAGE = Path(__file__).parent / "cli.md"
EXAMPLES = "Examples:"
VALUES = {int: "N", float: "X", Path: "PATH", str: "TEXT"}
INTRODUCTION = """# Command line

This page lists every command with all of its options. `python docs/make_cli.py` writes it from the commands' own help,
so do not edit it.

Every command has `-h`/`--help`. What a command was asked for is written to stdout, also through a pipe: a ranking, a
verdict, tables. With `--json` stdout holds JSON only. Progress, warnings and summaries are written to stderr.
[Converting](converting.md#pipes-and-scripts) lists the exit codes.
An option without a default is off. If it says *required*, it needs a value.
"""


def reference() -> str:
    """The page: what there is, by panel, and a section a command, in the order of `facevc --help`."""
    commands = get_command(app).commands  # type: ignore[attr-defined]
    hidden = {name for name, command in commands.items() if command.hidden}
    parts = [INTRODUCTION]
    panels: dict[str, list[str]] = {}
    for name, command in commands.items():
        panels.setdefault(getattr(command, "rich_help_panel", None) or "Commands", []).append(name)
    for panel, names in panels.items():
        parts.append(f"**{panel}**\n")
        parts.append(
            "\n".join(
                f"- [`facevc {n}`](#facevc-{n}): {description(commands[n]).split(chr(10))[0]}"
                for n in names
                if n not in hidden
            )
            + "\n"
        )
    callbacks = {
        info.name or str(info.callback and info.callback.__name__): info.callback for info in app.registered_commands
    }
    parts += [section(name, command, callbacks[name]) for name, command in commands.items() if name not in hidden]
    return "\n".join(parts)


def section(name: str, command: Any, callback: Any) -> str:
    kinds = {key: hint for key, hint in typing.get_type_hints(callback, include_extras=True).items() if key != "return"}
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [
        p
        for p in command.params
        if p.param_type_name == "option" and not getattr(p, "hidden", False) and "--help" not in p.opts
    ]
    needed = [f"{longest(p)} {value_of(p, kinds)}" for p in options if p.required]
    usage = " ".join(["facevc", name, *map(usage_of, arguments), *needed, "[OPTIONS]"])
    lines = [f"## facevc {name}", "", description(command), "", "```text", usage, "```", ""]
    if found := list(examples(command)):
        lines += ["```bash", *found, "```", ""]
    if arguments:
        lines += [
            "| argument | meaning |",
            "| --- | --- |",
            *(f"| `{usage_of(p)}` | {cell(p.help)} |" for p in arguments),
            "",
        ]
    panels: dict[str, list[Any]] = {}
    for option in options:
        panels.setdefault(getattr(option, "rich_help_panel", None) or "Options", []).append(option)
    for panel, those in panels.items():
        lines += [f"| {panel} | default | meaning |", "| --- | --- | --- |", *(row(p, kinds) for p in those), ""]
    return "\n".join(lines)


def row(option: Any, kinds: dict[str, Any]) -> str:
    names = ", ".join(f"`{o}`" for o in [*sorted(option.opts, key=len, reverse=True), *option.secondary_opts])
    value = value_of(option, kinds).replace("|", r"\|")  # a plain one would end the cell, also within backticks
    limits = range_of(kinds[option.name])
    return (
        f"| {names}{f' `{value}`' if value else ''} | {default_of(option)} | "
        f"{cell(option.help)}{f' {limits}' if limits else ''} |"
    )


def description(command: Any) -> str:
    """What the command does: its help without the examples."""
    return inspect.cleandoc(command.help or "").split(EXAMPLES)[0].strip()


def examples(command: Any) -> Iterator[str]:
    """The command lines of its help."""
    _, _, rest = inspect.cleandoc(command.help or "").partition(EXAMPLES)
    yield from (line.strip() for line in rest.splitlines() if line.strip())


def usage_of(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()) + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def longest(option: Any) -> str:
    return max(option.opts, key=len)


def value_of(option: Any, kinds: dict[str, Any]) -> str:
    """What an option takes, as the help says it, else by its type; nothing for a flag."""
    if option.is_flag:
        return ""
    return option.metavar or VALUES.get(kind_of(kinds[option.name]), "TEXT")


def kind_of(hint: Any) -> Any:
    """int of Annotated[list[int] | None, ...]."""
    if typing.get_origin(hint) is typing.Annotated:
        return kind_of(typing.get_args(hint)[0])
    inner = [part for part in typing.get_args(hint) if part is not type(None)]
    return kind_of(inner[0]) if inner else hint


def range_of(hint: Any) -> str:
    """'At least 1.' where the option has limits."""
    about = next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, typer.models.ParameterInfo)), None)
    low, high = getattr(about, "min", None), getattr(about, "max", None)
    parts = [f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None)
    return f"{' and '.join(parts).capitalize()}." if parts else ""


def default_of(option: Any) -> str:
    if option.required:
        return "*required*"
    if option.is_flag:
        return ("on" if option.default else "off") if option.secondary_opts else ""
    if option.default is None or option.default in ("", [], ()) or callable(option.default):
        return ""
    return f"`{option.default}`"


def cell(text: str | None) -> str:
    """Help inside a table of Markdown."""
    plain = " ".join((text or "").split()).replace("|", "\\|").replace("<", "&lt;")
    return re.sub(r"__", r"\\_\\_", plain)


def main(arguments: Sequence[str]) -> int:
    if "--check" in arguments:
        current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == reference()
        sys.stderr.write(f"{PAGE}: {'current' if current else 'not current: run python docs/make_cli.py'}\n")
        return 0 if current else 1
    PAGE.write_text(reference(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
