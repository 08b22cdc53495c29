"""Reads published VQMIVC and FVMVC checkpoints and renames their tensors to our names.

Such a file is a dict of state dicts by scope: `encoder` (content), `encoder_spk`, `decoder`, and other scopes for
training. `encoder_spk` is the mel speaker encoder in VQMIVC. In FVMVC it is the face-voice memory with both its
encoders.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from facevc_cli.core.errors import FaceVCError

StateDict = dict[str, Tensor]
Rules = tuple[tuple[str, str], ...]

_CODEBOOK: Rules = ((r"embedding", r"embedding"), (r"ema_count", r"counts"), (r"ema_weight", r"sums"))
_ATTENTION: Rules = (
    (r"speech_encoder\.(query|key|value)\.linear_layer\.(\w+)", r"speaker_encoder.\1.\2"),
    (r"face_encoder\.(query|key|value)\.linear_layer\.(\w+)", r"face_encoder.\1.\2"),
)
_CLUB: Rules = ((r"p_mu\.(\d+\.\w+)", r"mean.\1"), (r"p_logvar\.(\d+\.\w+)", r"logvar.\1"))

# Published key (a whole-key pattern) -> our key, by published scope. Keys of the memory scope belong to three of our
# modules.
_RULES: dict[str, Rules] = {
    "encoder": (
        (r"conv\.weight", r"conv.weight"),
        (r"encoder\.(\d+\.\w+)", r"layers.\1"),
        *((rf"codebook\.{published}", rf"quantizer.{ours}") for published, ours in _CODEBOOK),
        (r"rnn\.(\w+)", r"context.\1"),
    ),
    "encoder_spk_mel": (
        (r"conv_bank\.(\d+\.\w+)", r"bank.\1"),
        (r"in_conv_layer\.(\w+)", r"merge.\1"),
        (r"(first|second)_conv_layers\.(\d+\.\w+)", r"conv_\1.\2"),
        (r"(first|second)_dense_layers\.(\d+\.\w+)", r"dense_\1.\2"),
        (r"output_layer\.(\w+)", r"output.\1"),
    ),
    "encoder_spk": (
        (r"speech_value_memory", r"memory.values"),
        (r"face_key_memory", r"memory.keys"),
        *_ATTENTION,
    ),
    "decoder": (
        (r"decoder\.lstm1\.(\w+)", r"lstm_in.\1"),
        (r"decoder\.lstm2\.(\w+)", r"lstm_out.\1"),
        (r"decoder\.convolutions\.(\d+)\.0\.conv\.(\w+)", r"convolutions.\1.conv.\2"),
        (r"decoder\.convolutions\.(\d+)\.1\.(\w+)", r"convolutions.\1.norm.\2"),
        (r"decoder\.linear_projection\.linear_layer\.(\w+)", r"projection.\1"),
        (r"postnet\.convolutions\.(\d+)\.0\.conv\.(\w+)", r"postnet.convolutions.\1.conv.\2"),
        (r"postnet\.convolutions\.(\d+)\.1\.(\w+)", r"postnet.convolutions.\1.norm.\2"),
    ),
    "cs_mi_net": _CLUB,
    "cp_mi_net": _CLUB,
    "ps_mi_net": _CLUB,
    "codebook": _CODEBOOK,
}


def read_published(path: str | Path) -> dict[str, StateDict]:
    """Reads the state dicts of a published checkpoint by scope, on the CPU.

    Entries that are no state dicts are skipped.

    Raises FaceVCError if the file is missing, is no torch file of plain tensors, or holds no state dicts.
    """
    path = Path(path)
    if not path.is_file():
        raise FaceVCError(f"There is no checkpoint at {path}. Give the .pt file that VQMIVC or FVMVC training wrote.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the unpickler raise almost anything
        raise FaceVCError(
            f"{path} cannot be read as a checkpoint of plain tensors ({type(error).__name__}). "
            "Give an undamaged .pt file; files that need code to be unpickled are refused."
        ) from error
    scopes = {name: _keep_tensors(value) for name, value in content.items()} if isinstance(content, Mapping) else {}
    scopes = {name: tensors for name, tensors in scopes.items() if tensors}
    if not scopes:
        raise FaceVCError(
            f"{path} holds no state dicts by scope; expected a dict with `encoder`, `encoder_spk` and `decoder`."
        )
    return scopes


def convert_scope(scope: str, tensors: Mapping[str, Tensor]) -> StateDict:
    """Renames the tensors of one published scope by `_RULES`. Raises FaceVCError on an unknown scope or key."""
    if scope not in _RULES:
        raise FaceVCError(f"The published scope `{scope}` is unknown; known are {', '.join(sorted(_RULES))}.")
    return {_rename(scope, key): tensor for key, tensor in tensors.items()}


def convert_published(state_dicts: Mapping[str, Mapping[str, Tensor]]) -> tuple[StateDict, str]:
    """Returns the tensors by our model's keys, and the kind: "fvmvc" (d-vectors, face encoder, memory) or "vqmivc" (mel
    speaker encoder).

    Keys begin with `content_encoder.`, `speaker_encoder.`, `face_encoder.`, `memory.` or `decoder.`. Raises FaceVCError
    on a missing scope or an unknown key.
    """
    missing = [scope for scope in ("encoder", "encoder_spk", "decoder") if scope not in state_dicts]
    if missing:
        raise FaceVCError(
            f"The published checkpoint lacks {', '.join(missing)}; found "
            f"{', '.join(map(str, state_dicts)) or 'nothing'}. Expected `encoder`, `encoder_spk` and `decoder`."
        )
    kind = "fvmvc" if any(key.endswith("_memory") for key in state_dicts["encoder_spk"]) else "vqmivc"
    converted = _add_prefix("content_encoder", convert_scope("encoder", state_dicts["encoder"]))
    if kind == "fvmvc":
        converted |= convert_scope("encoder_spk", state_dicts["encoder_spk"])
    else:
        converted |= _add_prefix("speaker_encoder", convert_scope("encoder_spk_mel", state_dicts["encoder_spk"]))
    converted |= _add_prefix("decoder", convert_scope("decoder", state_dicts["decoder"]))
    return converted, kind


def _rename(scope: str, key: str) -> str:
    for pattern, ours in _RULES[scope]:
        match = re.fullmatch(pattern, key.removeprefix("module."))
        if match:
            return match.expand(ours)
    raise FaceVCError(f"The published checkpoint's scope `{scope}` holds `{key}`, which neither VQMIVC nor FVMVC has.")


def _add_prefix(prefix: str, tensors: StateDict) -> StateDict:
    return {f"{prefix}.{key}": tensor for key, tensor in tensors.items()}


def _keep_tensors(value: object) -> StateDict:
    """Returns `value` if it is a state dict, else an empty dict (for optimiser states, step counts)."""
    if isinstance(value, Mapping) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items()):
        return dict(value)
    return {}
