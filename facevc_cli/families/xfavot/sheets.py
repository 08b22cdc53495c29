"""Draws what a model makes of a batch: a sheet of faces, a sheet of log-mels, and sounds."""

import numpy as np
import torch
from torch import Tensor

from facevc_cli.corpus.crops import Batch
from facevc_cli.families.xfavot.model import StyleModel
from facevc_cli.families.xfavot.translations import SIDES
from facevc_cli.training.samples import Samples
from facevc_cli.vocoders.griffin_lim import GriffinLim

MOST_ROWS, MOST_SOUNDS = 6, 2
GUIDES = ("noise", "face", "voice")


@torch.no_grad()
def draw_sheet(model: StyleModel, batch: Batch, mel: str) -> Samples:
    """Each row of a sheet is a source, then the target's face or voice, and then the source guided by noise, by the
    face and by the voice.
    """
    device = model.mel_mean.device
    batch = {name: tensor[:MOST_ROWS].to(device) for name, tensor in batch.items()}
    made = {side: convert_batch(model, batch, side) for side in SIDES}
    names = ("source", "reference", *GUIDES)
    columns = {side: [batch[side], batch[f"reference_{side}"], *made[side].values()] for side in SIDES}
    pictures = {
        "faces": tile([column.permute(0, 2, 3, 1) for column in columns["image"]]),
        "log-mels": tile([column.flip(2).permute(0, 2, 3, 1).expand(-1, -1, -1, 3) / 3 for column in columns["audio"]]),
    }
    vocoder = GriffinLim(mel)
    sounds = {}
    for name, column in zip(names, columns["audio"], strict=True):
        for row in range(min(MOST_SOUNDS, len(column))):
            logged = model.denormalise(column[row, 0].T.float()).cpu()
            wav = vocoder(logged).numpy()
            sounds[f"{row + 1}-{name}"] = wav / max(1.0, float(np.abs(wav).max(initial=0.0)))
    return Samples(pictures, sounds, vocoder.rate)


def convert_batch(model: StyleModel, batch: Batch, side: str) -> dict[str, Tensor]:
    """Converts a batch's sources of one modality, guided by noise, by the faces and by the voices."""
    generator = getattr(model, side).generator
    styles = {
        "noise": model.mapping(batch["latent"], batch[f"{side}_domain"]),
        "face": model.image.style(batch["reference_image"], batch["image_gender"]),
        "voice": model.audio.style(batch["reference_audio"], batch["audio_gender"]),
    }
    beside = (batch["lf0"],) if side == "audio" else ()
    content = generator.encode(batch[side])
    return {guide: generator.decode(content, styles[guide], *beside) for guide in GUIDES}


def tile(columns: list[Tensor]) -> np.ndarray:
    """Columns of pictures (rows, H, W, 3) from -1 to 1 -> one picture (rows * H, columns * W, 3) uint8."""
    grid = torch.stack(columns, dim=1).float()  # rows, columns, H, W, 3
    rows, count, height, width, colours = grid.shape
    sheet = grid.permute(0, 2, 1, 3, 4).reshape(rows * height, count * width, colours)
    return ((sheet.clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()
