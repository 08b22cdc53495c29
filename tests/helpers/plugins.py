"""Small packages of other people, installed for one test: a module and its entry points in a folder on the path."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


def install(
    folder: Path,
    patch: pytest.MonkeyPatch,
    module: str,
    code: str,
    group: str,
    names: Mapping[str, str],
    version: str = "1.0",
) -> None:
    """Puts the module and its distribution MODULE-VERSION into `folder`, with the entry points name -> object of the
    module.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    about = folder / f"{module}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n")
    (about / "entry_points.txt").write_text(f"[{group}]\n" + "".join(f"{k} = {module}:{v}\n" for k, v in names.items()))
    patch.delitem(sys.modules, module, raising=False)
    patch.syspath_prepend(str(folder))
    patch.setenv("PYTHONPATH", str(folder))  # for processes that are spawned
