"""Others' vocoder checkpoints: read without unpickling code, weight norm folded into plain weights, shapes checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facevc_cli.errors import FaceVCError

# weight norm under torch.nn.utils.weight_norm and under torch.nn.utils.parametrizations.weight_norm
_GAINS = {".weight_g": ".weight_v", ".parametrizations.weight.original0": ".parametrizations.weight.original1"}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The dict that torch.save wrote, tensors on the CPU. No code in the file is run.

    Raises FaceVCError where the file is missing or is not a checkpoint.
    """
    if not path.is_file():
        raise FaceVCError(f"{path}: no such file. A vocoder checkpoint was expected there.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises half a dozen types for a file it cannot read
        reason = str(error).strip().partition("\n")[0]
        raise FaceVCError(
            f"{path}: not a checkpoint that can be read safely ({reason}). A file that torch.save wrote and that holds tensors only was "
            "expected."
        ) from error
    if not isinstance(content, dict):
        raise FaceVCError(f"{path}: expected a checkpoint (a dict), found a {type(content).__name__}.")
    return content


def fold_weight_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Plain weights from weight-normalised ones: w = g v / |v|, the norm over all dimensions but the first.

    Salimans & Kingma 2016, as torch's weight_norm with its default dim=0 (transposed convolutions too). Weights that are
    plain already stay as they are.
    """
    folded: dict[str, Tensor] = {}
    for key, value in state.items():
        for gain, direction in _GAINS.items():
            if key.endswith(gain):
                v = state[key.removesuffix(gain) + direction].float()
                norm = v.flatten(1).norm(dim=1, dtype=torch.float64).reshape(-1, *[1] * (v.ndim - 1))
                folded[key.removesuffix(gain) + ".weight"] = v * (value.double() / norm).float()
                break
            if key.endswith(direction):
                break
        else:
            folded[key] = value.float()
    return folded


def load_exactly(module: nn.Module, state: Mapping[str, Tensor], path: Path, config: Path) -> None:
    """Fill a module from a folded state dict; every key and shape must fit, else FaceVCError names the first that does not."""
    expected = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    wrong = [f"{key}: expected {expected.get(key, 'nothing')}, found {found.get(key, 'nothing')}" for key in sorted({*expected, *found})
             if expected.get(key) != found.get(key)]
    if wrong:
        raise FaceVCError(
            f"{path} does not fit the generator that {config} describes: {wrong[0]}"
            + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else "")
            + ". Use the config that was written with this checkpoint."
        )
    module.load_state_dict(dict(state), assign=True)  # of a module just made: it saves a copy
