"""Old names on the command line work, and one line says the new one."""

from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from facevc_cli.cli.app import app
from facevc_cli.cli.renamed import RENAMED
from facevc_cli.core.errors import UsageError
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--resume"], r"^--resume: there is no such option\. Run the same command again"),
        (["--force"], r"^--force: .* pass --overwrite\.$"),
        (["--gpu"], r"^--gpu: .* Pass --device cuda\.$"),
        (["-o", "s3://bucket/out"], r"^--out s3:/bucket/out: expected a path on this disk.* copy the result\.$"),
        (["--pairs", "https://example.org/p.csv"], r"^--pairs https:/example\.org/p\.csv: .* Download it first\.$"),
    ],
)
def test_what_other_programs_do_gets_an_answer(words, said):
    with pytest.raises(UsageError, match=said):
        parse("benchmark", *words)


def test_a_habit_is_an_unknown_option_if_its_answer_does_not_fit():
    found = CliRunner().invoke(app, ["verify", "a.wav", "--force"])
    assert found.exit_code == 2 and "No such option" in found.stderr


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
