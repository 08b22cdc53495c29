"""A file's sha256, for those who need nothing else of a checkpoint."""

import hashlib
from pathlib import Path

from facevc_cli.errors import FaceVCError


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file. FaceVCError where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FaceVCError(f"{path}: cannot be read ({error.strerror}).") from error
