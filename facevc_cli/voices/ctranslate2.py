"""Reads the weights of a CTranslate2 model folder (`model.bin`).

Whisper is packaged in this form for faster-whisper.
"""

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from facevc_cli.core.errors import FaceVCError

_TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)
_VERSIONS = (5, 6)


def read_ctranslate2(folder: Path | str, prefix: str = "") -> dict[str, np.ndarray]:
    """Reads {name: array} of `folder/model.bin`, for names that begin with `prefix`.

    FaceVCError if it is another kind of file.
    """
    path = Path(folder) / "model.bin"
    try:
        with open(path, "rb") as file:
            return _read(file, prefix)
    except OSError as error:
        raise FaceVCError(
            f"{path}: cannot be read ({error.strerror}). Give the folder of a CTranslate2 Whisper model."
        ) from error
    except (struct.error, ValueError, UnicodeDecodeError, IndexError) as error:
        raise FaceVCError(
            f"{path}: expected a CTranslate2 model of version 5 or 6, found something else ({error})."
        ) from error


def _read(file: BinaryIO, prefix: str) -> dict[str, np.ndarray]:
    def read_number(code: str) -> int:
        return struct.unpack("<" + code, file.read(struct.calcsize(code)))[0]

    def read_text() -> str:
        return file.read(read_number("H"))[:-1].decode()

    version = read_number("I")
    if version not in _VERSIONS:
        raise ValueError(f"version {version}")
    read_text()  # the specification's name
    read_number("I")  # its revision
    arrays = {}
    for _ in range(read_number("I")):
        name = read_text()
        shape = [read_number("I") for _ in range(read_number("B"))]
        dtype = _TYPES[read_number("B")]
        data = file.read(read_number("I"))
        if name.startswith(prefix):
            arrays[name] = np.frombuffer(data, dtype).reshape(shape)
    return arrays
