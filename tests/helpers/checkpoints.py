"""Checkpoints of random weights, made in a moment."""

from pathlib import Path

import torch

from facevc_cli.dsp.frontend import Frontend
from facevc_cli.families.checkpoint import Checkpoint, save_checkpoint
from facevc_cli.families.fvmvc.model import FaceVC
from facevc_cli.families.presets import load_config

SHRUNKEN = {
    "toy": (
        "model.content_encoder.channels=16",
        "model.decoder.channels=16",
        "model.decoder.recurrent_dim=16",
        "model.decoder.postnet_channels=16",
    ),
    "starter": (
        "model.content_encoder.channels=32",
        "model.content_encoder.layers=1",
        "model.content_encoder.heads=2",
        "model.decoder.channels=32",
        "model.decoder.blocks=1",
        "model.slots=8",
    ),
}
FACE = {"detector": "dlib", "embedder": "fused", "on_many": "largest"}
VOICE = {"embedder": "resemblyzer", "rate": 16000}


def checkpoint(
    folder: Path,
    preset: str = "toy",
    *,
    faces: bool = True,
    embedder: str = "fused",
    seed: int = 0,
    overrides: tuple[str, ...] = (),
) -> Path:
    """A checkpoint folder of a shrunken preset with random weights; without faces, as pretraining leaves it."""
    torch.manual_seed(seed)
    config = load_config(preset, None, (*SHRUNKEN[preset], *overrides))
    model = FaceVC(config.model)
    mean, std = (-1.5, 0.3) if preset == "toy" else (-5.0, 1.0)
    model.set_statistics(torch.full((80,), mean), torch.full((80,), std))
    embedders = {"voice": VOICE, **({"face": FACE | {"embedder": embedder}} if faces else {})}
    frontend = Frontend.standard(config.model.mel)
    save_checkpoint(folder, Checkpoint(model, config, frontend, "train" if faces else "pretrain", embedders=embedders))
    return folder
