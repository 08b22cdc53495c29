"""Reads `.npy` files of statistics that users give.

It uses no pickle, and no more memory than the file's size allows.
"""

import io
import tokenize
from pathlib import Path

import numpy as np

from facevc_cli.core.errors import FaceVCError

MOST_BYTES = 16 << 20  # means and deviations of bands take a thousand


def read_npy(path: Path) -> np.ndarray:
    """Reads the numbers of a `.npy` file.

    FaceVCError if it holds objects, is damaged, or is smaller than its header says.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"expected statistics, found more than {MOST_BYTES >> 20} MB")
        array = np.load(io.BytesIO(content), allow_pickle=False)
    # numpy evaluates the header as Python text, so that a damaged one raises what Python's parser raises
    except (
        OSError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        SyntaxError,
        MemoryError,
        RecursionError,
    ) as error:
        raise _make_refusal(path, error) from error
    except (EOFError, tokenize.TokenError) as error:
        raise _make_refusal(path, error) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        found = f"{array.dtype} of the shape {array.shape}" if isinstance(array, np.ndarray) else "an archive"
        raise FaceVCError(
            f"{path}: not a .npy array of numbers, but {found}. Give the statistics of the checkpoint's training."
        )
    return array


def _make_refusal(path: Path, error: Exception) -> FaceVCError:
    said = " ".join(str(error).split())[:200] or type(error).__name__
    return FaceVCError(
        f"{path}: not a .npy array of numbers ({said}). Give the statistics of the checkpoint's training."
    )
