"""A file's sha256, and whether a file is still what it was when it was hashed."""

import hashlib
import os
import time
from pathlib import Path

from facevc_cli.core.errors import FaceVCError


def hash_file(path: Path | str, advice: str = "Check the path.") -> str:
    """The hexadecimal sha256 of a file's bytes.

    FaceVCError, which ends with the advice, if it cannot be read, or is a device or a pipe, which may never end.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise FaceVCError(f"{path}: expected a file, found a folder, a device or a pipe. {advice}")
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FaceVCError(f"{path}: cannot be read ({error.strerror}). {advice}") from error


def hash_readable_file(path: Path | str) -> str:
    """`hash_file`, but nothing for what cannot be read: it fails by itself when its turn comes."""
    try:
        return hash_file(path)
    except FaceVCError:
        return ""


COARSEST_CLOCK_S = 2.0  # the steps of some file systems' times


def stamp_file(path: Path) -> str:
    """Size and times of a file: equal stamps mean equal contents, so that a large file need not be read again.

    The time of the last change of the inode is part of it, which no program can set back. It is empty if that proves
    nothing: on Windows, and for a file that changed a moment ago and may change again within one step of the clock.
    """
    try:
        about = path.stat()
    except OSError:
        return ""
    if os.name == "nt" or time.time() - about.st_ctime < COARSEST_CLOCK_S:
        return ""
    return f"{about.st_size}-{about.st_mtime_ns}-{about.st_ctime_ns}"
