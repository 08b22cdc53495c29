"""Commands, called in this process or started in one of their own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from facevc_cli.cli.app import app


def call(*arguments: object) -> Result:
    """Runs `facevc` with these arguments, in a terminal too wide to break lines."""
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "200"})


def start_serving(model: Path, temporary: Path, *options: str) -> "subprocess.Popen[str]":
    """`facevc serve` as a process of its own, on a free port, with its temporary files in a folder.

    Ctrl-C reaches it, even if the tests run as a shell's background job, which ignores it.
    """
    command = [sys.executable, "-m", "facevc_cli", "serve", "--port", "0", "--checkpoint", str(model)]
    return subprocess.Popen(
        [*command, "--vocoder", "griffin-lim", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
