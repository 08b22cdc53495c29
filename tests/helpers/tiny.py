"""Checkpoints of random weights, and a face analyser that needs no network."""

from pathlib import Path

import numpy as np
import torch

from facevc_cli.dsp.frontend import Frontend
from facevc_cli.faces.analyser import FaceObservation, NoFaceError
from facevc_cli.families.checkpoint import Checkpoint, save_checkpoint
from facevc_cli.families.fvmvc.model import FaceVC
from facevc_cli.families.presets import load_config

SHRUNKEN = {
    "toy": (
        "model.content_encoder.channels=16", "model.decoder.channels=16", "model.decoder.recurrent_dim=16",
        "model.decoder.postnet_channels=16",
    ),
    "starter": (
        "model.content_encoder.channels=32", "model.content_encoder.layers=1", "model.content_encoder.heads=2",
        "model.decoder.channels=32", "model.decoder.blocks=1", "model.slots=8",
    ),
}  # fmt: skip
FACE = {"detector": "dlib", "embedder": "dlib", "on_many": "largest"}
VOICE = {"embedder": "resemblyzer", "rate": 16000}


def checkpoint(folder: Path, preset: str = "toy", *, faces: bool = True, seed: int = 0, overrides: tuple[str, ...] = ()) -> Path:
    """A checkpoint folder of a shrunken preset with random weights; without faces, as pretraining leaves it."""
    torch.manual_seed(seed)
    config = load_config(preset, None, (*SHRUNKEN[preset], *overrides))
    model = FaceVC(config.model)
    mean, std = (-1.5, 0.3) if preset == "toy" else (-5.0, 1.0)
    model.set_statistics(torch.full((80,), mean), torch.full((80,), std))
    embedders = {"voice": VOICE, **({"face": FACE} if faces else {})}
    frontend = Frontend.standard(config.model.mel)
    save_checkpoint(folder, Checkpoint(model, config, frontend, "train" if faces else "pretrain", embedders=embedders))
    return folder


class FakeAnalyser:
    """Embeds a picture by its colours; a black one has no face. Counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def analyse(self, image: np.ndarray) -> FaceObservation:
        self.asked += 1
        if not image.any():
            raise NoFaceError("expected a face, found none.")
        embedding = np.random.default_rng(int(image.sum())).normal(0, 0.1, 128).astype(np.float32)
        return FaceObservation(np.zeros(4, np.float32), 1.0, 1, embedding, image)


def computes_bf16_lstm() -> bool:
    """Whether this CPU trains recurrent layers in bfloat16; some have no kernel for them."""
    network = torch.nn.LSTM(4, 4)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            network(torch.zeros(2, 1, 4))
    except RuntimeError:
        return False
    return True
