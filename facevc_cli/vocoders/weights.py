"""Reads other projects' vocoder checkpoints without unpickling code.

Folds weight norm into plain weights, and checks shapes.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facevc_cli.core.errors import FaceVCError

# weight norm under torch.nn.utils.weight_norm and under torch.nn.utils.parametrizations.weight_norm
LARGER = 4  # largest ratio of a generator to the given weights
_GAINS = {".weight_g": ".weight_v", ".parametrizations.weight.original0": ".parametrizations.weight.original1"}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads the dict that torch.save wrote, with tensors on the CPU. No code in the file is run.

    FaceVCError if the file is missing or is not a checkpoint.
    """
    if not path.is_file():
        raise FaceVCError(f"{path}: no such file. A vocoder checkpoint was expected there.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many types of errors for an unreadable file
        reason = str(error).strip().partition("\n")[0]
        raise FaceVCError(
            f"{path}: not a checkpoint that can be read safely ({reason}). A file that torch.save wrote and that "
            "holds tensors only was expected."
        ) from error
    if not isinstance(content, dict):
        raise FaceVCError(f"{path}: expected a checkpoint (a dict), found a {type(content).__name__}.")
    return content


def fold_weight_norm(state: Mapping[str, Tensor], path: Path | str = "the state dict") -> dict[str, Tensor]:
    """Computes plain weights from weight-normalised ones: w = g v / |v|, with the norm over all dimensions but the
    first.

    Salimans & Kingma 2016, as torch's weight_norm with its default dim=0 (transposed convolutions too). Plain weights
    stay as they are. FaceVCError, which names `path`, if there is anything but plain tensors, or if parts of a weight
    do not fit.
    """
    for key, value in state.items():
        _check_tensor(key, value, path)
    folded: dict[str, Tensor] = {}
    for key, value in state.items():
        for gain, direction in _GAINS.items():
            if key.endswith(gain):
                whole = state.get(key.removesuffix(gain) + direction)
                if whole is None or whole.ndim < 2 or value.numel() != len(whole) or value.ndim != whole.ndim:
                    raise FaceVCError(
                        f"{path}: the weight {key.removesuffix(gain)[:80]!r} lacks a part, or its parts differ in "
                        "shape. Copy the file again."
                    )
                v = whole.float()
                norm = v.flatten(1).norm(dim=1, dtype=torch.float64).reshape(-1, *[1] * (v.ndim - 1))
                folded[key.removesuffix(gain) + ".weight"] = v * (value.double() / norm).float()
                break
            if key.endswith(direction):
                break
        else:
            folded[key] = value.float()
    return folded


def check_described(make: Callable[[], nn.Module], state: Mapping[str, Tensor], path: Path, config: Path) -> None:
    """Raises FaceVCError if the generator of a config cannot be built, or is far larger than the given weights.

    It needs no memory.
    """
    try:
        with torch.device("meta"):
            described = sum(tensor.numel() for tensor in make().state_dict().values())
    except (RuntimeError, TypeError, ValueError, ArithmeticError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise FaceVCError(f"{config}: a generator of these sizes cannot be built ({reason}).") from error
    found = sum(tensor.numel() for tensor in state.values())
    if described > LARGER * found:
        raise FaceVCError(
            f"{path} does not fit the generator that {config} describes: expected {described:,} numbers, found "
            f"{found:,}. Use the config that was written with this checkpoint."
        )


def load_exactly(module: nn.Module, state: Mapping[str, Tensor], path: Path, config: Path) -> None:
    """Loads a folded state dict into a module. FaceVCError names the first key or shape that does not fit."""
    expected = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    wrong = [
        f"{key}: expected {expected.get(key, 'nothing')}, found {found.get(key, 'nothing')}"
        for key in sorted({*expected, *found})
        if expected.get(key) != found.get(key)
    ]
    if wrong:
        raise FaceVCError(
            f"{path} does not fit the generator that {config} describes: {wrong[0]}"
            + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else "")
            + ". Use the config that was written with this checkpoint."
        )
    module.load_state_dict(dict(state), assign=True)  # of a module just made: it saves a copy


def _check_tensor(key: object, value: object, path: Path | str) -> None:
    """Checks that it is a plain tensor of floats with as much memory as its shape needs."""
    plain = (
        isinstance(key, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.dtype.is_floating_point
    )
    if not (
        plain and isinstance(value, Tensor) and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    ):
        raise FaceVCError(
            f"{path}: expected weights as tensors of floating-point numbers, found something else under "
            f"{str(key)[:80]!r}."
        )
