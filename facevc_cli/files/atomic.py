"""Write a file or a folder so that it appears complete or not at all, also if the power fails."""

import errno
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.stopping import remove_if_dropped

LEFT_S = 60.0  # facevc writes no file for so long
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}\.tmp(\.\w+)?", re.DOTALL)


@contextmanager
def atomic_path(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yields a temporary path beside `path` to write to. On success it is renamed to `path`. On failure it is removed.

    The temporary name keeps the suffix, because some writers read it. It is short even if the name is long. A full disk
    or a missing permission becomes a FaceVCError.
    durable: waits until the name is on the disk, too. Without it a power cut may lose the file, but never leaves an
    incomplete one.
    """
    temporary = path.with_name(f".{path.stem[:32]}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with remove_if_dropped(temporary):
            yield temporary
            _sync_file(temporary)
            os.replace(temporary, path)
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        raise _make_write_error(path, error) from error
    finally:
        with suppress(OSError):  # if the folder is a file, even the look-up fails
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `folder` to fill. On success it replaces `folder`. On failure it is removed.

    The new content is on the disk before the swap. The old content is kept under `name_old_folder` until the swap
    itself is on the disk. An OSError is raised unchanged.
    """
    temporary, old = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp"), name_old_folder(folder)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for below, _, names in os.walk(temporary, topdown=False):
            for name in names:
                _sync_file(Path(below) / name)
            _sync_folder(Path(below))
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.replace(folder, old)
        os.replace(temporary, folder)
        _sync_folder(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def name_old_folder(folder: Path) -> Path:
    """Returns the folder that keeps the old content during a swap. Read it if a crash came between the two renames."""
    return folder.with_name(f".{folder.name}.old")


def _sync_file(path: Path) -> None:
    """Waits until a file's content is on the disk."""
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            errno.ENOTSUP,
            errno.ENOSYS,
        ):  # this file system cannot do it, but the file is complete
            raise
    finally:
        os.close(handle)


def _sync_folder(path: Path) -> None:
    """Waits until the names in a folder are on the disk, on systems that can."""
    with suppress(OSError):  # Windows opens no folders; a network file system may refuse
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def check_writable(folder: Path) -> None:
    """FaceVCError if no file can be put into a folder. One that is missing is made to find out, and removed again."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _make_write_error(folder, error) from error
    finally:
        for path in missing:
            with suppress(OSError):  # another process has put something there
                path.rmdir()


def remove_left(folders: Iterable[Path]) -> None:
    """Remove the temporary files of killed writers: those that nothing has written to for a minute."""
    for folder in folders:
        with suppress(OSError):
            for path in folder.iterdir():
                if _TEMPORARY.fullmatch(path.name) and time.time() - path.stat().st_mtime > LEFT_S:
                    path.unlink()


def _make_write_error(path: Path, error: OSError) -> FaceVCError:
    remedy = "Free space or choose another output, then run the same command again: what is finished is kept."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        remedy = "A file has the name of a folder that is needed. Choose another output."
    elif error.errno == errno.EISDIR:
        remedy = "A folder has this name. Choose another output."
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = "Choose an output where you may write, or change the permissions."
    return FaceVCError(f"{path} could not be written: {error.strerror or error}. {remedy}")


def write_text(path: Path, text: str) -> None:
    """UTF-8 text, atomically; what is no character, such as a byte of a file name that is not UTF-8, as \\udcff, which
    JSON reads.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
