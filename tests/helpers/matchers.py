"""Checkpoints that rank faces and voices, with weights made by hand or at random."""

from pathlib import Path

import torch
from helpers.checkpoints import FACE, VOICE

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
