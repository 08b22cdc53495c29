"""Reads what a recalled voice sounds like: its register, its age, and how likely the register fits the face."""

import math
from dataclasses import dataclass

import torch

from facevc_cli.conversion.voice import Target
from facevc_cli.families.base import Capability, ConversionModel
from facevc_cli.voices.traits import MIDDLE, load_trait_reader

MASCULINE, FEMININE = 0.0, 1.0
DOUBTFUL_BELOW = 0.75  # certainty below which the user is told
YOUNGEST, OLDEST = 15.0, 90.0  # the speakers whose ages were known are of these ages


@dataclass(frozen=True)
class VoiceReading:
    """What a face's recalled voice sounds like.

    certainty: how likely it is that the register fits the face, as measured on labelled faces. Below .5 the face was
    read as the other register.
    """

    register: float
    age_years: float
    certainty: float

    @property
    def slider_register(self) -> float:
        """The register on a scale from 0 to 1, to .05."""
        return round(round(min(max(self.register, MASCULINE), FEMININE) * 20) / 20, 2)

    @property
    def slider_age(self) -> float:
        """The age in years on the scale of --age, to a year."""
        return float(round(min(max(self.age_years, YOUNGEST), OLDEST)))

    @property
    def word(self) -> str:
        return "feminine" if is_feminine(self.register) else "masculine"

    @property
    def is_doubtful(self) -> bool:
        return self.certainty < DOUBTFUL_BELOW

    def describe(self) -> dict[str, str]:
        """Returns the columns of the manifest."""
        return {
            "register": f"{self.register:.2f}",
            "age": f"{self.age_years:.0f}",
            "certainty": f"{self.certainty:.2f}",
        }

    def advise(self, what: str) -> str:
        """Says how sure the reading is, and which option changes it."""
        other = "masculine" if self.word == "feminine" else "feminine"
        return (
            f"{what}: the face is read as {self.word} with a certainty of only {self.certainty:.2f}. If that is wrong, "
            f"pass --register {other}."
        )


@torch.inference_mode()
def read_target(model: ConversionModel, target: Target, evidence: float) -> VoiceReading | None:
    """Reads what a recalled voice sounds like. None for a recording's voice, or if the model cannot tell.

    evidence: as in ConversionConfig.register_evidence; it counts unless the face itself was read.
    """
    if target.address is None or not can_read(model):
        return None
    traits = load_trait_reader().read(target.speaker[0])
    if target.face is None:
        certainty = 1 / (1 + math.exp(-evidence * abs(traits.register - MIDDLE)))
    else:
        certainty = target.face.feminine if is_feminine(traits.register) else 1 - target.face.feminine
    return VoiceReading(traits.register, traits.age_years, certainty)


def is_feminine(register: float) -> bool:
    return register > MIDDLE


def can_read(model: ConversionModel) -> bool:
    return {Capability.MEMORY, Capability.DVECTOR} <= model.capabilities
