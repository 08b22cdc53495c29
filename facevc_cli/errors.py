"""Errors that a user can cause or cure: one clear paragraph each, no traceback unless asked for."""


class FaceVCError(Exception):
    """What went wrong, where, what was expected, what was found, and what to do; exit code 1."""


class UsageError(FaceVCError):
    """The command line itself is off; exit code 2."""
