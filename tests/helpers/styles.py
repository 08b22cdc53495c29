"""Models of styles with random weights, and stand-ins for what finds faces for them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from facevc_cli.dsp.frontend import Frontend
from facevc_cli.faces.analyser import FaceObservation, NoFaceError
from facevc_cli.faces.reading import FUSED_DIM, pack
from facevc_cli.families.checkpoint import Checkpoint, save_checkpoint
from facevc_cli.families.presets import load_config
from facevc_cli.families.xfavot.model import StyleModel, build_model

PX = 16
STYLE_DIM = 5
SMALL = (
    f"model={{image_px: {PX}, image_channels: 4, audio_channels: 4, most_channels: 6, style_dim: {STYLE_DIM}}}",
    "model.latent_dim=3",
    "model.mapping_dim=8",
    "model.pitch_channels=4",
    "model.speakers=0",
)


def style_checkpoint(folder: Path, seed: int = 0) -> Path:
    """A checkpoint of xfavot-64, shrunken, with random weights."""
    torch.manual_seed(seed)
    config = load_config("xfavot-64", None, SMALL)
    model = build_model(config.model, "a test")
    model.set_statistics(torch.full((80,), -3.0), torch.ones(80))
    face = {"detector": "dlib", "embedder": "dlib", "on_many": "largest", "crop_px": PX}
    frontend = Frontend.standard("xfavot")
    embedders = {"face": face, "voice": frontend.as_settings()}
    save_checkpoint(folder, Checkpoint(model, config, frontend, "train", embedders=embedders))
    return folder


def shrink(picture: np.ndarray, side_px: int) -> np.ndarray:
    """Each n-th pixel."""
    rows, columns = (np.arange(side_px) * size // side_px for size in picture.shape[:2])
    return np.ascontiguousarray(picture[rows][:, columns])


def restyle_by_hand(model: StyleModel, picture: np.ndarray, style: torch.Tensor) -> np.ndarray:
    """(H, W, 3) uint8 -> what the model makes of its `shrink`."""
    with torch.no_grad():
        return model.restyle_pictures(torch.from_numpy(shrink(picture, PX))[None], style)[0].numpy()


class WholeFace:
    """Takes each picture for a face, but a black one. It reads as many years as its first pixel has red."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def analyse(self, image: np.ndarray) -> FaceObservation:
        if not image.any():
            raise NoFaceError("expected a face, found none.")
        box = np.array([0, 0, image.shape[1], image.shape[0]], np.float32)
        return FaceObservation(box, 1.0, 1, self.embed(image, box)[0], image)

    def embed(self, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return pack(np.full(128, 0.01), np.zeros(FUSED_DIM - 130), 2.0, float(image[0, 0, 0])), image

    def cut(self, image: np.ndarray, side_px: int) -> np.ndarray:
        return shrink(self.analyse(image).crop, side_px)


def replace_face_finders(patch: pytest.MonkeyPatch) -> None:
    """A face is then the whole picture, made smaller by `shrink`."""
    patch.setattr("facevc_cli.imagining.styled_photos.FaceAnalyser", WholeFace)
    patch.setattr("facevc_cli.imagining.styled_photos.cut_face", lambda image, box, turns, px: shrink(image, px))
    patch.setattr("facevc_cli.families.reading.FaceReader.load", lambda self, on_many="largest": WholeFace())
