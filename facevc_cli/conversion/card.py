"""Reads and writes voice cards. A card keeps a recalled voice without the picture, in one safetensors file.

It holds the tensors `speaker` (voice_dim,) and `address` (slots,), float32. Its metadata names the model, the files and
the settings.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from facevc_cli import __version__
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import parse_json
from facevc_cli.files.atomic import atomic_path

CARD_SUFFIX = ".safetensors"
FORMAT, KIND = 1, "facevc voice card"
WEIGHTS_DIGITS = 16  # digits of the sha256 that identifies a model
TOP_SLOTS = 5  # slots that a description of an address names
_TEXTS = ("kind", "format", "model", "weights_sha256", "temperature", "origin", "made", "facevc")


@dataclass(frozen=True)
class VoiceCard:
    """A recalled voice.

    speaker: (voice_dim,) float32, for the decoder; address: (slots,) float32, sums to 1, for mixes.

    origin: one mapping per file that it was recalled from: `file` (name without folder), `sha256` and `share`.
    """

    speaker: np.ndarray
    address: np.ndarray
    model: str
    weights_sha256: str  # the first digits
    temperature: float
    origin: tuple[Mapping[str, str], ...]
    made: str  # date, ISO 8601
    facevc: str  # the package's version

    @classmethod
    def make(
        cls,
        speaker: np.ndarray,
        address: np.ndarray,
        model: str,
        weights_sha256: str,
        temperature: float,
        origin: Sequence[Mapping[str, str]],
    ) -> "VoiceCard":
        """Makes a card of today."""
        today = date.today().isoformat()
        digits = weights_sha256[:WEIGHTS_DIGITS]
        return cls(speaker, address, model, digits, temperature, tuple(origin), today, __version__)

    def check_model(self, model: str, weights_sha256: str, memory_shape: tuple[int, int], where: str) -> None:
        """FaceVCError if another model made the card. memory_shape: (slots, voice_dim)."""
        own = weights_sha256[:WEIGHTS_DIGITS]
        if self.weights_sha256 != own or (len(self.address), len(self.speaker)) != memory_shape:
            raise FaceVCError(
                f"{where}: this voice was recalled by the model {self.model!r} with the weights {self.weights_sha256}, "
                f"but this model is {model!r} with {own}. A card works only with its own model. "
                "Pass that model as --checkpoint, or make the card again with 'facevc voice-card'."
            )


def save_card(path: Path, card: VoiceCard) -> None:
    """Writes the card atomically."""
    texts = {
        "kind": KIND,
        "format": str(FORMAT),
        "model": card.model,
        "weights_sha256": card.weights_sha256,
        "temperature": f"{card.temperature:g}",
        "origin": json.dumps([dict(part) for part in card.origin]),
        "made": card.made,
        "facevc": card.facevc,
    }
    tensors = {
        name: np.ascontiguousarray(tensor, np.float32)
        for name, tensor in (("speaker", card.speaker), ("address", card.address))
    }
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, texts)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        temporary.chmod(0o644)  # safetensors makes the file readable by its owner only


def load_card(path: Path) -> VoiceCard:
    """Reads a card. FaceVCError if the file is missing, damaged, of another kind, or of a later format."""
    try:
        with safe_open(path, "np") as file:
            texts = file.metadata() or {}
            if texts.get("kind") != KIND:
                raise FaceVCError(
                    f"{_describe_expected(path)}, found a safetensors file of another kind "
                    f"({_list_tensors(list(file.keys()))}). Check the path."
                )
            if texts.get("format") != str(FORMAT):
                raise FaceVCError(
                    f"{path}: expected a voice card of format {FORMAT}, found format {texts.get('format')}. Update "
                    "facevc, or make the card again."
                )
            if missing := [name for name in _TEXTS if name not in texts]:
                raise ValueError(f"its metadata lacks {', '.join(missing)}")
            speaker, address = _check_vector(file.get_tensor("speaker")), _check_vector(file.get_tensor("address"))
        if (address < 0).any() or abs(float(address.sum()) - 1) > 1e-3:
            raise ValueError("its address is no distribution (numbers from 0, with the sum 1)")
        temperature, origin = float(texts["temperature"]), _parse_origin(texts["origin"])
        if not 0 < temperature < math.inf:
            raise ValueError(f"its temperature is {temperature}")
        if not all(isinstance(part, dict) for part in origin):
            raise ValueError("its origin is no list of files")
        return VoiceCard(
            speaker,
            address,
            texts["model"],
            texts["weights_sha256"],
            temperature,
            tuple(origin),
            texts["made"],
            texts["facevc"],
        )
    except FileNotFoundError as error:
        raise FaceVCError(f"{path}: no such voice card. Check the path.") from error
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise FaceVCError(
            f"{_describe_expected(path)}, found a damaged file or another kind ({error}). Make it again."
        ) from error


def describe_address(address: np.ndarray) -> dict[str, Any]:
    """Returns an address's entropy in bits, its count of slots, and the `top_slots` with the largest shares.

    address: (slots,).
    """
    shares = np.asarray(address, np.float64)
    entropy = max(0.0, -float((shares * np.log2(np.maximum(shares, 1e-30))).sum()))
    top = [
        {"slot": int(slot), "share": round(float(shares[slot]), 4)}
        for slot in np.argsort(-shares, kind="stable")[:TOP_SLOTS]
    ]
    return {"address_entropy_bits": round(entropy, 3), "slots": len(shares), "top_slots": top}


def _parse_origin(text: str) -> list:
    try:
        return parse_json(text, "its origin", list)
    except FaceVCError as error:
        raise ValueError(str(error)) from error


def _describe_expected(path: Path) -> str:
    return f"{path}: expected a voice card, as 'facevc voice-card FACE -o NAME{CARD_SUFFIX}' writes it"


def _list_tensors(names: list[str]) -> str:
    """Describes a file's tensors in a few words."""
    listed = ", ".join(sorted(names)[:3])
    return f"{len(names)} tensors: {listed}{', ...' if len(names) > 3 else ''}" if names else "without tensors"


def _check_vector(tensor: np.ndarray) -> np.ndarray:
    if (
        tensor.ndim != 1
        or not len(tensor)
        or not np.issubdtype(tensor.dtype, np.floating)
        or not np.isfinite(tensor).all()
    ):
        raise ValueError(f"expected a vector of finite numbers, found {tensor.dtype} of shape {tensor.shape}")
    return tensor.astype(np.float32)
