"""Draws voices of nobody: a point in the space of the memory's voices, at a drawn register and age.

The memory's voices are taken for a sample of people's voices. A new one is drawn from the normal distribution with
their mean and covariance, given its register and its age. Mixtures of the memory's voices would lie closer together
than people's voices do.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.voice import Target
from facevc_cli.conversion.voice_reading import FEMININE, MASCULINE, can_read
from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.base import MemoryModel
from facevc_cli.voices.traits import load_trait_reader

YOUNGEST_YEARS, OLDEST_YEARS = 18.0, 75.0
REGISTER_SPREAD = 0.2  # of the readings of one gender's voices
MOST_REGISTER_SPREAD = 0.3  # a drawn voice stays on its side
WIDENING = 2.0  # people's voices differ more than the memory's, each of which is the middle of several
ROUNDS = 4  # of corrections: cutting and normalising change the traits a little


@dataclass(frozen=True, eq=False)
class DrawnVoice:
    """target: the voice. feminine: 0 or 1, as drawn. age_years: of the speaker, as drawn; None: a style has none."""

    target: Target
    feminine: float
    age_years: float | None


class VoiceDrawer:
    """Draws voices from a model's memory. FaceVCError if the model has none whose register can be read."""

    def __init__(self, converter: Converter):
        if not can_read(converter.model):
            raise FaceVCError(
                f"the model {converter.checkpoint.config.name!r} has no memory of d-vectors, so no voice can be drawn "
                "from it. Choose another --checkpoint, such as the bundled one."
            )
        self.memory, self.reader = converter.memory, load_trait_reader()
        voices = torch.nn.functional.normalize(self.memory.get_slot_values().float(), dim=-1)
        self.mean = voices.mean(0)
        # (S, D): axes.T @ axes is the covariance
        self.axes = WIDENING * (voices - self.mean) / max(1, len(voices) - 1) ** 0.5

    @torch.inference_mode()
    def draw(self, seed: int, number: int) -> DrawnVoice:
        """Draws one voice. The same seed and number give the same."""
        rng = np.random.default_rng((seed, number))
        feminine = draw_register(seed, number)
        age = float(rng.uniform(YOUNGEST_YEARS, OLDEST_YEARS))
        off = float(np.clip(rng.normal(0, REGISTER_SPREAD), -MOST_REGISTER_SPREAD, MOST_REGISTER_SPREAD))
        slope, offset = self.reader.age_line
        goal = torch.tensor([feminine + off, slope * age + offset]).to(self.mean)
        noise = torch.from_numpy(rng.standard_normal(len(self.axes))).to(self.mean)
        voice = self._correct(self.mean + noise @ self.axes, goal)
        memory = cast(MemoryModel, self.memory)
        return DrawnVoice(Target(voice[None], None, memory.address_voice(voice[None]).exp()), feminine, age)

    def _correct(self, voice: Tensor, goal: Tensor) -> Tensor:
        """Moves a drawn voice (D,) to the traits `goal` (2,), by as little as the covariance allows."""
        weight = self.reader.weight.to(self.mean)
        spread = self.axes @ weight.T  # (S, 2)
        gain = torch.linalg.solve(spread.T @ spread + 1e-9 * torch.eye(2).to(spread), spread.T)  # (2, S)
        voice = _make_unit(voice)
        for _ in range(ROUNDS):
            missing = goal - self.reader.read_all(voice[None])[0]
            voice = _make_unit(voice + missing @ gain @ self.axes)
        return voice


def draw_register(seed: int, number: int) -> float:
    """Says whether a pair is a woman (1) or a man (0). They take turns, from a drawn one on."""
    first = int(np.random.default_rng(seed).integers(2))
    return FEMININE if (number + first) % 2 else MASCULINE


def _make_unit(voice: Tensor) -> Tensor:
    """A d-vector has no negative numbers."""
    return torch.nn.functional.normalize(voice.clamp(min=0), dim=-1)
