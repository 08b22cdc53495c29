"""Reads the memory slots that faces address, which `convert` wrote."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import parse_json


@dataclass(frozen=True)
class Addresses:
    """The memory slots that faces address.

    address: (faces, slots), rows sum to 1. slots: (slots, voice_dim), the memory's values.
    """

    faces: tuple[str, ...]
    address: np.ndarray
    slots: np.ndarray


def read_addresses(path: Path | None) -> Addresses | None:
    """Read convert's addresses.safetensors. None if it is missing or cannot be drawn."""
    from safetensors import SafetensorError, safe_open

    if path is None or not path.is_file():
        return None
    try:
        with safe_open(path, "numpy") as file:
            faces = tuple(parse_json((file.metadata() or {}).get("faces", "[]"), str(path), list))
            found = Addresses(faces, file.get_tensor("address"), file.get_tensor("slots"))
    except (SafetensorError, FaceVCError, ValueError, OSError):
        return None
    fits = found.address.ndim == found.slots.ndim == 2 and found.address.shape == (len(faces), len(found.slots))
    fits = (
        fits
        and all(isinstance(face, str) for face in faces)
        and bool(np.isfinite(found.address).all() and np.isfinite(found.slots).all())
    )
    return found if fits and len(faces) and min(found.slots.shape) > 1 else None
