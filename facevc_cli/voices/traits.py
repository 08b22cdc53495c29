"""Reads the register and the age of a voice from its d-vector: one affine function of the d-vector for each.

recipes/starter/local/voice_traits.py fits both on labelled speech. assets/voice_traits.json has the accuracies.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import read_json
from facevc_cli.files.packaged import find_packaged_file
from facevc_cli.voices.dvector import VOICE_DIM

ASSET = "assets/voice_traits.safetensors"
AgeGroup = Literal["young", "middle", "old"]
MIDDLE = 0.5  # of the register
# borders of the age groups in years
YOUNG_BELOW, OLD_FROM = 30.0, 50.0


class VoiceTraits(NamedTuple):
    """What is heard in a voice.

    register: 0 for the median of men's voices, 1 for the median of women's; below .5 a voice counts as masculine. It
    may be outside 0 to 1. age_years: the expected age. Voices say little about age, so it is nearer to the middle than
    the true one.
    """

    register: float
    age_years: float


@dataclass(frozen=True, eq=False)
class TraitReader:
    """weight: (2, 256), bias: (2,), for the register and the age.

    age_line: (slope, offset). Voices of people of an age read slope * age + offset years on average.
    register_evidence: log-odds that a voice's register is read right, for each unit of distance from the middle.
    """

    weight: Tensor
    bias: Tensor
    age_line: tuple[float, float]
    register_evidence: float

    def read_all(self, dvectors: Tensor) -> Tensor:
        """d-vectors (n, 256) of any length -> (n, 2): register, and age in years."""
        unit = torch.nn.functional.normalize(dvectors.float(), dim=-1)
        return unit @ self.weight.to(unit.device).T + self.bias.to(unit.device)

    def read(self, dvector: Tensor) -> VoiceTraits:
        """One d-vector (256,) -> its traits."""
        register, age = self.read_all(dvector[None])[0].tolist()
        return VoiceTraits(register, age)

    def find_certainty(self, register: float) -> float:
        """Returns how likely it is that a voice of this register is a woman's (above .5), or a man's: .5 to 1."""
        return 1 / (1 + math.exp(-self.register_evidence * abs(register - MIDDLE)))

    def find_age_group(self, age_years: float) -> AgeGroup:
        """Says whether a voice that reads `age_years` counts as young, middle or old."""
        slope, offset = self.age_line
        if age_years < slope * YOUNG_BELOW + offset:
            return "young"
        return "middle" if age_years < slope * OLD_FROM + offset else "old"


@lru_cache(maxsize=1)
def load_trait_reader() -> TraitReader:
    """Loads the packaged reader. FaceVCError if the file is missing or damaged."""
    from safetensors.torch import load_file

    card = Path(__file__).parents[1] / ASSET.replace(".safetensors", ".json")
    described = read_json(card, advice="Install facevc again.")
    path = find_packaged_file(
        "facevc_cli", ASSET, described["sha256"], "the weights that read a voice's register", "facevc"
    )
    tensors = load_file(path)
    weight, bias = tensors["weight"], tensors["bias"]
    if weight.shape != (2, VOICE_DIM) or bias.shape != (2,):
        raise FaceVCError(f"{path}: expected weights of (2, {VOICE_DIM}), found {tuple(weight.shape)}.")
    slope, offset = described["age_line"]
    return TraitReader(weight, bias, (slope, offset), described["register_evidence"])
