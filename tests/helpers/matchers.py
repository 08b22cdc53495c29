"""Checkpoints that rank faces and voices, with weights made by hand or at random."""

from pathlib import Path

import torch
from helpers.checkpoints import FACE, VOICE

from facevc_cli.dsp.frontend import Frontend
from facevc_cli.families.checkpoint import Checkpoint, save_checkpoint
from facevc_cli.families.cmpc.model import FaceVoiceEncoders
from facevc_cli.families.presets import load_config


def matcher_checkpoint(folder: Path, seed: int = 0) -> Path:
    """A checkpoint folder of preset cmpc with random weights."""
    torch.manual_seed(seed)
    config = load_config("cmpc")
    model = FaceVoiceEncoders(config.model)
    save_checkpoint(folder, Checkpoint(model, config, None, "train", embedders={"voice": VOICE, "face": FACE}))
    return folder


SMALL_NETWORKS = (
    "model.network={width: 4, blocks: [1, 1]}",
    "model.hidden_dim=16",
    "model.space_dim=8",
)


def network_checkpoint(folder: Path, crop_px: int = 32, mel: str = "fvmvc") -> Path:
    """A checkpoint folder of preset cmpc-resnet, shrunk, with random weights."""
    torch.manual_seed(0)
    config = load_config("cmpc-resnet", overrides=SMALL_NETWORKS)
    embedders = {"face": {**FACE, "crop_px": crop_px}, "voice": Frontend.standard(mel).as_settings()}
    model = FaceVoiceEncoders(config.model)
    save_checkpoint(folder, Checkpoint(model, config, None, "train", embedders=embedders))
    return folder
