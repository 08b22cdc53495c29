"""Locks between processes that write to one output. The locks of a process end with the process."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.stopping import check_stop, remove_if_dropped

if TYPE_CHECKING:
    from filelock import BaseFileLock

POLL_S = 0.1
NOTE = ".json"  # beside the lock: who holds it


@contextmanager
def exclusive_lock(path: Path, what: str, *, wait: bool = False) -> Iterator[None]:
    """Holds a lock file during the block.

    Other processes wait, or without `wait` get a FaceVCError that names the holder.

    what: the locked output, for the error message. The lock file is removed at the end. If the folder is not writable,
    or its file system has no locks, nothing is locked. Writing then reports the problem.
    """
    lock = _acquire(path, what, wait)
    if lock is None:
        yield
        return
    note = path.with_name(path.name + NOTE)
    try:
        with suppress(OSError):
            note.write_text(
                json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": _format_now()}) + "\n",
                encoding="utf-8",
            )
        with remove_if_dropped(note), remove_if_dropped(path):
            yield
    finally:
        for file in (
            note,
            path,
        ):  # while it is still locked: the library sees whether a lock file was removed before it was locked
            with suppress(OSError):
                file.unlink(missing_ok=True)
        with suppress(OSError):
            lock.release()


def _acquire(path: Path, what: str, wait: bool) -> "BaseFileLock | None":
    from filelock import FileLock, Timeout

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    lock = FileLock(path)
    while True:
        try:
            lock.acquire(timeout=0)
            return lock
        except Timeout:
            if not wait:
                raise FaceVCError(
                    f"{what} is in use by another facevc process ({describe_holder(path)}). Wait until it is done, "
                    "stop it, or choose another output."
                ) from None
            check_stop()
            time.sleep(POLL_S)
        except (OSError, NotImplementedError):
            return None


def describe_holder(path: Path) -> str:
    """Returns 'process 12 on host anna, since 2024-01-31 12:00:00' for a lock file."""
    try:
        found = json.loads(path.with_name(path.name + NOTE).read_text(encoding="utf-8"))
        return f"process {found['pid']} on {found['host']}, since {found['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not said which"


def _format_now() -> str:
    return datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
