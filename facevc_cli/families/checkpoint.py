"""Checkpoints: a folder of `model.safetensors`, `config.yaml` and `metrics.json`; what only training needs lies apart in `training/`.

`config.yaml` holds the configuration, the front-end, the embedders' settings and the weights' sha256, which is checked on loading.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facevc_cli import __version__
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import dump_yaml, parse_settings, read_json, read_text, shorten
from facevc_cli.core.tuning import skip_weight_init
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.families.fvmvc.config import Config, from_dict, to_dict
from facevc_cli.families.fvmvc.model import FaceVC, build_model
from facevc_cli.files.atomic import atomic_folder, old_folder
from facevc_cli.files.hashes import file_sha256

FORMAT = 1
HEADER = {"stage": str, "step": int, "weights_sha256": str, "frontend": dict, "config": dict}  # what config.yaml must have
OPTIONAL = {"embedders": dict, "origin": str}
WEIGHTS, CONFIG, METRICS, TRAINING = "model.safetensors", "config.yaml", "metrics.json", "training"


@dataclass
class Checkpoint:
    """A model and what must be known to use it."""

    model: FaceVC
    config: Config
    frontend: Frontend
    stage: str  # "pretrain", "train" or "import-checkpoint"
    step: int = 0
    embedders: dict[str, Any] = field(default_factory=dict)  # settings of the voices and faces stores
    metrics: dict[str, Any] = field(default_factory=dict)
    origin: str = ""  # one line for people: what it was trained on
    weights_sha256: str = ""  # of the file that it was loaded from


def load_model(folder: Path | str | None = None, device: str = "cpu") -> FaceVC:
    """The assembled torch module of a checkpoint folder or run (None: the bundled starter), in eval mode, float32."""
    return load_checkpoint(folder, device).model


def bundled_checkpoint() -> Path:
    """The starter model's folder; FaceVCError where this installation lacks it."""
    folder = Path(__file__).resolve().parent.parent / "assets" / "starter"
    if not (folder / WEIGHTS).is_file():
        raise FaceVCError("this installation has no bundled starter model. Install a release of facevc, or pass --checkpoint FOLDER.")
    return folder


def locate(folder: Path | str | None) -> Path:
    """A checkpoint's own folder: given itself, a run (its best, else its last), or None (the bundled one)."""
    if folder is None:
        return bundled_checkpoint()
    folder = Path(folder)
    wanted = (folder, folder / "checkpoints" / "best", folder / "checkpoints" / "last")
    for candidate in (name for one in wanted for name in (one, old_folder(one))):
        if (candidate / WEIGHTS).is_file() and (candidate / CONFIG).is_file():
            return candidate
    raise FaceVCError(
        f"{folder}: expected a checkpoint ({WEIGHTS} beside {CONFIG}) or a run folder with one in checkpoints/, found neither. "
        "Check the path; a published .pt file goes through 'facevc import-checkpoint' first."
    )


def load_checkpoint(folder: Path | str | None = None, device: str = "cpu") -> Checkpoint:
    """Reads and verifies a checkpoint; the model is in eval mode. FaceVCError says what does not fit."""
    folder = locate(folder)
    header = _header(folder)
    tensors = read_weights(folder)
    config = from_dict(Config, header["config"], str(folder / CONFIG))
    with skip_weight_init():
        model = build_model(config.model, str(folder / CONFIG))
    load_weights(model, tensors, str(folder / WEIGHTS), assign=True)
    metrics_file = folder / METRICS
    return Checkpoint(
        model.to(device).eval(),
        config,
        Frontend.from_settings(header["frontend"], str(folder / CONFIG)),
        header["stage"],
        header["step"],
        header.get("embedders", {}),
        read_json(metrics_file) if metrics_file.is_file() else {},
        header.get("origin", ""),
        header["weights_sha256"],
    )


def read_weights(folder: Path) -> dict[str, Tensor]:
    """A checkpoint folder's weights; FaceVCError where they are not the ones that its configuration names by sha256."""
    wanted, found = _header(folder)["weights_sha256"], file_sha256(folder / WEIGHTS)
    if found != wanted:
        raise FaceVCError(
            f"{folder / WEIGHTS}: expected sha256 {wanted[:16]}..., found {found[:16]}...: the file is damaged or was changed. Copy it again."
        )
    return read_tensors(folder / WEIGHTS)


def _header(folder: Path) -> dict[str, Any]:
    where = folder / CONFIG
    header = parse_settings(read_text(where), str(where))
    if header.get("format") != FORMAT or not header.keys() >= HEADER.keys():
        raise FaceVCError(f"{where}: expected a facevc checkpoint of format {FORMAT}. Make it again, or update facevc.")
    for name, kind in (HEADER | OPTIONAL).items():
        if name in header and (not isinstance(header[name], kind) or isinstance(header[name], bool)):
            raise FaceVCError(f"{where}: {name}: expected {kind.__name__}, found {shorten(header[name])}. Copy the checkpoint again.")
    if header["step"] < 0:
        raise FaceVCError(f"{where}: step: expected 0 or more, found {header['step']}. Copy the checkpoint again.")
    for name, settings in header.get("embedders", {}).items():
        if not isinstance(settings, dict):
            raise FaceVCError(f"{where}: embedders: {shorten(name)}: expected a group of settings, found {shorten(settings)}. Copy the checkpoint again.")
    return header


def save_checkpoint(
    folder: Path, checkpoint: Checkpoint, training: Mapping[str, Mapping[str, Tensor]] | None = None, dtype: torch.dtype = torch.float32
) -> None:
    """Writes a checkpoint beside its final place and swaps it in; a crash leaves the old one or the new one.

    training: name -> tensors, written to training/<name>.safetensors; dtype: of floating-point weights on disk.
    """
    try:
        with atomic_folder(folder) as temporary:
            state = {k: v.detach().to("cpu", dtype if v.is_floating_point() else v.dtype).contiguous() for k, v in checkpoint.model.state_dict().items()}
            save_file(state, temporary / WEIGHTS)
            (temporary / WEIGHTS).chmod(0o644)  # safetensors writes for the owner alone
            header = {
                "format": FORMAT,
                "facevc": __version__,
                "stage": checkpoint.stage,
                "step": checkpoint.step,
                "origin": checkpoint.origin,
                "weights_sha256": file_sha256(temporary / WEIGHTS),
                "frontend": checkpoint.frontend.as_settings(),
                "embedders": checkpoint.embedders,
                "config": to_dict(checkpoint.config),
            }
            (temporary / CONFIG).write_text(dump_yaml(header), encoding="utf-8")
            (temporary / METRICS).write_text(json.dumps(checkpoint.metrics, indent=1) + "\n", encoding="utf-8")
            for name, tensors in (training or {}).items():
                (temporary / TRAINING).mkdir(exist_ok=True)
                save_file({k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}, temporary / TRAINING / f"{name}.safetensors")
    except (OSError, SafetensorError) as error:
        raise FaceVCError(f"{folder}: the checkpoint could not be written ({error}). Free space, then run the same command: it resumes.") from error


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], where: str, *, assign: bool = False) -> None:
    """Exactly these weights into a module; FaceVCError names what is missing, left over or of another shape.

    assign: in place of the module's own tensors, which nothing else may hold yet; it saves a copy.
    """
    wanted = module.state_dict()
    wrong = [f"{k} {tuple(tensors[k].shape)} instead of {tuple(v.shape)}" for k, v in wanted.items() if k in tensors and tensors[k].shape != v.shape]
    missing, extra = [k for k in wanted if k not in tensors], [k for k in tensors if k not in wanted]
    if wrong or missing or extra:
        faults = {"wrong shape": wrong, "missing": missing, "unknown": extra}
        parts = [f"{label}: {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}" for label, names in faults.items() if names]
        raise FaceVCError(f"{where}: the weights do not fit the configuration ({'; '.join(parts)}). Use the config.yaml they were trained with.")
    module.load_state_dict({k: v.to(wanted[k].dtype, copy=assign) for k, v in tensors.items()}, assign=assign)  # a mapped file stays its own


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; FaceVCError where it is truncated or of another kind."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise FaceVCError(f"{path}: not a whole safetensors file ({error}). Copy or make it again.") from error
