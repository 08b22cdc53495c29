"""The folder for uploads and results.

It is deleted when the server ends, or at the next start if the server was killed.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facevc_cli.core.errors import FaceVCError

PREFIX = "facevc-serve-"
LOCK = "lock"  # held while the server runs; the system frees it however the process ends
OWNER = "owner"  # written once the lock is held; it names the folder, so copies and look-alikes are recognised
FILES = "files"
LEAST_BYTES = 64 * 1024  # each file counts as at least this much, so that many empty ones count too


@contextmanager
def open_upload_folder() -> Iterator[Path]:
    """Make a folder that only this user can read, for uploads and results. Delete it afterwards."""
    from filelock import FileLock

    sweep_abandoned(Path(tempfile.gettempdir()))
    try:
        home = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    except OSError as error:
        raise FaceVCError(
            f"The folder for uploads cannot be made ({error}). Set TMPDIR to a folder that you can write to."
        ) from error
    lock = FileLock(home / LOCK)
    try:
        with suppress(
            OSError, NotImplementedError
        ):  # some file systems have no locks; then no later server deletes the folder
            lock.acquire(blocking=False)
            (home / OWNER).write_text(_make_owner_text(home), encoding="utf-8")
        folder = home / FILES
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        lock.release()
        shutil.rmtree(home, ignore_errors=True)


def sweep_abandoned(parent: Path) -> None:
    """Delete the folders in `parent` that killed servers of this user left."""
    from filelock import FileLock, Timeout

    with suppress(OSError):
        for home in sorted(parent.resolve().glob(f"{PREFIX}*")):
            if not _is_ours(home):
                continue
            lock = FileLock(home / LOCK)
            with suppress(Timeout, OSError, NotImplementedError):  # a server holds it, or that is unknown
                lock.acquire(blocking=False)
                lock.release()
                shutil.rmtree(home, ignore_errors=True)


def count_used_bytes(folder: Path) -> int:
    """Sum the sizes of the files below `folder`. Each counts as at least 64 KiB."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # another process has deleted it
                total += max(LEAST_BYTES, os.lstat(os.path.join(parent, name)).st_size)
    return total


def delete_unfinished(folder: Path) -> None:
    """Delete what broken uploads left.

    Gradio writes into the folder itself and moves complete files into subfolders.
    """
    for path in folder.iterdir():
        with suppress(OSError):
            if path.is_symlink() or path.is_file():
                path.unlink()


def _make_owner_text(home: Path) -> str:
    return f"facevc serve {home.name}\n"


def _is_ours(home: Path) -> bool:
    """Whether `open_upload_folder` made it for this user. Links are not followed, because they could point anywhere."""
    try:
        found, owner, lock = home.lstat(), (home / OWNER).lstat(), (home / LOCK).lstat()
        if not (stat.S_ISDIR(found.st_mode) and stat.S_ISREG(owner.st_mode) and stat.S_ISREG(lock.st_mode)):
            return False
        if os.name == "posix" and (found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700):
            return False
        return owner.st_size == len(_make_owner_text(home)) and (home / OWNER).read_text(
            encoding="utf-8"
        ) == _make_owner_text(home)
    except (OSError, ValueError):
        return False
