"""Files that a page sent or gets: their names, which version of a file is meant, and how they are deleted."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import soundfile

Upload = Mapping[str, Any] | None  # path: on this machine; orig_name: the name that the person gave the file
Stamp = tuple[int, int]  # identifies one version of a file
LONGEST_STEM = 40
LONGEST_NAME = 100


def find_path(upload: Mapping[str, Any]) -> Path:
    try:
        return Path(str(upload.get("path") or "")).resolve()
    except (OSError, RuntimeError, ValueError):  # not a path
        return Path()


def name_upload(upload: Mapping[str, Any]) -> str:
    """The name of an upload as the page shows it: one line, not too long, with its suffix."""
    name = Path(str(upload.get("orig_name") or find_path(upload).name)).name
    line = "".join(character if character.isprintable() else " " for character in name)
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 10]}…{line[-9:]}"


def read_announced_s(path: Path) -> float:
    """Read the duration from the file's header, before decoding. 0 if the header does not say."""
    try:
        return float(soundfile.info(path).duration)
    except (soundfile.LibsndfileError, OSError, TypeError):  # TypeError: the suffix .raw
        return 0.0


def make_stem(name: str) -> str:
    """Make a safe stem for a file name: letters, digits and little else."""
    return re.sub(r"[^\w-]+", "_", Path(name).stem)[:LONGEST_STEM] or "unnamed"


def read_stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def delete_files(files: dict[Path, Stamp]) -> None:
    """Delete the files, and their folders if they are then empty.

    Keep files that arrived again: Gradio stores equal files of two pages in one place, and the other page must still
    read its own.
    """
    for path, stamp in list(files.items()):  # a copy: `leave` may come in between
        with suppress(OSError):
            if read_stamp(path) == stamp:
                path.unlink()
                path.parent.rmdir()
    files.clear()
