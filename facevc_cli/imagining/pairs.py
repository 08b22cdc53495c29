"""Draws a voice of nobody and a face for it, with whatever model draws both."""

from functools import cached_property
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.sketch import sketch_voice
from facevc_cli.conversion.styles import Stylist, get_style_dim
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.imagining.draw import DrawnVoice, VoiceDrawer
from facevc_cli.imagining.imaginer import Imaginer
from facevc_cli.imagining.styled import AnyPortrait, AnyVoice, StyledDrawer, StyledImaginer, StyledVoice
from facevc_cli.imagining.voice import VoiceDescription
from facevc_cli.portraits.composites import CompositeSet

NEAREST = 20  # composites of a register, of which one is drawn


class PairDrawer(Protocol):
    @property
    def model_name(self) -> str:
        """The name of the model that chooses or makes the faces."""

    def draw(self, seed: int, number: int) -> DrawnVoice:
        """Draws a voice. The same seed and number give the same."""

    def draw_face(self, drawn: DrawnVoice, chance: int, size_px: int | None) -> tuple[AnyVoice, AnyPortrait]:
        """Draws a face for a drawn voice. chance: which of many; the same gives the same."""


class MemoryPairs:
    """Voices of a memory, and mixtures of composites. FaceVCError if the model has no memory of d-vectors."""

    def __init__(
        self, converter: Converter, checkpoint: Path | None, composites: CompositeSet, reporter: Reporter = SILENT
    ):
        self.converter, self.checkpoint = converter, checkpoint
        self.composites, self.reporter = composites, reporter
        self.drawer = VoiceDrawer(converter)

    @property
    def model_name(self) -> str:
        return self.imaginer.model_name

    @cached_property
    def imaginer(self) -> Imaginer:
        device = str(self.converter.device)
        return Imaginer(self.checkpoint, device, composites=self.composites, reporter=self.reporter)

    def draw(self, seed: int, number: int) -> DrawnVoice:
        return self.drawer.draw(seed, number)

    def draw_face(self, drawn: DrawnVoice, chance: int, size_px: int | None) -> tuple[AnyVoice, AnyPortrait]:
        sketch = sketch_voice(self.converter, drawn.target)
        heard = VoiceDescription.of(cast(np.ndarray, sketch.dvector), float(np.log(sketch.f0_hz)))
        voice = heard.ask_for(drawn.feminine, drawn.age_years)
        (portrait,) = self.imaginer.imagine_numbered(voice, [1], seed=chance, size_px=size_px)
        return voice, portrait


class StyledPairs:
    """Styles drawn from noise, and composites in these styles. FaceVCError if the model has no styles."""

    def __init__(self, converter: Converter, composites: CompositeSet):
        stylist = Stylist(converter)
        self.drawer, self.imaginer = StyledDrawer(stylist), StyledImaginer(stylist, composites=composites)

    @property
    def model_name(self) -> str:
        return self.imaginer.model_name

    def draw(self, seed: int, number: int) -> DrawnVoice:
        return self.drawer.draw(seed, number)

    def draw_face(self, drawn: DrawnVoice, chance: int, size_px: int | None) -> tuple[AnyVoice, AnyPortrait]:
        voice = StyledVoice(drawn.target.speaker, drawn.feminine)
        number = int(np.random.default_rng(chance).integers(NEAREST))
        (portrait,) = self.imaginer.imagine_numbered(voice, [number], size_px=size_px)
        return voice, portrait


def make_pair_drawer(
    converter: Converter, checkpoint: Path | None, composites: CompositeSet, reporter: Reporter = SILENT
) -> PairDrawer:
    """Chooses by what the model can do. FaceVCError if it draws neither. checkpoint: the converter's."""
    if get_style_dim(converter.model):
        return StyledPairs(converter, composites)
    return MemoryPairs(converter, checkpoint, composites, reporter)
