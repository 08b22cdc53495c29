"""Describes a target's voice for those who choose speech that is near it."""

import math

from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.voice import Target
from facevc_cli.families.base import Capability
from facevc_cli.voices.sketch import VoiceSketch


def sketch_voice(converter: Converter, target: Target) -> VoiceSketch:
    """Returns the mean F0 of the target's voice, and its d-vector if the model's voice embeddings are d-vectors."""
    is_dvector = Capability.DVECTOR in converter.model.capabilities
    dvector = target.speaker[0].float().cpu().numpy() if is_dvector else None
    return VoiceSketch(math.exp(converter.find_log_f0(target)), dvector)
