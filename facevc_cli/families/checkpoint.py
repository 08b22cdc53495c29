"""Reads and writes checkpoints. A checkpoint is a folder of `model.safetensors`, `config.yaml` and `metrics.json`.

State that only training needs is in its subfolder `training/`. `config.yaml` holds the configuration, the front-end,
the embedders' settings and the weights' sha256, which is checked on loading.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from facevc_cli import __version__
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import dump_yaml, parse_settings, read_json, read_text, shorten
from facevc_cli.core.settings import to_dict
from facevc_cli.core.tuning import skip_weight_init
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.families.base import ConversionModel, Family, FamilyConfig
from facevc_cli.families.presets import read_config
from facevc_cli.families.registry import find_family
from facevc_cli.files.atomic import atomic_folder, name_old_folder
from facevc_cli.files.hashes import hash_file
from facevc_cli.training.weights import CONFIG, METRICS, TRAINING, WEIGHTS, load_weights, read_tensors

FORMAT = 1
# required keys of config.yaml
HEADER = {"stage": str, "step": int, "weights_sha256": str, "frontend": dict, "config": dict}
OPTIONAL = {"embedders": dict, "origin": str, "family": str, "made_from": dict}
FIRST_FAMILY = "fvmvc"  # the family of checkpoints that name none, because earlier versions had only one


@dataclass
class Checkpoint:
    """A model with everything that is needed to use it."""

    model: Any  # a torch module that is a ConversionModel or a MatchingModel of its family
    config: FamilyConfig
    own_frontend: Frontend | None  # the front-end of a model that converts, else None
    stage: str  # "pretrain", "train" or "import-checkpoint"
    step: int = 0
    embedders: dict[str, Any] = field(default_factory=dict)  # settings of the voices and faces stores
    metrics: dict[str, Any] = field(default_factory=dict)
    origin: str = ""  # one line for people: what it was trained on
    weights_sha256: str = ""  # of the weights file that was loaded
    made_from: dict[str, Any] = field(default_factory=dict)  # the seed, and the sha256 of each input of the training

    @property
    def family(self) -> Family:
        return find_family(self.config.family, self.config.name)

    @property
    def frontend(self) -> Frontend:
        """The front-end of the model. FaceVCError if the model does not convert speech."""
        if self.own_frontend is None:
            raise FaceVCError(
                f"the model {self.config.name!r} of the family {self.config.family} ranks faces and voices. It cannot "
                "convert speech. Use it with 'facevc nearest' or 'facevc evaluate --association', or choose another "
                "checkpoint."
            )
        return self.own_frontend

    def save_step(
        self,
        folder: Path,
        model: nn.Module,
        step: int,
        metrics: dict[str, Any],
        training: Mapping[str, Mapping[str, Tensor]] | None,
    ) -> None:
        """Saves this checkpoint with the model as it is at a training step."""
        save_checkpoint(folder, replace(self, model=model, step=step, metrics=metrics), training)

    def read_weights(self, folder: Path) -> dict[str, Tensor]:
        return read_weights(folder)


def load_model(folder: Path | str | None = None, device: str = "cpu") -> ConversionModel:
    """Loads the torch module of a checkpoint folder or run (None: the bundled starter), in eval mode, float32."""
    return load_checkpoint(folder, device).model


def find_bundled_checkpoint() -> Path:
    """Returns the starter model's folder. FaceVCError if this installation lacks it."""
    folder = Path(__file__).resolve().parent.parent / "assets" / "starter"
    if not (folder / WEIGHTS).is_file():
        raise FaceVCError(
            "this installation has no bundled starter model. Install a release of facevc, or pass --checkpoint FOLDER."
        )
    return folder


def find_bundled_matcher() -> Path | None:
    """Returns the folder of the bundled model that ranks faces and voices, or None if this installation has none."""
    folder = Path(__file__).resolve().parent.parent / "assets" / "matcher"
    return folder if (folder / WEIGHTS).is_file() else None


def locate(folder: Path | str | None) -> Path:
    """Returns the folder of a checkpoint: of itself, of a run (its best, else its last), or the bundled one (None)."""
    if folder is None:
        return find_bundled_checkpoint()
    folder = Path(folder)
    wanted = (folder, folder / "checkpoints" / "best", folder / "checkpoints" / "last")
    for candidate in (name for one in wanted for name in (one, name_old_folder(one))):
        if (candidate / WEIGHTS).is_file() and (candidate / CONFIG).is_file():
            return candidate
    raise FaceVCError(
        f"{folder}: expected a checkpoint ({WEIGHTS} beside {CONFIG}) or a run folder with one in checkpoints/, found "
        "neither. Check the path; convert a published .pt file with 'facevc import-checkpoint' first."
    )


def find_checkpoint_family(folder: Path | str | None = None) -> Family:
    """Returns the family of a checkpoint's or run's model. Errors as in `load_checkpoint`."""
    folder = locate(folder)
    return find_family(_read_header(folder).get("family", FIRST_FAMILY), str(folder / CONFIG))


def load_checkpoint(folder: Path | str | None = None, device: str = "cpu") -> Checkpoint:
    """Reads and verifies a checkpoint; the model is in eval mode. FaceVCError names what does not fit."""
    folder = locate(folder)
    header = _read_header(folder)
    tensors = _read_verified(folder, header)
    family = find_family(header.get("family", FIRST_FAMILY), str(folder / CONFIG))
    config = read_config(family, header["config"], str(folder / CONFIG))
    with skip_weight_init():
        model = family.build(config.model, str(folder / CONFIG))
    load_weights(model, tensors, str(folder / WEIGHTS), assign=True)
    metrics_file = folder / METRICS
    return Checkpoint(
        model.to(device).eval(),
        config,
        Frontend.from_settings(header["frontend"], str(folder / CONFIG)) if family.converts else None,
        header["stage"],
        header["step"],
        header.get("embedders", {}),
        read_json(metrics_file) if metrics_file.is_file() else {},
        header.get("origin", ""),
        header["weights_sha256"],
        header.get("made_from", {}),
    )


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Reads a checkpoint folder's weights. FaceVCError if their sha256 differs from the one in config.yaml."""
    return _read_verified(folder, _read_header(folder))


def _read_verified(folder: Path, header: dict[str, Any]) -> dict[str, Tensor]:
    wanted, found = header["weights_sha256"], hash_file(folder / WEIGHTS)
    if found != wanted:
        raise FaceVCError(
            f"{folder / WEIGHTS}: expected sha256 {wanted[:16]}..., found {found[:16]}...: the file is damaged or was "
            "changed. Copy it again."
        )
    return read_tensors(folder / WEIGHTS)


def read_weights_hash(folder: Path | str) -> str:
    """Reads the sha256 of a checkpoint's or a run's weights from its config.yaml."""
    return str(_read_header(locate(folder))["weights_sha256"])


def _read_header(folder: Path) -> dict[str, Any]:
    where = folder / CONFIG
    header = parse_settings(read_text(where), str(where))
    if header.get("format") != FORMAT or not header.keys() >= HEADER.keys():
        raise FaceVCError(f"{where}: expected a facevc checkpoint of format {FORMAT}. Make it again, or update facevc.")
    for name, kind in (HEADER | OPTIONAL).items():
        if name in header and (not isinstance(header[name], kind) or isinstance(header[name], bool)):
            raise FaceVCError(
                f"{where}: {name}: expected {kind.__name__}, found {shorten(header[name])}. Copy the checkpoint again."
            )
    if header["step"] < 0:
        raise FaceVCError(f"{where}: step: expected 0 or more, found {header['step']}. Copy the checkpoint again.")
    for name, settings in header.get("embedders", {}).items():
        if not isinstance(settings, dict):
            raise FaceVCError(
                f"{where}: embedders: {shorten(name)}: expected a group of settings, found {shorten(settings)}. Copy "
                "the checkpoint again."
            )
    return header


def save_checkpoint(
    folder: Path,
    checkpoint: Checkpoint,
    training: Mapping[str, Mapping[str, Tensor]] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Writes a checkpoint beside its final place, then swaps it in. A crash leaves the old one or the new one.

    training: name -> tensors, written to training/<name>.safetensors; dtype: of floating-point weights on disk.
    """
    try:
        with atomic_folder(folder) as temporary:
            state = {
                k: v.detach().to("cpu", dtype if v.is_floating_point() else v.dtype).contiguous()
                for k, v in checkpoint.model.state_dict().items()
            }
            save_file(state, temporary / WEIGHTS)
            (temporary / WEIGHTS).chmod(0o644)  # safetensors makes the file readable by its owner only
            header = {
                "format": FORMAT,
                "facevc": __version__,
                "family": checkpoint.config.family,
                "stage": checkpoint.stage,
                "step": checkpoint.step,
                "origin": checkpoint.origin,
                "weights_sha256": hash_file(temporary / WEIGHTS),
                "frontend": {} if checkpoint.own_frontend is None else checkpoint.own_frontend.as_settings(),
                "embedders": checkpoint.embedders,
                "made_from": checkpoint.made_from,
                "config": to_dict(checkpoint.config),
            }
            (temporary / CONFIG).write_text(dump_yaml(header), encoding="utf-8")
            (temporary / METRICS).write_text(json.dumps(checkpoint.metrics, indent=1) + "\n", encoding="utf-8")
            for name, tensors in (training or {}).items():
                (temporary / TRAINING).mkdir(exist_ok=True)
                save_file(
                    {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()},
                    temporary / TRAINING / f"{name}.safetensors",
                )
    except (OSError, SafetensorError) as error:
        raise FaceVCError(
            f"{folder}: the checkpoint could not be written ({error}). Free space, then run the same command: it "
            "resumes."
        ) from error
