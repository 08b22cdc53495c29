"""stdin, stdout and stderr as processes are given them: closed, full, gone, or of another encoding."""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, TextIO


class QuietStream:
    """stderr that loses what it cannot write: a message that nobody can read ends no work."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def open_streams() -> None:
    """Gives each of the three a descriptor and a stream.

    A closed descriptor would go to the next file that is opened, and what is printed would land there. A closed stdin is at its end, a closed stdout
    fails when something is written to it, and what a closed stderr is told is lost.
    """
    for number, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            _open_null(number, flags)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an arrow, or a name that is not UTF-8, under LANG=C
    sys.stderr = QuietStream(sys.stderr)


def flush_stdout() -> OSError | None:
    """Writes what is left for stdout; the error where that fails, after which stdout takes everything and keeps nothing."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        drop_stdout()
        return error if isinstance(error, OSError) else OSError(str(error))
    return None


def drop_stdout() -> None:
    """Lets Python's last flush at its end succeed."""
    with suppress(OSError, ValueError):
        handle = os.open(os.devnull, os.O_WRONLY)
        os.dup2(handle, 1)
        os.close(handle)
    with suppress(OSError, ValueError):
        sys.stdout.flush()


def _open_null(number: int, flags: int) -> None:
    with suppress(OSError):
        handle = os.open(os.devnull, flags)
        if handle != number:
            os.dup2(handle, number)
            os.close(handle)
