"""Computes the sha256 of files, and finds out if a file has changed since."""

import hashlib
import os
import time
from pathlib import Path

from facevc_cli.core.errors import FaceVCError


def hash_file(path: Path | str, advice: str = "Check the path.") -> str:
    """Returns the hexadecimal sha256 of a file's bytes.

    FaceVCError if the file cannot be read, or is a device or a pipe, which may never end. The message ends with
    `advice`.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise FaceVCError(f"{path}: expected a file, found a folder, a device or a pipe. {advice}")
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FaceVCError(f"{path}: cannot be read ({error.strerror}). {advice}") from error


def hash_readable_file(path: Path | str) -> str:
    """Same as `hash_file`, but returns "" if the file cannot be read. Reading it later gives the error."""
    try:
        return hash_file(path)
    except FaceVCError:
        return ""


COARSEST_CLOCK_S = 2.0  # the steps of some file systems' times


def stamp_file(path: Path) -> str:
    """Returns the size and times of a file as text.

    Equal stamps mean equal contents, so a large file need not be read again.

    The stamp includes the time of the inode's last change, which no program can set back. It is empty if the times
    prove nothing: on Windows, and for a file that changed a moment ago, because it may change again within one step of
    the clock.
    """
    try:
        about = path.stat()
    except OSError:
        return ""
    if os.name == "nt" or time.time() - about.st_ctime < COARSEST_CLOCK_S:
        return ""
    return f"{about.st_size}-{about.st_mtime_ns}-{about.st_ctime_ns}"
