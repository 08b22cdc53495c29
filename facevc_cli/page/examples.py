"""Bundled photos and recordings to click on. Each page gets a copy of its own, which is deleted like an upload."""

import shutil
import uuid
from importlib.resources import as_file, files
from pathlib import Path

from facevc_cli.page.studio import Studio
from facevc_cli.page.uploads import read_stamp

ASSETS = "assets/examples"


def copy_example(studio: Studio, page: str, name: str) -> Path:
    """Copies a bundled file into the studio's folder, unless this page has an unused copy already."""
    return studio.run_in_turn(_copy, studio, page, name)


def _copy(studio: Studio, page: str, name: str) -> Path:
    session = studio.find_session(page)
    before = session.examples.get(name)
    if before in session.uploads and before.is_file():
        return before
    path = studio.folder / uuid.uuid4().hex / name
    path.parent.mkdir()
    with as_file(files("facevc_cli") / ASSETS / name) as bundled:
        shutil.copyfile(bundled, path)
    session.examples[name], session.uploads[path] = path, read_stamp(path)
    return path
