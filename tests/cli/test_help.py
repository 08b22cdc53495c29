"""The command line itself: help of everything, without torch, and exit codes as promised."""

import subprocess
import sys
import time

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from facevc_cli import __version__
from facevc_cli.cli import report
from facevc_cli.cli.app import app
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally

COMMANDS = [
    "extract-wav",
    "extract-features",
    "extract-face",
    "extract-spkemb",
    "pretrain",
    "train",
    "distill",
    "import-checkpoint",
    "convert",
    "speak",
    "live",
    "restyle",
    "voice-card",
    "imagine",
    "sample",
    "nearest",
    "serve",
    "export",
    "benchmark",
    "evaluate",
    "verify",
    "info",
]
MAKERS = {"convert", "speak", "benchmark"}
# What ARCHITECTURE calls the same names everywhere: option -> commands that must have it
SHARED = {
    "--out": set(COMMANDS) - {"info", "serve", "nearest", "verify", "export"},
    "--json": set(COMMANDS),
    "--debug": set(COMMANDS),
    "--quiet": set(COMMANDS) - {"info"},
    "--overwrite": set(COMMANDS) - {"info", "serve", "evaluate", "nearest", "verify"},
    "--limit": {"extract-wav", "extract-features", "extract-face", "extract-spkemb", *MAKERS},
    "--dry-run": {"extract-wav", "extract-features", "extract-face", "extract-spkemb", *MAKERS},
    "--fail-fast": {"extract-wav", "extract-features", "extract-face", "extract-spkemb", *MAKERS},
    "--keep-shards": {"extract-features", "extract-face", "extract-spkemb"},
    "--shard": {"extract-wav", "extract-features", "extract-face", "extract-spkemb"},
    "--engine": {"extract-wav", "extract-features", "extract-face", "extract-spkemb", "convert", "evaluate"},
    "--jobs": {"extract-wav", "extract-features", "extract-face", "extract-spkemb"},
    "--device": {
        "extract-features",
        "extract-face",
        "pretrain",
        "train",
        "distill",
        "serve",
        "voice-card",
        "nearest",
        "live",
        *MAKERS,
    },
    "--seed": {"extract-features", "pretrain", "train", "distill", "benchmark"},
}
runner = CliRunner()
group = get_command(app)


def test_every_command_is_there_and_no_other():
    shown = [name for name, command in group.commands.items() if not command.hidden]  # type: ignore[attr-defined]
    assert shown == COMMANDS and set(group.commands) - set(COMMANDS) == {"extract-voice"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_answers_with_examples(name, flag):
    found = runner.invoke(app, [name, flag], env={"COLUMNS": "200"})
    assert found.exit_code == 0
    assert "Examples" in found.output
    assert f"facevc {name}" in found.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_argument_has_a_help_text(name):
    command = group.commands[name]  # type: ignore[attr-defined]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name}: {parameter.name}"


@pytest.mark.parametrize("option", SHARED)
def test_shared_options_are_everywhere_they_belong(option):
    having = {name for name in COMMANDS if any(option in p.opts for p in group.commands[name].params)}  # type: ignore[attr-defined]
    assert having >= SHARED[option]


def test_one_letter_means_one_thing_everywhere():
    letters: dict[str, set[str]] = {}
    for name in COMMANDS:
        for parameter in group.commands[name].params:  # type: ignore[attr-defined]
            for short in (o for o in parameter.opts if len(o) == 2 and o.startswith("-")):
                letters.setdefault(short, set()).add(max(parameter.opts, key=len))
    assert {k: v for k, v in letters.items() if len(v) > 1} == {}


def test_version_and_no_arguments():
    found = runner.invoke(app, ["--version"])
    assert (found.exit_code, found.output.strip()) == (0, f"facevc {__version__}")
    assert "extract-wav" in runner.invoke(app, []).output
    assert runner.invoke(app, []).exit_code in (0, 2)


@pytest.mark.parametrize(
    "arguments", ["unknown", "extract-wav x --unknown", "extract-wav x -o y --rate fast", "convert x", "info --limit 3"]
)
def test_wrong_command_lines_exit_2(arguments):
    assert runner.invoke(app, arguments.split()).exit_code == 2


HELP = """
import sys
from typer.testing import CliRunner
from facevc_cli.cli.app import app
for arguments in ([], *([name] for name in {commands!r})):
    found = CliRunner().invoke(app, [*arguments, "--help"])
    assert found.exit_code == 0, arguments
names = ("torch", "numpy", "librosa", "h5py", "soundfile", "av", "dlib", "accelerate", "scipy")
heavy = [m for m in names if m in sys.modules]
assert not heavy, heavy
"""


def test_help_needs_no_torch():
    found = subprocess.run(
        [sys.executable, "-c", HELP.format(commands=COMMANDS)], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")


def _run(stage, **options) -> int:
    with pytest.raises(typer.Exit) as caught:
        report.run_stage(stage, **options)
    return caught.value.exit_code


def _raises(error: BaseException):
    def stage(reporter: Reporter) -> Summary:
        raise error

    return stage


def test_exit_codes(capsys):
    failed = Tally(SILENT)
    failed.fail("a", "no face")
    assert _run(lambda r: Summary(done=1)) == 0
    assert _run(lambda r: Summary(skipped=3)) == 0
    assert _run(lambda r: failed.summarise()) == 1
    assert _run(_raises(FaceVCError("the disk is full"))) == 1
    assert "error: the disk is full" in capsys.readouterr().err
    assert _run(_raises(UsageError("--rate 0"))) == 2
    assert _run(_raises(KeyboardInterrupt())) == 130
    with pytest.raises(FaceVCError):
        report.run_stage(_raises(FaceVCError("x")), debug=True)
    assert capsys.readouterr().out == ""


def test_a_long_run_ends_with_what_failed_and_the_command_to_go_on(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["python", "extract-wav", "my videos", "-o", "wavs", "--engine", "ray"])
    tally = Tally(SILENT)
    for number in range(22):
        tally.fail(f"clip{number}", "no sound")
    assert _run(lambda r: tally.summarise(next_command="facevc info", resumes=True)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "failed  clip0: no sound" and lines[19] == "failed  clip19: no sound"
    assert lines[20] == "and 2 more, which --json lists"
    assert lines[-1] == "to go on with what failed: facevc extract-wav 'my videos' -o wavs --engine ray"
    assert not any("next:" in line for line in lines)
    one = Tally(SILENT)
    one.fail("clip.mp4", "clip.mp4: no sound")
    assert _run(lambda r: one.summarise(resumes=True), quiet=True) == 1
    assert capsys.readouterr().err == "failed  clip.mp4: no sound\n"  # named once
    assert _run(lambda r: one.summarise(resumes=True)) == 1
    assert "go on" not in capsys.readouterr().err  # the same command would fail again
    assert _run(lambda r: Summary(done=30, resumes=True)) == 0  # nothing failed, so there is nothing to go on with
    assert "go on" not in capsys.readouterr().err


def test_stdout_is_data_alone(capsys):
    tally = Tally(SILENT)
    tally.fail("clip [/b] :cat:", "no [red]face")

    def stage(reporter: Reporter) -> Summary:
        reporter.begin(2, "files", "x")
        reporter.fail("clip [/b] :cat:", "no [red]face")
        reporter.end()
        return tally.summarise(more=1)

    assert _run(stage, json_out=True) == 1
    told = capsys.readouterr()
    assert told.out == (
        '{"done": 0, "skipped": 0, "failures": [{"item": "clip [/b] :cat:", "reason": "no [red]face"}], "output": '
        'null, "more": 1}\n'
    )
    assert "failed  clip [/b] :cat:: no [red]face" in told.err  # as it is, neither markup nor pictures


def test_the_bar_of_a_terminal_shows_any_name(monkeypatch):
    """A file's name is not markup: '[/x]' must not end the run."""
    reporter = report.ConsoleReporter()
    monkeypatch.setattr(type(reporter.console), "is_terminal", property(lambda self: True))
    reporter.begin(2, "files", "extract [/what]")
    reporter.advance("a/[/x] [bold", loss=1.0)
    time.sleep(0.15)
    reporter.fail("b/[red]", "[/broken]")
    reporter.end()
