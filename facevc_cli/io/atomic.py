"""Writing a file so that it appears whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facevc_cli.errors import FaceVCError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; renamed to `path` on success, removed on any failure.

    The temporary name keeps the suffix, which some writers read, and is short even where the name is not. A full disk or a missing
    permission becomes a FaceVCError.
    """
    temporary = path.with_name(f".{path.stem[:32]}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise FaceVCError(
            f"{path} could not be written: {error.strerror or error}. Free space or choose another output, then run the same "
            "command again: what is finished is kept."
        ) from error
    finally:
        with suppress(OSError):  # where a file stands for the folder, not even that can be looked up
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """UTF-8 text, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
