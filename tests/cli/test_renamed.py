"""Old names on the command line work, and one line says the new one."""

from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from facevc_cli.cli.app import app
from facevc_cli.cli.renamed import RENAMED
from facevc_cli.core.progress import describe_renaming

COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
NEEDED = {
    "pretrain": ["f.h5", "--voices", "v.h5", "-o", "run"],
    "train": ["f.h5", "--voices", "v.h5", "--faces", "faces.h5", "--init", "run", "-o", "run"],
    "benchmark": ["s.wav", "-o", "out"],
}
RENAMINGS = [(command, old, new) for command, names in RENAMED.items() for old, new in names.items()]


def parse(command: str, *words: str) -> dict[str, object]:
    """A command's parameters by their options."""
    context = COMMANDS[command].make_context(command, [*NEEDED[command], *words])
    return {max(parameter.opts, key=len): context.params[parameter.name] for parameter in COMMANDS[command].params}


@pytest.mark.parametrize(("command", "old", "new"), RENAMINGS)
@pytest.mark.parametrize("joined", [False, True])
def test_an_old_option_is_the_new_one(command, old, new, joined, capsys):
    assert parse(command, *([f"{old}=table.csv"] if joined else [old, "table.csv"]))[new] == Path("table.csv")
    assert capsys.readouterr() == ("", f"{describe_renaming(old, new)}\n")
    assert parse(command, new, "table.csv")[new] == Path("table.csv")
    assert parse(command, old, "table.csv", "--quiet")[new] == Path("table.csv")
    assert capsys.readouterr() == ("", "")
    assert old not in CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout


def test_what_follows_two_dashes_is_no_option(capsys):
    context = COMMANDS["benchmark"].make_context("benchmark", ["-o", "out", "--", "--sources-table", "s.wav"])
    assert context.params["sources"] == ["--sources-table", "s.wav"] and capsys.readouterr().err == ""


def test_a_command_under_two_names():
    assert COMMANDS["extract-voice"].callback.__wrapped__ is COMMANDS["extract-spkemb"].callback.__wrapped__
    assert COMMANDS["extract-voice"].hidden and [p.opts for p in COMMANDS["extract-voice"].params] == [
        p.opts for p in COMMANDS["extract-spkemb"].params
    ]


def test_the_sentence():
    assert describe_renaming("--a", "--b") == "--a is now called --b. The old name still works."
