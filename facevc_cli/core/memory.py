"""Recognise that memory ran out, and report it as an input that is too large instead of a bug."""

import errno
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from facevc_cli.core.errors import FaceVCError

# What torch, CUDA, Metal, dlib, libsndfile, FFmpeg and HDF5 say. They raise it as a RuntimeError or an OSError.
_SAID = re.compile(
    r"can'?t allocate memory|cannot allocate memory|not enough memory|out of memory|bad_alloc|malloc\S* failed|"
    r"memory allocation failed|"
    r"unable to allocate|insufficient memory|can't start new thread|std::length_error",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, whichever library raised it."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError | OSError) and _SAID.search(str(error)) is not None


@contextmanager
def report_memory_errors(what: str = "") -> Iterator[None]:
    """Turn an out-of-memory error inside this block into a FaceVCError. `what` names the item.

    The arrays of the failed calls are released, so that the next item can use their memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        told = FaceVCError(
            f"{what + ': ' if what else ''}it needs more memory than there is ({said}). Cut it into shorter or "
            "smaller pieces, or work on fewer files at a time."
        )
    else:
        return
    _empty_cuda_cache()
    raise told


def _empty_cuda_cache() -> None:
    import sys

    torch = sys.modules.get("torch")  # not imported for this: a process without torch has no cache to empty
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
