"""Repairs stdin, stdout and stderr, which may be closed, full, gone, or of another encoding."""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, TextIO


class QuietStream:
    """A stderr that drops text that cannot be written, so that an unreadable message ends no work."""

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
    """Gives each of the three streams a descriptor and a stream.

    Without this, the next file that is opened would get the descriptor of a closed stream, and printed text would land
    in that file. A closed stdin reads as empty. A closed stdout fails on writing. Text for a closed stderr is dropped.
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
    """Flushes stdout and returns the error if that fails. After an error stdout drops everything."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        drop_stdout()
        return error if isinstance(error, OSError) else OSError(str(error))
    return None


def drop_stdout() -> None:
    """Makes Python's last flush at exit succeed."""
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
