"""Errors that a user can cause or correct. Each is one clear paragraph; a traceback appears only on request."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FaceVCError(Exception):
    """What went wrong, where, what was expected, what was found, and what to do. Exit code 1."""


class UsageError(FaceVCError):
    """The command line itself is wrong. Exit code 2."""


class Interrupted(BaseException):
    """A stop by Ctrl-C, a termination or a closed terminal, raised when the work in hand is finished.

    Exit code: 128 + the signal's number.
    """

    def __init__(self, signal_number: int):
        super().__init__(f"stopped by signal {signal_number}")
        self.exit_code = 128 + signal_number


@contextmanager
def name_in_errors(given: object) -> Iterator[None]:
    """Adds the file's name to errors of code that sees only arrays."""
    try:
        yield
    except FaceVCError as error:
        if isinstance(given, str | Path) and str(given) not in str(error):
            raise type(error)(f"{given}: {error}") from error
        raise
