"""Moves a recalled voice to the register and the age that a face shows, or that a user asks for.

A recalled voice is moved by its address: `a'(slot) = a(slot) exp(b . t(slot))`, where t are the slot's standardised
traits. Of all addresses whose mean traits are as asked, this one is nearest to the face's own (it has the least
Kullback-Leibler divergence). `b` is found so that the voice recalled at the new address has the asked traits.
"""

import math
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from facevc_cli.conversion.voice import Target
from facevc_cli.conversion.voice_reading import (
    FEMININE,
    MASCULINE,
    OLDEST,
    YOUNGEST,
    VoiceReading,
    can_read,
    is_feminine,
)
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.faces.reading import FaceReading
from facevc_cli.families.base import ConversionModel, MemoryModel
from facevc_cli.voices.traits import MIDDLE, TraitReader, load_trait_reader

AUTO = "auto"
REGISTER, AGE = 0, 1  # places in the array of traits
REGISTERS = {"masculine": MASCULINE, "feminine": FEMININE}
MOST_TILT = 6.0  # largest |b| per trait: beyond it one slot remains, and single slots are no voices
ROUNDS = 20
STEP = 1e-2  # of the finite differences
DAMPING = 1e-3
AGE_UNIT = 15.0  # years that count as much as half of the way between the registers
REGISTER_UNIT = 0.5


@dataclass(frozen=True)
class TraitRule:
    """The register and the age of a recalled voice. None: as the face recalls it.

    register: 0 for the median of men's voices, 1 for the median of women's.
    """

    register: float | None = None
    age_years: float | None = None

    @classmethod
    def parse(cls, register: str, age: str) -> "TraitRule":
        """Parses the values of --register and --age. UsageError if one is wrong."""
        return cls(_parse_register(register), _parse_age(age))

    def choose_register(self, own: float) -> float:
        """Chooses the register of a voice that has `own`. A voice beyond the asked end of the scale stays as it is."""
        if self.register == FEMININE:
            return max(own, FEMININE)
        if self.register == MASCULINE:
            return min(own, MASCULINE)
        return own if self.register is None else self.register

    @classmethod
    def from_sliders(cls, shown: VoiceReading | None, register: float, age_years: float) -> "TraitRule":
        """Makes the rule of two sliders that began at what a face is read as. One that was not moved is auto."""
        if shown is None:
            return cls()
        return cls(
            None if register == shown.slider_register else register,
            None if age_years == shown.slider_age else age_years,
        )

    @property
    def settings(self) -> tuple[str, ...]:
        """What differs from the defaults, as texts."""
        register = () if self.register is None else (f"register {self.register:g}",)
        return (*register, *(() if self.age_years is None else (f"age {self.age_years:g}",)))


AUTO_TRAITS = TraitRule()


def check_traits(model: ConversionModel, rule: TraitRule, name: str) -> None:
    """Raises FaceVCError if the rule asks for something, and the register of the model's voices cannot be read.

    name: of the model, for the message.
    """
    if rule != AUTO_TRAITS and not can_read(model):
        raise FaceVCError(
            "--register and --age need a model with a memory whose voice embeddings are d-vectors. The model "
            f"{name!r} is none. Leave them out, or choose another --checkpoint, such as the bundled one."
        )


def follow_face(model: ConversionModel, target: Target, face: FaceReading | None) -> Target:
    """Moves a recalled voice to what was read in the face: its age, and its register if the voice has the other one.

    None: nothing was read, so the voice stays as it is.
    """
    if face is None or not can_read(model):
        return target
    heard = load_trait_reader().read(target.speaker[0])
    agrees = is_feminine(heard.register) == (face.feminine > MIDDLE)
    rule = TraitRule(None if agrees else face.feminine, face.age_years)
    return replace(steer_target(model, target, rule, ""), face=face)


@torch.inference_mode()
def steer_target(model: ConversionModel, target: Target, rule: TraitRule, name: str) -> Target:
    """Moves a recalled voice to the register and the age of the rule.

    FaceVCError as in `check_traits`, or if the voice is a recording's.
    """
    if rule == AUTO_TRAITS:
        return target
    check_traits(model, rule, name)
    if target.address is None:
        raise FaceVCError(
            "--register and --age change the voice of a face, a mix or a voice card. The voice of a recording is taken "
            "as it is. Leave them out, or mix the recording with a face."
        )
    memory = cast(MemoryModel, model)
    log_address = steer_address(memory, load_trait_reader(), target.address.log(), rule)
    return replace(target, speaker=memory.recall_address(log_address), address=log_address.exp())


def steer_address(memory: MemoryModel, reader: TraitReader, log_address: Tensor, rule: TraitRule) -> Tensor:
    """Moves a log-address (1, slots) to the asked register and age. A trait that is not asked for keeps its value.

    The nearest reachable traits are taken if the memory has no such voice.
    """
    if rule == AUTO_TRAITS:
        return log_address
    own = reader.read_all(memory.recall_address(log_address))[0]
    goal = own.clone()
    if rule.register is not None:
        goal[REGISTER] = rule.choose_register(float(own[REGISTER]))
    if rule.age_years is not None:  # by as much as voices of the two ages differ on average
        goal[AGE] += reader.age_line[0] * (rule.age_years - float(own[AGE]))
    slots = reader.read_all(memory.get_slot_values())
    traits = (slots - slots.mean(0)) / slots.std(0).clamp(min=1e-6)
    unit = torch.tensor([REGISTER_UNIT, AGE_UNIT], device=own.device)

    def move(tilt: Tensor) -> Tensor:
        return cast(Tensor, (log_address + tilt @ traits.T).log_softmax(-1))

    def miss(tilt: Tensor) -> Tensor:
        return (reader.read_all(memory.recall_address(move(tilt)))[0] - goal) / unit

    tilt = torch.zeros(2, device=own.device)
    best, error = tilt, miss(tilt)
    damping = DAMPING
    for _ in range(ROUNDS):  # Levenberg-Marquardt on two numbers
        slope = torch.stack([(miss(best + STEP * axis) - error) / STEP for axis in torch.eye(2, device=own.device)], 1)
        normal = slope.T @ slope + damping * torch.eye(2, device=own.device)
        tried = (best - torch.linalg.solve(normal, slope.T @ error)).clamp(-MOST_TILT, MOST_TILT)
        found = miss(tried)
        if float(found.norm()) < float(error.norm()):
            best, error, damping = tried, found, damping / 3
        else:
            damping *= 10
        if float(error.norm()) < 1e-3:
            break
    return move(best)


def _parse_register(text: str) -> float | None:
    word = text.strip().lower()
    if word == AUTO or word in REGISTERS:
        return REGISTERS.get(word)
    number = _parse_number(word)
    if number is None or not 0 <= number <= 1:
        raise UsageError(
            f"--register {text!r}: expected auto, masculine, feminine, or a number from 0 (masculine) to 1 (feminine)."
        )
    return number


def _parse_age(text: str) -> float | None:
    word = text.strip().lower()
    if word == AUTO:
        return None
    number = _parse_number(word)
    if number is None or not YOUNGEST <= number <= OLDEST:
        raise UsageError(f"--age {text!r}: expected auto, or an age from {YOUNGEST:g} to {OLDEST:g} years.")
    return number


def _parse_number(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
