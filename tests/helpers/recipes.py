"""Runs recipes, and reads what they leave."""

import csv
import os
import subprocess
from pathlib import Path

from helpers.repository import RECIPES
from helpers.warm_python import find_programs

FAKE = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$LOG"
"""


def run_recipe(
    name: str, *options: object, path: Path | None = None, script: str = "run.sh"
) -> subprocess.CompletedProcess[str]:
    """The script with this Python's commands first on the PATH, after those in `path`."""
    folders = [*([str(path)] if path else []), str(find_programs()), os.environ["PATH"]]
    environment = {**os.environ, "PATH": os.pathsep.join(folders)}
    command = ["bash", str(RECIPES / name / script), *map(str, options)]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, timeout=600
    )


def run_script(script: Path, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A recipe's program in Python. With `check` it must succeed."""
    command = [str(find_programs() / "python3"), str(script), *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or run.returncode == 0, run.stderr
    return run


def list_stages(run: subprocess.CompletedProcess[str]) -> list[int]:
    return [
        int(line.split("stage ")[1].split(",")[0])
        for line in run.stderr.splitlines()
        if line.startswith("== ") and "stage " in line
    ]


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
