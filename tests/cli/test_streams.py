"""Streams and folders that a shell, a cron job or a full disk leave behind: one line on stderr and the
right exit code.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from helpers.repository import ROOT
from typer.testing import CliRunner

from facevc_cli.cli.report import explain, run_stage
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import Summary

FACEVC = f"{sys.executable} -m facevc_cli"
GONE = "mkdir gone; cd gone; rmdir ../gone; "


def shell(command: str, folder: Path) -> tuple[int, str, str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, cwd=folder, env=environment, timeout=120
    )
    return found.returncode, found.stdout, found.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (f"{FACEVC} --version > /dev/full", 1, "stdout could not be written: No space left on device"),
        (f"{FACEVC} convert --help > /dev/full", 1, "stdout could not be written: No space left on device"),
        (f"{FACEVC} info --json > /dev/full", 1, "stdout could not be written: No space left on device"),
        (f"{FACEVC} info >&-", 1, "stdout could not be written: Bad file descriptor"),
        (f"set -o pipefail; {FACEVC} --version | true", 0, ""),
        (f"{FACEVC} convert - --face x.jpg -o o.wav <&-", 2, "-: expected a recording on stdin, found nothing"),
        (f"{FACEVC} convert - --face x.jpg -o o.wav < /dev/null", 2, "-: expected a recording on stdin, found nothing"),
        (f"{FACEVC} info absent 2>&-", 1, ""),
        (f"{FACEVC} info absent 2> /dev/full", 1, ""),
        (f"{GONE}{FACEVC} info", 1, "the working directory is gone"),
        (f"{GONE}{FACEVC} --version", 0, ""),
    ],
)
def test_one_line_and_the_right_exit_code(tmp_path: Path, command: str, code: int, said: str):
    found, _, told = shell(command, tmp_path)
    if "pipefail" in command:  # whether the reader is gone before the text is written is a race
        assert found in (0, 1) and told.count("\n") <= 1
        return
    assert found == code
    assert said in told and told.count("error: ") == (1 if said else 0) and "Traceback" not in told


@pytest.mark.slow
def test_a_closed_stdout_is_not_given_to_a_file(tmp_path: Path):
    """Else the first file that is opened gets descriptor 1, and what libraries print lands in it."""
    code = (
        "from facevc_cli.cli.streams import open_streams; open_streams(); f = open('a.txt', 'w'); "
        "print(f.fileno(), file=f)"
    )
    assert shell(f"{sys.executable} -c {code!r} >&- <&-".replace('"', '"'), tmp_path)[0] == 0
    assert int((tmp_path / "a.txt").read_text()) > 2


def stage_that_raises(error: BaseException) -> tuple[int, str]:
    app = typer.Typer()

    @app.command()
    def command() -> None:
        def stage(reporter: object) -> Summary:
            raise error

        run_stage(stage)

    found = CliRunner().invoke(app)
    return found.exit_code, found.stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (FaceVCError("a: broken."), 1, "error: a: broken."),
        (UsageError("--x: wrong."), 2, "error: --x: wrong."),
        (ValueError("embedded null byte"), 1, "error: a path holds a NUL character"),
        (MemoryError(), 1, "error: there is not enough memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: not enough memory: you tried"),
            1,
            "error: there is not enough memory",
        ),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "error: /x/y: Permission denied"),
        (
            UnicodeEncodeError("ascii", "\xf6", 0, 1, "ordinal not in range(128)"),
            1,
            "error: a name holds characters that ascii cannot write",
        ),
        (BrokenPipeError(32, "Broken pipe"), 1, "error: stdout could not be written: Broken pipe"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_a_user_can_cause_is_one_line(error: Exception, code: int, said: str):
    found, told = stage_that_raises(error)
    assert found == code and told.startswith(said) and told.count("\n") == 1


def test_a_fault_of_ours_keeps_its_traceback():
    assert explain(KeyError("x")) is None and explain(ValueError("x")) is None and explain(RuntimeError("x")) is None
