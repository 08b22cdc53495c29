"""What an installation holds besides Python files."""

import tomllib
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path

import pytest

import facevc_cli

ROOT = Path(facevc_cli.__file__).parent
PROJECT = ROOT.parent / "pyproject.toml"


def test_type_checkers_may_use_the_annotations():
    assert files("facevc_cli").joinpath("py.typed").is_file()


@pytest.mark.skipif(not PROJECT.is_file(), reason="an installed package has no pyproject.toml")
def test_every_file_of_the_package_is_in_the_wheel():
    patterns = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]["facevc_cli"]
    others = [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    assert "py.typed" in others
    assert [name for name in others if not any(fnmatch(name, pattern) for pattern in patterns)] == []
