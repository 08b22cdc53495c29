"""Writing a file so that it appears whole or not at all."""

import os
import re
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facevc_cli.errors import FaceVCError
from facevc_cli.runtime.stopping import removed_if_dropped

LEFT_S = 60.0  # no file of ours takes so long to write
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}\.tmp(\.\w+)?", re.DOTALL)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; renamed to `path` on success, removed on any failure.

    The temporary name keeps the suffix, which some writers read, and is short even where the name is not. A full disk or a missing
    permission becomes a FaceVCError.
    """
    temporary = path.with_name(f".{path.stem[:32]}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with removed_if_dropped(temporary):
            yield temporary
            os.replace(temporary, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):  # where a file stands for the folder, not even that can be looked up
            temporary.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Makes the folder where it is missing; FaceVCError where no file can be put there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _unwritable(folder, error) from error


def remove_left(folders: Iterable[Path]) -> None:
    """Takes away the temporary files of writers that were killed: those that nobody has written to for a minute."""
    for folder in folders:
        with suppress(OSError):
            for path in folder.iterdir():
                if _TEMPORARY.fullmatch(path.name) and time.time() - path.stat().st_mtime > LEFT_S:
                    path.unlink()


def _unwritable(path: Path, error: OSError) -> FaceVCError:
    return FaceVCError(
        f"{path} could not be written: {error.strerror or error}. Free space or choose another output, then run the same "
        "command again: what is finished is kept."
    )


def write_text(path: Path, text: str) -> None:
    """UTF-8 text, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
