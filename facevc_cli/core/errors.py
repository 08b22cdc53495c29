"""Errors that a user can cause or cure: one clear paragraph each, no traceback unless asked for."""


class FaceVCError(Exception):
    """What went wrong, where, what was expected, what was found, and what to do; exit code 1."""


class UsageError(FaceVCError):
    """The command line itself is off; exit code 2."""


class Interrupted(BaseException):
    """Ctrl-C, a termination or a closed terminal, after what could be finished is finished; exit code 128 + the signal's number."""

    def __init__(self, signal_number: int):
        super().__init__(f"stopped by signal {signal_number}")
        self.exit_code = 128 + signal_number
