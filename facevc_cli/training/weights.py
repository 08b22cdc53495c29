"""Reads tensors from safetensors files and loads them into modules."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from facevc_cli.core.errors import FaceVCError

# names in a checkpoint's folder
WEIGHTS, CONFIG, METRICS, TRAINING = "model.safetensors", "config.yaml", "metrics.json", "training"


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], where: str, *, assign: bool = False) -> None:
    """Loads exactly these weights into a module.

    FaceVCError names tensors that are missing, unknown or of another shape.

    assign: replaces the module's own tensors instead of copying into them. Nothing else may hold those yet.
    """
    wanted = module.state_dict()
    wrong = [
        f"{k} {tuple(tensors[k].shape)} instead of {tuple(v.shape)}"
        for k, v in wanted.items()
        if k in tensors and tensors[k].shape != v.shape
    ]
    missing, extra = [k for k in wanted if k not in tensors], [k for k in tensors if k not in wanted]
    if wrong or missing or extra:
        faults = {"wrong shape": wrong, "missing": missing, "unknown": extra}
        parts = [
            f"{label}: {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}"
            for label, names in faults.items()
            if names
        ]
        raise FaceVCError(
            f"{where}: the weights do not fit the configuration ({'; '.join(parts)}). Use the config.yaml they were "
            "trained with."
        )
    # With assign, a copy keeps the module independent of a mapped file.
    module.load_state_dict({k: v.to(wanted[k].dtype, copy=assign) for k, v in tensors.items()}, assign=assign)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads the tensors of a safetensors file. FaceVCError if it is truncated or of another kind."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise FaceVCError(f"{path}: not a whole safetensors file ({error}). Copy or make it again.") from error
