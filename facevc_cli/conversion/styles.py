"""What a model of styles can do beside speech: read a style in a face or a voice, draw one, and restyle a face."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from facevc_cli.conversion.card import CARD_SUFFIX, VoiceCard
from facevc_cli.conversion.recordings import Recording
from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.base import Capability, ConversionModel, StyleModel
from facevc_cli.families.checkpoint import Checkpoint, load_checkpoint
from facevc_cli.families.reading import FaceReader

if TYPE_CHECKING:
    from facevc_cli.conversion.converter import Converter
    from facevc_cli.faces.analyser import FaceAnalyser


def get_style_dim(model: ConversionModel) -> int:
    """Returns how many numbers a style of the model has, or 0 if it has no styles."""
    return cast(StyleModel, model).style_dim if Capability.STYLES in model.capabilities else 0


def has_styles(checkpoint: Path | None) -> bool:
    """Whether a checkpoint's model has styles. The bundled one (None) has none."""
    return checkpoint is not None and bool(get_style_dim(load_checkpoint(checkpoint).model))


def check_styles(checkpoint: Checkpoint) -> StyleModel:
    """Returns the model of a checkpoint. FaceVCError if it has no styles."""
    if not get_style_dim(checkpoint.model):
        raise FaceVCError(
            f"the model {checkpoint.config.name!r} has no styles, so it makes no pictures of faces. Expected a "
            "checkpoint such as one of 'facevc train --preset xfavot-64'. Leave --checkpoint out to use composites."
        )
    return cast(StyleModel, checkpoint.model)


def get_card_shape(converter: "Converter") -> tuple[int, int]:
    """Returns the numbers of the slots and of the voice in a card. FaceVCError if the model makes no cards."""
    style_dim = get_style_dim(converter.model)
    return (1, style_dim) if style_dim else cast(tuple[int, int], tuple(converter.memory.get_slot_values().shape))


def make_style_card(checkpoint: Checkpoint, style: Tensor, origin: Sequence[Mapping[str, str]]) -> VoiceCard:
    """Makes a card of a style (1, style_dim). There is no memory, so one slot stands for all."""
    numbers, address = style[0].float().cpu().numpy(), np.ones(1, np.float32)
    return VoiceCard.make(numbers, address, checkpoint.config.name, checkpoint.weights_sha256, 1.0, origin)


def is_card(voice: Recording) -> bool:
    return isinstance(voice, str | Path) and Path(voice).suffix.lower() == CARD_SUFFIX


class Stylist:
    """Reads styles with a converter's model, and restyles faces. FaceVCError if the model has no styles."""

    def __init__(self, converter: "Converter"):
        self.model, self.converter = check_styles(converter.checkpoint), converter
        settings = converter.checkpoint.embedders.get("face", {})
        self.reader = FaceReader.make(settings, True, f"the model {converter.checkpoint.config.name!r}")

    @property
    def crop_px(self) -> int:
        return int(dict(self.reader.settings)["crop_px"])

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> its face, level: (side, side, 3) uint8. NoFaceError if there is none."""
        return self._analyser.cut(picture, self.crop_px)

    @torch.inference_mode()
    def read_crop(self, crop: np.ndarray) -> Tensor:
        """(side, side, 3) uint8 -> its style (1, style_dim)."""
        return self.model.embed_pictures(self._load(crop))

    def read_voice(self, voice: Recording) -> Tensor:
        """Reads the style of a recording or of a voice card: (1, style_dim). FaceVCError if it cannot be read."""
        if is_card(voice):
            return self.converter.target_from_card(Path(cast(str | Path, voice))).speaker
        return self.converter.target_from_voice(voice).speaker

    @torch.inference_mode()
    def draw(self, feminine: float, rng: np.random.Generator | None = None) -> Tensor:
        """Draws a style of a register: (1, style_dim). rng: None takes no noise, and so the middle of the styles."""
        size = self.model.latent_dim
        noise = np.zeros(size) if rng is None else rng.standard_normal(size)
        given = torch.from_numpy(noise.astype(np.float32)).to(self.converter.device)
        return self.model.draw_styles(given[None], given.new_full((1,), feminine))

    @torch.inference_mode()
    def restyle(self, crop: np.ndarray, style: Tensor) -> np.ndarray:
        """(side, side, 3) uint8, style (1, style_dim) -> (px, px, 3) uint8."""
        return np.asarray(self.model.restyle_pictures(self._load(crop), style)[0].cpu().numpy())

    def _load(self, crop: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(crop)).to(self.converter.device)[None]

    @cached_property
    def _analyser(self) -> "FaceAnalyser":
        return self.reader.load(self.converter.on_many)
