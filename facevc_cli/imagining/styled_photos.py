"""Restyles the faces of photos with a model of styles. The result is the face alone, as large as the model makes it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.styles import Stylist
from facevc_cli.conversion.traits import TraitRule
from facevc_cli.core.errors import UsageError, name_in_errors
from facevc_cli.faces.analyser import FaceAnalyser, cut_face
from facevc_cli.faces.crops import LEVEL_PADDING
from facevc_cli.faces.reading import DLIB_DIM, read_face
from facevc_cli.files.image import load_image
from facevc_cli.portraits.photo import EMBEDDER, Restyled

SEEN_PX = 224  # a smaller face is made larger before it is read


@dataclass(frozen=True)
class StyleAim:
    """Where a style comes from: exactly one of these."""

    face: Path | None = None
    voice: Path | None = None
    register: float | None = None

    @classmethod
    def of(cls, face: Path | None, voice: Path | None, rule: TraitRule) -> "StyleAim":
        """UsageError if it is not one of the three, or an age is asked for."""
        if rule.age_years is not None:
            raise UsageError("--age: a model of styles knows no age. Leave --age or --checkpoint out.")
        aim = cls(face, voice, rule.register)
        if sum(one is not None for one in (face, voice, rule.register)) != 1:
            raise UsageError("--checkpoint: a model of styles takes one of --face, --voice and --register.")
        return aim


class StyledRestyler:
    """Restyles photos. FaceVCError if the model has no styles. on_many: as of FaceAnalyser."""

    def __init__(self, checkpoint: Path, on_many: str = "largest", device: str = "auto"):
        self.stylist = Stylist(Converter(checkpoint, "griffin-lim", device, on_many=on_many))

    @property
    def model_name(self) -> str:
        return self.stylist.converter.checkpoint.config.name

    def find_style(self, aim: StyleAim) -> Tensor:
        """Returns the style that is aimed at: (1, style_dim). FaceVCError if a file cannot be read."""
        if aim.voice is not None:
            return self.stylist.read_voice(aim.voice)
        if aim.face is not None:
            with name_in_errors(aim.face):
                return self.stylist.read_crop(self.stylist.cut(load_image(aim.face)))
        return self.stylist.draw(aim.register or 0.0)

    def restyle(self, photo: np.ndarray, style: Tensor, strength: float = 1.0) -> Restyled:
        """(H, W, 3) uint8 RGB -> its face, moved from its own style towards another.

        strength: 0 keeps its own, 1 moves it the whole way. NoFaceError, ManyFacesError.
        """
        seen = self._analyser.analyse(photo)
        crop = cut_face(photo, seen.box, seen.turns, self.stylist.crop_px)
        own = self.stylist.read_crop(crop)
        picture = self.stylist.restyle(crop, torch.lerp(own, style, strength))
        side = max(SEEN_PX, len(picture))
        large = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))
        edge = LEVEL_PADDING / (1 + 2 * LEVEL_PADDING)  # the crop has a margin around the face
        box = np.array([edge, edge, 1 - edge, 1 - edge], np.float32) * side
        after, _ = self._analyser.embed(large, box)
        distance = float(np.linalg.norm(after[:DLIB_DIM] - seen.embedding[:DLIB_DIM]))
        readings = read_face(seen.embedding), read_face(after)
        return Restyled(picture, *readings, distance, (0, 0, len(picture), len(picture)))

    @cached_property
    def _analyser(self) -> FaceAnalyser:
        return FaceAnalyser("dlib", EMBEDDER, self.stylist.converter.on_many)
