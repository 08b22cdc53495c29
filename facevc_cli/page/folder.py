"""The folder for what the page is given and makes. It goes with the server, or at the next start after a kill."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facevc_cli.core.errors import FaceVCError

PREFIX = "facevc-serve-"
LOCK = "lock"  # held while the server runs; the system frees it when the process ends, however it ends
OWNER = "owner"  # written once the lock is held, and names the folder: a copy or a look-alike does not
FILES = "files"
LEAST_BYTES = 64 * 1024  # what a file counts at least, so that many empty ones count too


@contextmanager
def upload_folder() -> Iterator[Path]:
    """A folder that only this user can read, for all that the page is given and makes; gone afterwards."""
    from filelock import FileLock

    sweep_abandoned(Path(tempfile.gettempdir()))
    try:
        home = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    except OSError as error:
        raise FaceVCError(
            f"No folder for uploads can be made ({error}). Name one that can be written to in TMPDIR."
        ) from error
    lock = FileLock(home / LOCK)
    try:
        with suppress(
            OSError, NotImplementedError
        ):  # some file systems have no locks: then no later server touches the folder
            lock.acquire(blocking=False)
            (home / OWNER).write_text(_owner(home), encoding="utf-8")
        folder = home / FILES
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        lock.release()
        shutil.rmtree(home, ignore_errors=True)


def sweep_abandoned(parent: Path) -> None:
    """Deletes the folders in `parent` that servers of this user left because they were killed."""
    from filelock import FileLock, Timeout

    with suppress(OSError):
        for home in sorted(parent.resolve().glob(f"{PREFIX}*")):
            if not _is_ours(home):
                continue
            lock = FileLock(home / LOCK)
            with suppress(Timeout, OSError, NotImplementedError):  # a server holds it, or nobody can know
                lock.acquire(blocking=False)
                lock.release()
                shutil.rmtree(home, ignore_errors=True)


def used_bytes(folder: Path) -> int:
    """What the files below `folder` take. Each counts as 64 KiB at least."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # deleted meanwhile
                total += max(LEAST_BYTES, os.lstat(os.path.join(parent, name)).st_size)
    return total


def delete_unfinished(folder: Path) -> None:
    """Deletes what broken uploads left. Gradio writes into the folder itself, and moves below it what is whole."""
    for path in folder.iterdir():
        with suppress(OSError):
            if path.is_symlink() or path.is_file():
                path.unlink()


def _owner(home: Path) -> str:
    return f"facevc serve {home.name}\n"


def _is_ours(home: Path) -> bool:
    """Whether `upload_folder` of this user made it. Links are not followed: they could point anywhere."""
    try:
        found, owner, lock = home.lstat(), (home / OWNER).lstat(), (home / LOCK).lstat()
        if not (stat.S_ISDIR(found.st_mode) and stat.S_ISREG(owner.st_mode) and stat.S_ISREG(lock.st_mode)):
            return False
        if os.name == "posix" and (found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700):
            return False
        return owner.st_size == len(_owner(home)) and (home / OWNER).read_text(encoding="utf-8") == _owner(home)
    except (OSError, ValueError):
        return False
